//! Clients that go on connecting while something is done to the backends.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::Result;
use lb_tests::Namespace;
use lb_tests::client::http;

const THREADS: usize = 4;
/// Between two connections of a client.
const PAUSE: Duration = Duration::from_millis(8);

/// Clients at work, each on a thread of its own; ended on drop.
pub(super) struct Clients {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    requests: Mutex<Vec<Request>>,
}

/// One that has come to its end.
struct Request {
    ended: Instant,
    /// Who answered; `None` when it failed.
    by: Option<String>,
}

/// What became of the requests of a while.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    /// Answers by backend, in the order of the names given.
    pub(super) answers: Vec<u64>,
    pub(super) failed: u64,
    /// The end of the last that failed.
    pub(super) last_failure: Option<Instant>,
}

impl Clients {
    pub(super) fn start(ns: &Namespace, target: SocketAddr) -> Result<Self> {
        let mut clients = Self { shared: Arc::default(), threads: Vec::new() };
        for n in 0..THREADS {
            let shared = Arc::clone(&clients.shared);
            let thread = ns.spawn(&format!("client-{n}"), move || shared.ask(target))?;
            clients.threads.push(thread);
        }
        Ok(clients)
    }

    /// What ended within these bounds, by the backends named.
    pub(super) fn count(&self, names: &[&str], from: Instant, to: Instant) -> Count {
        let mut count = Count { answers: vec![0; names.len()], ..Count::default() };
        let requests = self.shared.requests.lock().unwrap_or_else(PoisonError::into_inner);
        for request in requests.iter().filter(|r| r.ended >= from && r.ended < to) {
            let by = request.by.as_deref();
            match names.iter().position(|name| by == Some(*name)) {
                Some(n) => count.answers[n] += 1,
                None => {
                    count.failed += 1;
                    count.last_failure = count.last_failure.max(Some(request.ended));
                }
            }
        }
        count
    }

    /// When this backend answered first since then.
    pub(super) fn first_answer(&self, name: &str, since: Instant) -> Option<Instant> {
        let requests = self.shared.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let by = requests.iter().filter(|request| request.by.as_deref() == Some(name));
        by.map(|request| request.ended).filter(|ended| *ended >= since).min()
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // One that panicked has said so.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn ask(&self, target: SocketAddr) {
        while !self.stop.load(Ordering::Relaxed) {
            let answer = http::get(target, "/").ok().filter(|answer| answer.status == 200);
            let request = Request { by: answer.map(|a| a.text()), ended: Instant::now() };
            self.requests.lock().unwrap_or_else(PoisonError::into_inner).push(request);
            thread::sleep(PAUSE);
        }
    }
}
