//! UDP: datagrams of one client go to one server for as long as either says something.
//!
//! Each worker has a socket of its own for an entry point, and the kernel gives it all datagrams
//! of a client: sessions belong to one worker, and nothing is shared.

mod session;
mod socket;
#[cfg(test)]
mod tests;

use std::{
    cell::RefCell,
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use tokio::{sync::oneshot, task::coop};

use super::tcp::{Refusal, Service, Stats};
use crate::model::Id;
use session::{Failed, Session};
pub(crate) use socket::Socket;

/// Sessions of one worker at one entry point; each has a socket.
const SESSIONS: usize = 16_384;
/// The longest datagram.
const LONGEST: usize = 65_536;

/// An entry point, as long as it exists.
pub(crate) struct Entry {
    pub(crate) name: Arc<str>,
    /// `None` while no router is there: datagrams are dropped.
    pub(crate) route: ArcSwapOption<Route>,
}

/// The router that takes all of an entry point's datagrams.
pub(crate) struct Route {
    pub(crate) id: Id,
    pub(crate) service: Arc<dyn Service>,
    /// Of a session without a datagram.
    pub(crate) timeout: Duration,
    pub(crate) stats: Arc<Stats>,
}

/// Whose session it is: a client, and the address it talks to.
type Client = (SocketAddr, Option<IpAddr>);

struct Listener {
    socket: Rc<Socket>,
    sessions: RefCell<HashMap<Client, Session>>,
    most: usize,
    scratch: Rc<RefCell<Vec<u8>>>,
}

/// Sessions in which nothing was said for so long have nothing under way.
const QUIET: Duration = Duration::from_secs(1);

/// Serves an entry point's datagrams until it is told to close, and then those of servers that are
/// still under way; what it is told is dropped after that.
pub(crate) async fn serve<T>(socket: Socket, entry: Arc<Entry>, closed: oneshot::Receiver<T>) {
    serve_up_to(SESSIONS, socket, entry, closed).await;
}

async fn serve_up_to<T>(
    most: usize,
    socket: Socket,
    entry: Arc<Entry>,
    closed: oneshot::Receiver<T>,
) {
    let listener = Listener {
        socket: Rc::new(socket),
        sessions: RefCell::default(),
        most,
        scratch: Rc::new(RefCell::new(vec![0; LONGEST])),
    };
    let _told = tokio::select! {
        never = listener.serve(&entry) => match never {},
        told = closed => told,
    };
    while listener.is_busy() {
        tokio::time::sleep(QUIET / 20).await;
    }
}

impl Listener {
    async fn serve(&self, entry: &Entry) -> std::convert::Infallible {
        loop {
            let pause = self.sweep(entry);
            // Looks for sessions that have ended even while datagrams keep coming.
            let _time_is_up = tokio::time::timeout(pause, self.receive(entry)).await;
        }
    }

    /// Whether any server may be about to answer; sessions that have nothing under way end.
    fn is_busy(&self) -> bool {
        let now = Instant::now();
        let mut sessions = self.sessions.borrow_mut();
        sessions.retain(|_, session| session.is_alive(now) && session.silence(now) < QUIET);
        !sessions.is_empty()
    }

    /// Receives and forwards for ever.
    async fn receive(&self, entry: &Entry) {
        loop {
            coop::consume_budget().await;
            if let Err(error) = self.socket.readable().await {
                tracing::warn!("entry point {}: {error}", entry.name);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            let mut scratch = self.scratch.borrow_mut();
            let received = self.socket.try_receive(&mut scratch);
            // Errors of single datagrams (ICMP about a client that is gone) are nobody's concern.
            let Ok((count, client, local)) = received else { continue };
            let Some(route) = &*entry.route.load() else { continue };
            if let Err(refusal) = self.forward((client, local), &scratch[..count], route) {
                route.stats.refuse(refusal);
            }
        }
    }

    /// Sends a datagram to the client's server; to another one where that is gone.
    fn forward(&self, client: Client, bytes: &[u8], route: &Arc<Route>) -> Result<(), Refusal> {
        let mut sessions = self.sessions.borrow_mut();
        let mut avoid = None;
        if let Some(session) = sessions.get(&client) {
            match session.send(bytes) {
                Ok(()) => return Ok(()),
                Err(Failed::Busy) => return Err(Refusal::Overrun),
                Err(Failed::Gone(server)) => {
                    sessions.remove(&client);
                    avoid = Some(server);
                }
            }
        }
        if sessions.len() >= self.most {
            sessions.retain(|_, session| session.is_alive(Instant::now()));
            if sessions.len() >= self.most {
                return Err(Refusal::TooMany);
            }
        }
        let session = Session::open(client, avoid, route, &self.socket, &self.scratch)?;
        let sent = session.send(bytes);
        sessions.insert(client, session);
        sent.map_err(|_| Refusal::Unreachable)
    }

    /// Ends sessions that are over; how long until the next look.
    fn sweep(&self, entry: &Entry) -> Duration {
        let now = Instant::now();
        self.sessions.borrow_mut().retain(|_, session| session.is_alive(now));
        let timeout = entry.route.load().as_ref().map_or(Duration::MAX, |route| route.timeout);
        (timeout / 4).clamp(Duration::from_millis(10), Duration::from_secs(1))
    }
}

/// Binds a socket beside those of the other workers.
///
/// # Errors
/// Those of the operating system.
pub(crate) fn bind(address: SocketAddr) -> io::Result<std::net::UdpSocket> {
    socket::bind(address)
}
