//! What TCP servers share: a listener, a thread for each connection, control.

use std::{
    collections::BTreeMap,
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context, Result};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::Namespace;

/// What a server does with one connection.
pub type Handler = dyn Fn(TcpStream) + Send + Sync;

/// A TCP server on its threads.
pub struct TcpServer {
    address: SocketAddr,
    handler: Arc<Handler>,
    shared: Arc<Shared>,
    listening: Option<(Socket, JoinHandle<()>)>,
}

#[derive(Default)]
struct Shared {
    accepted: AtomicU64,
    next: AtomicU64,
    open: Mutex<BTreeMap<u64, TcpStream>>,
}

impl TcpServer {
    /// Listens on `address` inside `ns` and gives each connection to `handler` on a thread of its own.
    pub fn start(ns: &Namespace, address: SocketAddr, handler: Arc<Handler>) -> Result<Self> {
        let mut server = Self { address, handler, shared: Arc::default(), listening: None };
        server.listen(ns)?;
        Ok(server)
    }

    /// Listens again after [`Self::stop`] or [`Self::kill`].
    pub fn listen(&mut self, ns: &Namespace) -> Result<()> {
        let address = self.address;
        let socket =
            ns.run(|| listener(address)).with_context(|| format!("listening on {address}"))?;
        let accepting: TcpListener = socket.try_clone()?.into();
        let (handler, shared) = (Arc::clone(&self.handler), Arc::clone(&self.shared));
        let thread = ns.spawn("accept", move || accept_all(&accepting, &handler, &shared))?;
        self.listening = Some((socket, thread));
        Ok(())
    }

    /// Connections accepted so far.
    pub fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::Relaxed)
    }

    /// Connections open now.
    pub fn open(&self) -> usize {
        self.shared.open().len()
    }

    /// Stops listening: new connections are refused, open ones live on.
    pub fn stop(&mut self) {
        if let Some((socket, thread)) = self.listening.take() {
            // Wakes the accepting thread; the socket is closed by both drops.
            let _ = socket.shutdown(Shutdown::Both);
            drop(socket);
            let _ = thread.join();
        }
    }

    /// Ends as a killed process does: new connections are refused, open ones reset.
    pub fn kill(&mut self) {
        self.stop();
        for stream in std::mem::take(&mut *self.shared.open()).into_values() {
            // With no time to linger, the shutdown below and the last close send RST.
            let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for TcpServer {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Shared {
    fn open(&self) -> MutexGuard<'_, BTreeMap<u64, TcpStream>> {
        self.open.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

fn listener(address: SocketAddr) -> std::io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(4096)?;
    Ok(socket)
}

fn accept_all(listener: &TcpListener, handler: &Arc<Handler>, shared: &Arc<Shared>) {
    loop {
        let stream = match listener.accept() {
            Ok((stream, _)) => stream,
            // EINVAL: the listener was shut down.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => return,
            Err(_) => continue,
        };
        shared.accepted.fetch_add(1, Ordering::Relaxed);
        serve(stream, Arc::clone(handler), Arc::clone(shared));
    }
}

fn serve(stream: TcpStream, handler: Arc<Handler>, shared: Arc<Shared>) {
    let id = shared.next.fetch_add(1, Ordering::Relaxed);
    let Ok(kept) = stream.try_clone() else { return };
    shared.open().insert(id, kept);
    let threads = std::thread::Builder::new().stack_size(256 * 1024);
    let spawned = threads.spawn({
        let shared = Arc::clone(&shared);
        move || {
            handler(stream);
            shared.open().remove(&id);
        }
    });
    if spawned.is_err() {
        shared.open().remove(&id);
    }
}
