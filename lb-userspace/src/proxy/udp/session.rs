//! What one client says to one server, and back.

use std::{
    cell::{Cell, RefCell},
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket as StdSocket},
    rc::Rc,
    sync::Arc,
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

use futures_util::FutureExt;
use socket2::SockRef;
use tokio::{
    net::UdpSocket,
    task::{AbortHandle, coop, spawn_local},
};

use super::{Client, Route, Socket};
use crate::proxy::{
    relay::Meter,
    tcp::{Place, Refusal},
};

/// A session; its server's answers stop with it.
pub(super) struct Session {
    shared: Rc<Shared>,
    answering: AbortHandle,
}

struct Shared {
    server: UdpSocket,
    place: Box<dyn Place>,
    route: Arc<Route>,
    /// When either side said something last.
    latest: Cell<Instant>,
    /// Whether the server has no socket there any more.
    is_refused: Cell<bool>,
}

/// Why a datagram wasn't sent.
#[derive(Debug)]
pub(super) enum Failed {
    /// There is no room for it now: it is dropped.
    Busy,
    /// The server is gone; its id.
    Gone(u64),
}

impl Session {
    /// A new one, with a server other than `avoid`.
    pub(super) fn open(
        client: Client,
        avoid: Option<u64>,
        route: &Arc<Route>,
        socket: &Rc<Socket>,
        scratch: &Rc<RefCell<Vec<u8>>>,
    ) -> Result<Self, Refusal> {
        let ends = socket.ends(client);
        let upstream = route.service.now(ends).ok_or(Refusal::NoServer)?;
        let avoid: Vec<u64> = avoid.into_iter().collect();
        // Datagrams don't wait for a server that is busy.
        let picked = upstream.servers.pick(ends, &avoid).now_or_never().flatten();
        let place = picked.ok_or(Refusal::NoServer)?;
        let server = connect(place.address()).map_err(|_| Refusal::Unreachable)?;
        route.stats.connections.fetch_add(1, Relaxed);
        route.stats.open.fetch_add(1, Relaxed);
        let shared = Rc::new(Shared {
            server,
            place,
            route: Arc::clone(route),
            latest: Cell::new(Instant::now()),
            is_refused: Cell::new(false),
        });
        let task = answer(Rc::clone(&shared), client, Rc::clone(socket), Rc::clone(scratch));
        Ok(Self { shared, answering: spawn_local(task).abort_handle() })
    }

    /// Sends a datagram of the client's.
    pub(super) fn send(&self, bytes: &[u8]) -> Result<(), Failed> {
        let shared = &self.shared;
        if shared.is_refused.get() || shared.place.is_lost() {
            return Err(Failed::Gone(shared.place.id()));
        }
        shared.latest.set(Instant::now());
        // Past tokio, which takes a new socket for one without room until it has polled once.
        match SockRef::from(&shared.server).send(bytes) {
            Ok(_) => {
                shared.route.stats.passed(bytes.len() as u64, 0);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                shared.refused();
                Err(Failed::Gone(shared.place.id()))
            }
            Err(_) => Err(Failed::Busy),
        }
    }

    /// Whether it goes on.
    pub(super) fn is_alive(&self, now: Instant) -> bool {
        let shared = &self.shared;
        let is_silent = self.silence(now) >= shared.route.timeout;
        !shared.is_refused.get() && !is_silent && !shared.place.is_lost()
    }

    /// How long neither side has said anything.
    pub(super) fn silence(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.shared.latest.get())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.answering.abort();
        self.shared.route.stats.open.fetch_sub(1, Relaxed);
    }
}

impl Shared {
    /// ICMP says that nobody is there.
    fn refused(&self) {
        if !self.is_refused.replace(true) {
            self.place.reached(false, Duration::ZERO);
        }
    }
}

/// Takes the server's datagrams to the client.
async fn answer(
    shared: Rc<Shared>,
    (client, local): Client,
    socket: Rc<Socket>,
    scratch: Rc<RefCell<Vec<u8>>>,
) {
    loop {
        coop::consume_budget().await;
        if shared.server.readable().await.is_err() {
            return shared.refused();
        }
        let mut buffer = scratch.borrow_mut();
        match shared.server.try_recv(&mut buffer) {
            Ok(count) => {
                shared.latest.set(Instant::now());
                // Without room in the socket it is dropped, as anywhere on its way.
                if socket.try_send(&buffer[..count], client, local).is_ok() {
                    shared.route.stats.passed(0, count as u64);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                return shared.refused();
            }
            Err(_nothing_yet) => {}
        }
    }
}

/// A socket that sends to, and hears, this server alone.
fn connect(server: SocketAddr) -> io::Result<UdpSocket> {
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = StdSocket::bind(any)?;
    socket.set_nonblocking(true)?;
    socket.connect(server)?;
    UdpSocket::from_std(socket)
}
