//! Host names of servers, kept resolved.
//!
//! Each name is resolved again when its TTL ends. After a failure the last
//! answer stays and the name is tried again, less and less often.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::{
    sync::{Notify, Semaphore, mpsc},
    task::AbortHandle,
    time::sleep,
};

use super::{
    Counters,
    dns::{Answer, Dns},
};
use crate::{
    model::{PerService, Server, Service, Snapshot},
    reconcile::Event,
};

/// Shortest and longest time an answer is believed.
const TTL: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));
/// First and longest pause after a failure; it doubles in between.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// Names asked for at the same time.
const AT_ONCE: usize = 64;

/// Keeps the host names of all servers resolved and tells their addresses as [`Event::Resolved`].
///
/// Dropping it ends that. [`Names::update`] wants a tokio runtime around it.
pub struct Names {
    shared: Arc<Shared>,
    /// Host names, and whether the service has backends of each.
    named: PerService<Vec<(String, bool)>>,
    running: HashMap<String, Running>,
}

/// What is known of one host name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameState {
    /// The last answer, sorted; empty when there was none yet.
    pub addresses: Vec<IpAddr>,
    /// Why the latest look-up failed; the last answer stays meanwhile.
    pub error: Option<String>,
    /// Seconds since the epoch of the last answer, 0 for none.
    pub resolved_at: u64,
}

/// States by name, to be read by whoever shows them.
pub type NameStates = Arc<Mutex<BTreeMap<String, NameState>>>;

struct Shared {
    dns: Dns,
    asking: Semaphore,
    states: NameStates,
    counters: Arc<Counters>,
    events: mpsc::Sender<Event>,
}

/// A task, ended when dropped.
struct Running {
    /// The snapshot has no backends of this name: tell its addresses again.
    missing: Arc<Notify>,
    abort: AbortHandle,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.abort.abort();
    }
}

impl Names {
    /// Without names; answers go to `events`, counts to `counters`.
    pub fn new(events: mpsc::Sender<Event>, counters: Arc<Counters>) -> Self {
        Self::with_dns(events, counters, Dns::default())
    }

    pub(crate) fn with_dns(events: mpsc::Sender<Event>, counters: Arc<Counters>, dns: Dns) -> Self {
        let asking = Semaphore::new(AT_ONCE);
        let shared = Shared { dns, asking, states: NameStates::default(), counters, events };
        Self { shared: Arc::new(shared), named: PerService::default(), running: HashMap::new() }
    }

    /// What is known of each name now.
    pub fn states(&self) -> NameStates {
        Arc::clone(&self.shared.states)
    }

    /// Resolves the names that `snapshot` has: new ones at once, those gone no more.
    pub fn update(&mut self, snapshot: &Snapshot) {
        self.named.follow(&snapshot.services, names);
        let mut wanted: BTreeMap<&str, bool> = BTreeMap::new();
        for (host, has_backends) in self.named.iter().flatten() {
            *wanted.entry(host).or_insert(true) &= has_backends;
        }
        self.running.retain(|host, _| wanted.contains_key(host.as_str()));
        lock(&self.shared.states).retain(|host, _| wanted.contains_key(host.as_str()));
        for (host, has_backends) in wanted {
            match self.running.get(host) {
                Some(running) if !has_backends => running.missing.notify_one(),
                Some(_) => {}
                None => {
                    let running = start(&self.shared, host);
                    self.running.insert(host.to_owned(), running);
                }
            }
        }
    }
}

fn start(shared: &Arc<Shared>, host: &str) -> Running {
    lock(&shared.states).entry(host.to_owned()).or_default();
    let missing = Arc::new(Notify::new());
    let task = Task {
        host: host.to_owned(),
        shared: Arc::clone(shared),
        missing: Arc::clone(&missing),
        last: Vec::new(),
        failures: 0,
    };
    Running { missing, abort: tokio::spawn(task.run()).abort_handle() }
}

/// Host names of servers, and whether the service has backends of each server of theirs.
fn names(service: &Service) -> Vec<(String, bool)> {
    let named = service.servers.iter().filter(|server| server.is_named());
    named.map(|server| (server.host.clone(), has_backends(service, server))).collect()
}

fn has_backends(service: &Service, server: &Server) -> bool {
    let address = server.address();
    service.backends.iter().any(|backend| backend.server == address && !backend.leaving)
}

struct Task {
    host: String,
    shared: Arc<Shared>,
    missing: Arc<Notify>,
    /// What was told last.
    last: Vec<IpAddr>,
    failures: u32,
}

impl Task {
    async fn run(mut self) {
        loop {
            let found = match self.shared.asking.acquire().await {
                Ok(_turn) => self.shared.dns.lookup(&self.host).await,
                Err(_) => return,
            };
            self.shared.counters.count_lookup(found.is_ok());
            let pause = match found {
                Ok(answer) => self.take(answer).await,
                Err(error) => self.fail(error),
            };
            self.rest(pause).await;
        }
    }

    /// Tells a new answer and returns how long it holds.
    async fn take(&mut self, answer: Answer) -> Duration {
        self.failures = 0;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
        let is_new = self.last != answer.addresses;
        if is_new {
            tracing::info!("{} resolves to {}", self.host, listed(&answer.addresses));
        }
        self.last.clone_from(&answer.addresses);
        self.record(|state| {
            *state = NameState { addresses: answer.addresses, error: None, resolved_at: now };
        });
        if is_new {
            self.tell().await;
        }
        answer.ttl.clamp(TTL.0, TTL.1)
    }

    /// Keeps the last answer and returns how long to wait.
    fn fail(&mut self, error: String) -> Duration {
        if self.failures == 0 {
            let kept = if self.last.is_empty() { "" } else { "; the last answer stays" };
            tracing::warn!("{} can't be resolved: {error}{kept}", self.host);
        }
        self.record(|state| state.error = Some(error));
        let pause = backoff(self.failures);
        self.failures = self.failures.saturating_add(1);
        pause.mul_f64(0.9 + 0.2 * fastrand::f64())
    }

    /// Waits, and meanwhile tells the last answer again when it is missing.
    async fn rest(&mut self, pause: Duration) {
        let again = async {
            loop {
                self.missing.notified().await;
                if !self.last.is_empty() {
                    self.tell().await;
                }
                // Telling makes a snapshot, and a snapshot may ask to be told.
                sleep(TTL.0).await;
            }
        };
        tokio::select! {
            () = sleep(pause) => {}
            () = again => {}
        }
    }

    async fn tell(&self) {
        let event = Event::Resolved { host: self.host.clone(), addresses: self.last.clone() };
        // Nobody listens any more: the daemon ends, and so will this task.
        let _ = self.shared.events.send(event).await;
    }

    /// Changes the state shown, unless the name has gone meanwhile.
    fn record(&self, change: impl FnOnce(&mut NameState)) {
        if let Some(state) = lock(&self.shared.states).get_mut(&self.host) {
            change(state);
        }
    }
}

fn lock(states: &NameStates) -> std::sync::MutexGuard<'_, BTreeMap<String, NameState>> {
    states.lock().unwrap_or_else(PoisonError::into_inner)
}

fn listed(addresses: &[IpAddr]) -> String {
    addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ")
}

/// The pause after the failure that follows `failures` others.
fn backoff(failures: u32) -> Duration {
    RETRY.0.saturating_mul(1 << failures.min(6)).min(RETRY.1)
}
