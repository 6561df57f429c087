//! The proxy as the daemon drives it: workers, sockets, and tables that follow the snapshot.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener},
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
    time::Duration,
};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::oneshot;

use super::{
    Internals, View,
    observe::{Observing, log::Log, spans::Spans},
    table::Tables,
    udp,
    worker::{Handle, Order},
};
use crate::model::{self, EntryPoint, Id, Path, Router, Snapshot};

/// Connections that may wait to be accepted, for each worker.
const BACKLOG: i32 = 4096;
/// How long the end waits for the access log, and for spans.
const LAST_LINES: Duration = Duration::from_secs(2);

/// Where and for what.
pub type Listening = (SocketAddr, model::Protocol);

/// An entry point's sockets.
struct Open {
    at: Listening,
    /// For whoever takes them over.
    sockets: Vec<OwnedFd>,
}

/// Workers and what they serve. Dropping it ends nothing: see [`Self::drain`].
pub struct Proxy {
    workers: Vec<Handle>,
    tables: Tables,
    claims: Claims,
    /// By entry point: where it listens.
    listening: BTreeMap<String, Open>,
    /// Sockets of another process, until the first snapshot says what they are for.
    inherited: BTreeMap<Listening, Vec<OwnedFd>>,
    faults: Vec<String>,
}

impl Proxy {
    /// Whether `snapshot` has anything for a proxy to do.
    pub fn is_needed(snapshot: &Snapshot) -> bool {
        let mut claims = Claims::default();
        claims.follow(snapshot);
        !claims.wanted(snapshot).is_empty()
    }

    /// Starts `workers` workers; nothing is served yet. Without `internals` there are no internal
    /// services but `ping` and `noop`.
    ///
    /// # Errors
    /// Threads can't be made.
    pub fn start(workers: usize, internals: Option<Internals>) -> io::Result<Self> {
        let workers = (0..workers.max(1)).map(Handle::start).collect::<io::Result<_>>()?;
        let tables = Tables::new(internals);
        let (listening, inherited) = (BTreeMap::new(), BTreeMap::new());
        let claims = Claims::default();
        Ok(Self { workers, tables, claims, listening, inherited, faults: Vec::new() })
    }

    /// Listens on these where the first snapshot asks for their addresses: they are another
    /// process's, which may hold who has connected and isn't accepted yet.
    pub fn inherit(&mut self, sockets: impl IntoIterator<Item = (Listening, OwnedFd)>) {
        for (at, socket) in sockets {
            self.inherited.entry(at).or_default().push(socket);
        }
    }

    /// What another process needs to listen in place of this one.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn sockets(&self) -> io::Result<Vec<(Listening, OwnedFd)>> {
        let all = self.listening.values().flat_map(|open| {
            let copy = |socket: &OwnedFd| Ok((open.at, socket.try_clone()?));
            open.sockets.iter().map(copy)
        });
        all.collect()
    }

    /// Accepts nothing more: another process does so from the same sockets.
    pub fn hand_over(&mut self) {
        self.listening.clear();
        self.tell_all(|| Order::HandOver);
    }

    /// Serves what `snapshot` says: sockets are opened and closed, tables swapped; requests under
    /// way notice nothing.
    pub fn follow(&mut self, snapshot: &Snapshot) {
        self.tables.follow(snapshot);
        self.faults.clear();
        self.observe(snapshot);
        self.claims.follow(snapshot);
        let wanted = self.claims.wanted(snapshot);
        let gone: Vec<String> = self
            .listening
            .iter()
            .filter(|(name, open)| wanted.get(*name) != Some(&open.at))
            .map(|(name, _)| name.clone())
            .collect();
        for name in gone {
            self.listening.remove(&name);
            self.tell_all(|| Order::Close(name.as_str().into()));
        }
        for (name, at) in wanted {
            if !self.listening.contains_key(&name)
                && let Err(error) = self.listen(&name, at)
            {
                self.faults.push(format!("entry point {name:?}: listening on {}: {error}", at.0));
            }
        }
        self.inherited.clear();
    }

    /// What could not be done as asked: sockets, and routers that are off.
    pub fn faults(&self) -> Vec<String> {
        let routers = self.tables.faults.iter();
        let routers = routers.map(|(id, fault)| format!("router {id}: {}", fault.why));
        let mut faults: Vec<String> = self.faults.iter().cloned().chain(routers).collect();
        for entry in self.tables.entries.values() {
            let table = entry.table.load();
            faults.extend(table.tcp.faults.iter().map(|(router, why)| match router {
                Some(id) => format!("router {id}: {why}"),
                None => format!("entry point {}: {why}", entry.name),
            }));
        }
        faults.extend(self.tables.tls.problems());
        faults
    }

    /// What is as it has to be and may still surprise: whose default certificate is served.
    pub fn notes(&self) -> Vec<String> {
        self.tables.tls.notes()
    }

    /// What there is to read of it.
    pub fn view(&self) -> View {
        View {
            entries: Arc::clone(&self.tables.entries),
            udp: Arc::clone(&self.tables.udp),
            routes: Arc::clone(&self.tables.routes),
            slots: Arc::clone(&self.tables.slots),
            observing: Arc::clone(&self.tables.observing),
            tls: Arc::clone(&self.tables.tls),
            faults: Arc::clone(&self.tables.faults),
        }
    }

    /// The access log goes on in a new file: the old one was moved away.
    pub fn reopen_log(&self) {
        if let Some(log) = &self.tables.observing.load().log {
            log.reopen();
        }
    }

    /// What is counted, logged and traced follows the settings. A log that can't be opened leaves
    /// the old one in place, and so do spans that can't be sent.
    fn observe(&mut self, snapshot: &Snapshot) {
        let settings = &snapshot.settings;
        let old = self.tables.observing.load_full();
        let is_same = old.log.as_ref().map(|log| log.settings()) == settings.access_log.as_ref();
        let spans_are_same =
            old.spans.as_ref().map(|spans| spans.settings()) == settings.tracing.as_ref();
        if is_same && spans_are_same && old.metrics == settings.metrics {
            return;
        }
        let log = match &settings.access_log {
            None => None,
            Some(_) if is_same => old.log.clone(),
            Some(wanted) => match Log::start(wanted, old.log.as_deref()) {
                Ok(log) => Some(Arc::new(log)),
                Err(error) => {
                    self.faults.push(format!("accessLog: {error}"));
                    old.log.clone()
                }
            },
        };
        let spans = match &settings.tracing {
            None => None,
            Some(_) if spans_are_same => old.spans.clone(),
            Some(wanted) => match Spans::start(wanted, old.spans.as_deref()) {
                Ok(spans) => Some(Arc::new(spans)),
                Err(error) => {
                    self.faults.push(format!("tracing: {error}"));
                    old.spans.clone()
                }
            },
        };
        let mut new = Observing::new(settings.metrics.clone(), log, spans);
        if new.bounds == old.bounds {
            new.bounds = Arc::clone(&old.bounds);
        }
        self.tables.observing.store(Arc::new(new));
    }

    /// Ends connections as they become idle, within `patience`; resolves when all are gone.
    pub async fn drain(&mut self, patience: Duration) {
        let mut ends = Vec::new();
        for worker in &self.workers {
            let (done, end) = oneshot::channel();
            worker.tell(Order::Drain(patience, done));
            ends.push(end);
        }
        for end in ends {
            // A worker that is gone has nothing left to end.
            let _gone = end.await;
        }
        let observing = self.tables.observing.load();
        if let Some(log) = &observing.log {
            log.sync(LAST_LINES);
        }
        if let Some(spans) = &observing.spans {
            spans.sync(LAST_LINES);
        }
    }

    fn listen(&mut self, name: &str, at: Listening) -> io::Result<()> {
        let inherited = self.inherited.remove(&at).unwrap_or_default();
        let sockets = match at {
            (address, model::Protocol::Udp) => {
                let Some(entry) = self.tables.udp.get(name) else { return Ok(()) };
                let order = |socket| Order::ListenUdp(Arc::clone(entry), socket);
                self.hand_out(inherited, || udp::bind(address), order)?
            }
            (address, _) => {
                let Some(entry) = self.tables.entries.get(name) else { return Ok(()) };
                let order = |socket| Order::Listen(Arc::clone(entry), socket);
                self.hand_out(inherited, || socket(address), order)?
            }
        };
        self.listening.insert(name.to_owned(), Open { at, sockets });
        Ok(())
    }

    /// A socket for each worker, or for none. Those inherited are all listened on, for somebody may
    /// wait in each; returns copies.
    fn hand_out<S: AsFd + From<OwnedFd>>(
        &self,
        inherited: Vec<OwnedFd>,
        bind: impl Fn() -> io::Result<S>,
        order: impl Fn(S) -> Order,
    ) -> io::Result<Vec<OwnedFd>> {
        let mut sockets: Vec<S> = inherited.into_iter().map(S::from).collect();
        while sockets.len() < self.workers.len() {
            sockets.push(bind()?);
        }
        let copies = sockets.iter().map(|socket| socket.as_fd().try_clone_to_owned());
        let copies = copies.collect::<io::Result<_>>()?;
        for (worker, socket) in self.workers.iter().cycle().zip(sockets) {
            worker.tell(order(socket));
        }
        Ok(copies)
    }

    fn tell_all(&self, order: impl Fn() -> Order) {
        self.workers.iter().for_each(|worker| worker.tell(order()));
    }
}

/// Whose routers an entry point has; made anew only where routers change.
#[derive(Default)]
struct Claims {
    made_from: Option<Arc<BTreeMap<Id, Router>>>,
    kernel: BTreeSet<String>,
    proxy: BTreeSet<String>,
}

impl Claims {
    fn follow(&mut self, snapshot: &Snapshot) {
        let routers = &snapshot.routers;
        if self.made_from.as_ref().is_some_and(|old| Arc::ptr_eq(old, routers)) {
            return;
        }
        let points = |path| {
            let of_path = routers.values().filter(move |router| router.path == path);
            of_path.flat_map(|router| router.entry_points.iter().cloned()).collect()
        };
        *self = Self {
            kernel: points(Path::Kernel),
            proxy: points(Path::Proxy),
            made_from: Some(Arc::clone(routers)),
        };
    }

    /// Where to listen: every TCP entry point but those that the kernel serves, and those of UDP that
    /// a router here wants.
    fn wanted(&self, snapshot: &Snapshot) -> BTreeMap<String, Listening> {
        let of_host = |point: &EntryPoint| point.ip.is_none_or(|ip| ip.is_loopback());
        let points = snapshot.entry_points.values().filter(|point| {
            let takes_all = point.protocol == model::Protocol::Tcp && of_host(point);
            self.proxy.contains(&point.name) || takes_all && !self.kernel.contains(&point.name)
        });
        points
            .map(|point| {
                let ip = point.ip.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
                (point.name.clone(), (SocketAddr::new(ip, point.port), point.protocol))
            })
            .collect()
    }
}

/// A socket that listens beside those of the other workers. An address that the host doesn't
/// have yet is taken as well: it may come.
fn socket(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    if address.is_ipv4() {
        socket.set_freebind_v4(true)?;
    } else {
        socket.set_freebind_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
