//! A place at a server, for one request or connection.

use std::{
    sync::{Arc, atomic::Ordering::SeqCst},
    time::Duration,
};

use super::{Server, clock};

/// A server that was picked. It counts as active until this is dropped.
#[derive(Debug)]
pub struct Ticket {
    /// `None` only once the place was given back.
    server: Option<Arc<Server>>,
    /// Whether the client has to be told its session.
    is_new_session: bool,
}

/// How long an answer took that is no use, as far as `leastTime` is concerned: a server that fails
/// at once is not fast.
const LATE: Duration = Duration::from_secs(1);

impl Ticket {
    /// For a place that was counted already.
    pub(super) fn of(server: &Arc<Server>) -> Self {
        Self { server: Some(server.clone()), is_new_session: server.cookie.is_some() }
    }

    /// For a session that the client knows already.
    pub(super) fn of_session(server: &Arc<Server>) -> Self {
        Self { server: Some(server.clone()), is_new_session: false }
    }

    /// The server.
    pub fn server(&self) -> &Arc<Server> {
        self.server.as_ref().expect("a place that was not given back")
    }

    /// What `Set-Cookie` the answer needs, if any.
    pub fn set_cookie(&self) -> Option<&str> {
        let (_, text) = self.server().cookie.as_ref().filter(|_| self.is_new_session)?;
        Some(text)
    }

    /// Says that the server answered, with which status, and how long the head of the answer took.
    pub fn finished(&self, status: u16, took: Duration) {
        self.say(status >= 500, took);
    }

    /// Says that the server could not be reached, broke off or was too slow. Where the client went
    /// away nothing is to be said.
    pub fn failed(&self) {
        self.say(true, Duration::ZERO);
    }

    fn say(&self, is_failure: bool, took: Duration) {
        let server = self.server();
        if server.is_timed || server.passive.is_some() {
            self.say_at(is_failure, took, clock::now());
        }
    }

    pub(super) fn say_at(&self, is_failure: bool, took: Duration, now: u64) {
        let server = self.server();
        if server.is_timed {
            server.observe(if is_failure { took.max(LATE) } else { took }, now);
        }
        if let Some(passive) = &server.passive {
            passive.finished(server, is_failure, took, now);
        }
    }

    /// Gives the place back without serving those who wait.
    pub(super) fn give_back(mut self) {
        if let Some(server) = self.server.take() {
            server.leave();
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let Some(server) = self.server.take() else { return };
        server.leave();
        if let Some(queue) = &server.queue
            && server.stats.is_open.load(SeqCst)
        {
            queue.serve(&server);
        }
    }
}
