//! A UDP server that answers `name:` and what it was sent.

use std::{
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context, Result};

use crate::Namespace;

/// A UDP echo server on its thread.
pub struct UdpEcho {
    address: SocketAddr,
    name: String,
    answered: Arc<AtomicU64>,
    running: Option<(Arc<AtomicBool>, JoinHandle<()>)>,
}

impl UdpEcho {
    /// Answers on `address` inside `ns`.
    pub fn start(ns: &Namespace, address: SocketAddr, name: &str) -> Result<Self> {
        let mut server =
            Self { address, name: name.to_owned(), answered: Arc::default(), running: None };
        server.listen(ns)?;
        Ok(server)
    }

    /// Answers again after [`Self::kill`].
    pub fn listen(&mut self, ns: &Namespace) -> Result<()> {
        let address = self.address;
        let socket =
            ns.run(|| UdpSocket::bind(address)).with_context(|| format!("binding {address}"))?;
        // Short, so that the end is noticed soon.
        socket.set_read_timeout(Some(Duration::from_millis(50)))?;
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&self.answered));
            let name = self.name.clone();
            move || answer_all(&socket, &name, &stop, &answered)
        });
        self.running = Some((stop, thread));
        Ok(())
    }

    /// Datagrams answered so far.
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Closes the socket: datagrams get port unreachable.
    pub fn kill(&mut self) {
        if let Some((stop, thread)) = self.running.take() {
            stop.store(true, Ordering::Relaxed);
            let _ = thread.join();
        }
    }
}

impl Drop for UdpEcho {
    fn drop(&mut self) {
        self.kill();
    }
}

fn answer_all(socket: &UdpSocket, name: &str, stop: &AtomicBool, answered: &AtomicU64) {
    let mut buffer = vec![0; 65_536];
    while !stop.load(Ordering::Relaxed) {
        let Ok((n, from)) = socket.recv_from(&mut buffer) else { continue };
        let mut reply = format!("{name}:").into_bytes();
        reply.extend_from_slice(&buffer[..n]);
        // One that can't be sent is a lost datagram, as any is.
        if socket.send_to(&reply, from).is_ok() {
            answered.fetch_add(1, Ordering::Relaxed);
        }
    }
}
