//! A worker: a thread with a runtime of its own, its listeners, connections, buffers and kept
//! connections to servers. Workers share what is configured, and nothing that a request changes.

use std::{
    cell::{Cell, RefCell},
    future::Future,
    net::TcpListener as StdListener,
    rc::Rc,
    sync::{Arc, atomic::Ordering::Relaxed},
    thread::JoinHandle,
    time::Duration,
};

use socket2::{SockFilter, SockRef};
use tokio::{
    net::TcpListener,
    runtime::LocalOptions,
    sync::{Notify, mpsc, oneshot},
    task::{AbortHandle, spawn_local},
};

use super::{
    Head, accept,
    alarm::{Alarms, TICK},
    buffers::Buffers,
    clock::Clock,
    cuts::Cuts,
    http2::Senders,
    observe::{self, log::Lines, spans},
    splice::Pipes,
    table::Entry,
    udp,
    upstream::Pool,
};

/// What a worker is told.
pub(crate) enum Order {
    /// Accept connections of an entry point from this socket, too.
    Listen(Arc<Entry>, StdListener),
    /// Take datagrams of an entry point from this socket, too.
    ListenUdp(Arc<udp::Entry>, std::net::UdpSocket),
    /// Accept no more of this entry point's but what has connected already.
    Close(Arc<str>),
    /// Accept nothing more: another process does so from the same sockets.
    HandOver,
    /// Accept no more but what has connected already; end connections as they become idle, all of
    /// them after the time.
    Drain(Duration, oneshot::Sender<()>),
}

/// What a worker has for itself.
#[derive(Default)]
pub(crate) struct Worker {
    /// Its own among those of the process, from 0.
    pub(crate) number: usize,
    pub(crate) alarms: Alarms,
    pub(crate) buffers: Buffers,
    pub(crate) heads: Heads,
    pub(crate) clock: Clock,
    pub(crate) pool: Pool,
    pub(crate) pipes: Pipes,
    pub(crate) cuts: Cuts,
    pub(crate) senders: Senders,
    /// Lines of the access log.
    pub(crate) lines: RefCell<Lines>,
    pub(crate) spans: RefCell<spans::Batch>,
    connections: Cell<usize>,
    is_draining: Cell<bool>,
    drain: Notify,
    ended: Notify,
}

/// Heads that are lent.
#[derive(Debug, Default)]
pub(crate) struct Heads(RefCell<Vec<Head>>);

impl Heads {
    const KEPT: usize = 256;

    pub(crate) fn take(&self) -> Head {
        self.0.borrow_mut().pop().unwrap_or_default()
    }

    pub(crate) fn give_back(&self, mut head: Head) {
        head.clear();
        let mut kept = self.0.borrow_mut();
        if kept.len() < Self::KEPT && head.bytes.capacity() <= 64 * 1024 {
            kept.push(head);
        }
    }
}

impl Worker {
    /// Whether connections are to end; who waits for an alarm is woken when it comes to that.
    pub(crate) fn is_draining(&self) -> bool {
        self.is_draining.get()
    }

    /// Resolves when connections are to end.
    pub(crate) async fn draining(&self) {
        while !self.is_draining.get() {
            self.drain.notified().await;
        }
    }
}

/// Counts a connection while it lives.
pub(crate) struct Counted(Arc<Entry>, #[expect(dead_code, reason = "counts while it lives")] Busy);

impl Counted {
    fn new(worker: &Rc<Worker>, entry: &Arc<Entry>) -> Self {
        entry.stats.accepted.fetch_add(1, Relaxed);
        entry.stats.open.fetch_add(1, Relaxed);
        Self(Arc::clone(entry), Busy::new(worker))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.stats.open.fetch_sub(1, Relaxed);
    }
}

/// What a worker that is to end waits for.
pub(crate) struct Busy(Rc<Worker>);

impl Busy {
    fn new(worker: &Rc<Worker>) -> Self {
        worker.connections.set(worker.connections.get() + 1);
        Self(Rc::clone(worker))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.connections.set(self.0.connections.get() - 1);
        if self.0.connections.get() == 0 {
            self.0.ended.notify_waiters();
        }
    }
}

/// Polls of tasks between two looks at the sockets: all that one look has brought, among some
/// hundred connections at least. tokio's own 61 costs a system call more for every 30 requests.
const POLLS_A_LOOK: u32 = 256;

/// A running worker.
pub(crate) struct Handle {
    orders: mpsc::UnboundedSender<Order>,
    _thread: JoinHandle<()>,
}

impl Handle {
    /// Starts one, on `cpu` where given.
    ///
    /// # Errors
    /// The thread or its runtime can't be made.
    pub(crate) fn start(number: usize) -> std::io::Result<Self> {
        let (orders, inbox) = mpsc::unbounded_channel();
        let (made, is_made) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new().name(format!("proxy-{number}"));
        let thread = thread.spawn(move || {
            // A runtime whose tasks stay on its thread is made there.
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            runtime.enable_all().event_interval(POLLS_A_LOOK);
            match runtime.build_local(LocalOptions::default()) {
                Ok(runtime) => {
                    let _told = made.send(Ok(()));
                    runtime.block_on(run(number, inbox));
                }
                Err(error) => {
                    let _told = made.send(Err(error));
                }
            }
        })?;
        is_made.recv().map_err(std::io::Error::other)??;
        Ok(Self { orders, _thread: thread })
    }

    /// Tells it. One that has ended hears nothing.
    pub(crate) fn tell(&self, order: Order) {
        let _ended = self.orders.send(order);
    }
}

async fn run(number: usize, mut inbox: mpsc::UnboundedReceiver<Order>) {
    let worker = Rc::new(Worker { number, ..Worker::default() });
    super::ask::this_thread_is(&worker);
    spawn_local(tick(Rc::clone(&worker)));
    let mut listening: Vec<Listening> = Vec::new();
    while let Some(order) = inbox.recv().await {
        match order {
            Order::Listen(entry, socket) => match TcpListener::from_std(socket) {
                Ok(listener) => {
                    let name = Arc::clone(&entry.name);
                    let serve = |closed| listen(listener, entry, Rc::clone(&worker), closed);
                    listening.push(Listening::start(name, false, serve));
                }
                Err(error) => tracing::error!("entry point {}: {error}", entry.name),
            },
            Order::ListenUdp(entry, socket) => match udp::Socket::new(socket) {
                Ok(socket) => {
                    let name = Arc::clone(&entry.name);
                    let serve = |closed| udp::serve(socket, entry, closed);
                    listening.push(Listening::start(name, true, serve));
                }
                Err(error) => tracing::error!("entry point {}: {error}", entry.name),
            },
            Order::Close(name) => {
                let ending = listening.extract_if(.., |one| one.name == name);
                ending.for_each(|one| one.end(&worker, End::Close));
            }
            Order::HandOver => {
                listening.drain(..).for_each(|one| one.end(&worker, End::HandOver));
            }
            Order::Drain(patience, done) => {
                listening.drain(..).for_each(|one| one.end(&worker, End::Drain));
                spawn_local(drain(Rc::clone(&worker), patience, done));
            }
        }
    }
}

/// A socket that is listened on.
struct Listening {
    name: Arc<str>,
    is_udp: bool,
    closing: oneshot::Sender<Busy>,
    task: AbortHandle,
}

/// Why a socket is listened on no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The entry point is gone: others may listen there from now on.
    Close,
    /// The process ends.
    Drain,
    /// Another process goes on with the very same socket.
    HandOver,
}

impl Listening {
    fn start<F: Future<Output = ()> + 'static>(
        name: Arc<str>,
        is_udp: bool,
        serve: impl FnOnce(oneshot::Receiver<Busy>) -> F,
    ) -> Self {
        let (closing, closed) = oneshot::channel();
        let task = spawn_local(serve(closed)).abort_handle();
        Self { name, is_udp, closing, task }
    }

    fn end(self, worker: &Rc<Worker>, why: End) {
        match (self.is_udp, why) {
            // Who has connected would be reset with the socket; here the other process has it. And
            // a datagram that comes to a socket which nobody reads is lost.
            (false, End::HandOver) | (true, End::Close) => self.task.abort(),
            _ => _ = self.closing.send(Busy::new(worker)),
        }
    }
}

async fn drain(worker: Rc<Worker>, patience: Duration, done: oneshot::Sender<()>) {
    worker.is_draining.set(true);
    worker.drain.notify_waiters();
    worker.alarms.wake();
    let empty = async {
        while worker.connections.get() > 0 {
            worker.ended.notified().await;
        }
    };
    // What has not ended by then is cut off with the process.
    let _late = tokio::time::timeout(patience, empty).await;
    worker.lines.borrow_mut().flush();
    worker.spans.borrow_mut().flush();
    let _gone = done.send(());
}

/// Keeps time for a worker.
async fn tick(worker: Rc<Worker>) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for count in 0u64.. {
        ticks.tick().await;
        worker.alarms.tick();
        worker.clock.tick();
        worker.lines.borrow_mut().flush();
        worker.spans.borrow_mut().flush();
        if count % 10 == 0 {
            worker.pool.sweep(|_| true);
            worker.cuts.tick();
        }
    }
}

/// Accepts until it is told to close, and then what has connected before: closing a socket resets
/// whoever waits there to be accepted.
async fn listen(
    listener: TcpListener,
    entry: Arc<Entry>,
    worker: Rc<Worker>,
    closed: oneshot::Receiver<Busy>,
) {
    let told = tokio::select! {
        never = accept(&listener, &entry, &worker) => match never {},
        told = closed => told,
    };
    let Ok(_busy) = told else { return };
    let _best_effort = SockRef::from(&listener).attach_filter(&no_syn());
    let _elapsed = tokio::time::timeout(HANDSHAKES, accept(&listener, &entry, &worker)).await;
}

/// How long handshakes may go on that began before a socket is closed.
const HANDSHAKES: Duration = Duration::from_millis(50);

/// Drops what begins a connection, and nothing else: the client tries again and finds who listens
/// then (classic BPF: load byte 13 of the TCP header, the flags, and test SYN).
fn no_syn() -> [SockFilter; 4] {
    [
        SockFilter::new(0x30, 0, 0, 13),
        SockFilter::new(0x45, 0, 1, 0x02),
        SockFilter::new(0x06, 0, 0, 0),
        SockFilter::new(0x06, 0, 0, u32::MAX),
    ]
}

async fn accept(
    listener: &TcpListener,
    entry: &Arc<Entry>,
    worker: &Rc<Worker>,
) -> std::convert::Infallible {
    loop {
        match listener.accept().await {
            Ok((tcp, peer)) => {
                let (entry, worker) = (Arc::clone(entry), Rc::clone(worker));
                let counted = Counted::new(&worker, &entry);
                if entry.is_full() {
                    observe::refused(&entry, "too_many_connections");
                    continue;
                }
                accept::start(tcp, peer, entry, worker, counted);
            }
            Err(error) => {
                // No descriptors left: those of connections that end come back.
                tracing::warn!("entry point {}: accepting failed: {error}", entry.name);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// For futures that a worker spawns.
pub(crate) fn spawn(future: impl Future<Output = ()> + 'static) {
    spawn_local(future);
}
