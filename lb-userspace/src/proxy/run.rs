//! The proxy as the daemon drives it: workers, sockets, and tables that follow the snapshot.

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::oneshot;

use super::{
    Internals,
    table::Tables,
    worker::{Handle, Order},
};
use crate::model::{self, EntryPoint, Path, Snapshot};

/// Connections that may wait to be accepted, for each worker.
const BACKLOG: i32 = 4096;

/// Workers and what they serve. Dropping it ends nothing: see [`Self::drain`].
pub struct Proxy {
    workers: Vec<Handle>,
    tables: Tables,
    /// By entry point: where it listens.
    listening: BTreeMap<String, SocketAddr>,
    faults: Vec<String>,
}

impl Proxy {
    /// Whether `snapshot` has anything for a proxy to do.
    pub fn is_needed(snapshot: &Snapshot) -> bool {
        !wanted(snapshot).is_empty()
    }

    /// Starts `workers` workers; nothing is served yet. Without `internals` there are no internal
    /// services but `ping` and `noop`.
    ///
    /// # Errors
    /// Threads can't be made.
    pub fn start(workers: usize, internals: Option<Internals>) -> io::Result<Self> {
        let workers = (0..workers.max(1)).map(Handle::start).collect::<io::Result<_>>()?;
        let tables = Tables::new(internals);
        Ok(Self { workers, tables, listening: BTreeMap::new(), faults: Vec::new() })
    }

    /// Serves what `snapshot` says: sockets are opened and closed, tables swapped; requests under
    /// way notice nothing.
    pub fn follow(&mut self, snapshot: &Snapshot) {
        self.tables.follow(snapshot);
        self.faults.clear();
        let wanted = wanted(snapshot);
        let gone: Vec<String> = self
            .listening
            .iter()
            .filter(|(name, address)| wanted.get(*name) != Some(address))
            .map(|(name, _)| name.clone())
            .collect();
        for name in gone {
            self.listening.remove(&name);
            self.tell_all(|| Order::Close(name.as_str().into()));
        }
        for (name, address) in wanted {
            if !is_on_host(address.ip()) {
                self.faults.push(format!(
                    "entry point {name:?}: this host doesn't have {}, so that nothing comes in there; \
                     lb adds the addresses of kernel routers alone so far: add it by `ip address add`",
                    address.ip()
                ));
            }
            if !self.listening.contains_key(&name)
                && let Err(error) = self.listen(&name, address)
            {
                self.faults.push(format!("entry point {name:?}: listening on {address}: {error}"));
            }
        }
    }

    /// What could not be done as asked: sockets, and routers that are off.
    pub fn faults(&self) -> Vec<String> {
        let routers = self.tables.faults.iter().map(|(id, why)| format!("router {id}: {why}"));
        self.faults.iter().cloned().chain(routers).collect()
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
    }

    fn listen(&mut self, name: &str, address: SocketAddr) -> io::Result<()> {
        let Some(entry) = self.tables.entries.get(name) else { return Ok(()) };
        let sockets =
            self.workers.iter().map(|_| socket(address)).collect::<io::Result<Vec<_>>>()?;
        for (worker, socket) in self.workers.iter().zip(sockets) {
            worker.tell(Order::Listen(Arc::clone(entry), socket));
        }
        self.listening.insert(name.to_owned(), address);
        Ok(())
    }

    fn tell_all(&self, order: impl Fn() -> Order) {
        self.workers.iter().for_each(|worker| worker.tell(order()));
    }
}

/// Where to listen: every TCP entry point but those that the kernel serves.
fn wanted(snapshot: &Snapshot) -> BTreeMap<String, SocketAddr> {
    let in_kernel = |point: &EntryPoint| {
        snapshot
            .routers
            .values()
            .any(|r| r.path == Path::Kernel && r.entry_points.contains(&point.name))
    };
    let in_proxy = |point: &EntryPoint| {
        snapshot
            .routers
            .values()
            .any(|r| r.path == Path::Proxy && r.entry_points.contains(&point.name))
    };
    let of_host = |point: &EntryPoint| point.ip.is_none_or(|ip| ip.is_loopback());
    let points = snapshot.entry_points.values().filter(|point| {
        point.protocol == model::Protocol::Tcp
            && (in_proxy(point) || of_host(point) && !in_kernel(point))
    });
    points
        .map(|point| {
            let ip = point.ip.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
            (point.name.clone(), SocketAddr::new(ip, point.port))
        })
        .collect()
}

/// Whether a packet to this address comes to a socket here.
fn is_on_host(ip: IpAddr) -> bool {
    std::net::UdpSocket::bind((ip, 0)).is_ok()
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
