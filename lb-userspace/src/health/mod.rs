//! Health: who of the backends may take connections, and where their names point.
//!
//! [`Monitor`] runs the checks of every service of a snapshot and tells the one
//! writer their verdicts as [`Event::Health`]; [`Names`] keeps host names
//! resolved and tells their addresses as [`Event::Resolved`]. Neither changes
//! anything itself.
//!
//! A new kind of check is one file with a [`probe::Probe`] and one line in [`probe::of`].

mod counters;
mod damping;
pub(crate) mod dns;
mod grpc;
mod http;
mod outputs;
mod probe;
mod resolve;
mod socket;
mod task;
mod tcp;
#[cfg(test)]
mod tests;
mod tls;

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::{
    sync::{Semaphore, mpsc, watch},
    task::AbortHandle,
};

/// For checks that aren't of a snapshot's backends.
pub(crate) mod ask {
    pub(crate) use super::{
        dns::Dns,
        grpc::Grpc,
        http::Http,
        probe::{Failure, Host, Probe, Target},
        tcp::Tcp,
    };
}

pub use counters::{CheckResult, Counters};
use probe::{Host, Target};
pub use resolve::{NameState, NameStates, Names};
use task::{Plan, Shared, Shown, Task};

use crate::{
    model::{Backend, BackendId, BackendState, Health, HealthCheck, Id, Service, Snapshot},
    reconcile::Event,
};

/// First and last port that checks send from. NAT never uses them
/// (`KernelConfig::own_port_first`), so that no check meets a client's flow.
pub const PORTS: (u16, u16) = (32_256, 32_767);

/// Start of the first checks is spread by this much for each backend that is new.
const SPREAD: Duration = Duration::from_micros(200);
/// New backends up to this many are checked at once.
const AT_ONCE: usize = 64;

/// Runs the checks of all services.
///
/// Dropping it ends them. All methods but [`Monitor::counters`] want a tokio runtime around them.
pub struct Monitor {
    shared: Arc<Shared>,
    services: HashMap<Id, Watched>,
    seeds: HashMap<BackendId, BackendState>,
}

/// A service, checked or not.
struct Watched {
    service: Arc<Service>,
    tasks: HashMap<SocketAddr, Running>,
}

/// A task, ended when dropped.
struct Running {
    plan: watch::Sender<Arc<Plan>>,
    shown: Arc<Shown>,
    abort: AbortHandle,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.abort.abort();
    }
}

impl Monitor {
    /// A monitor without checks; verdicts go to `events`. Raises the limit of open files as far
    /// as this process may.
    pub fn new(events: mpsc::Sender<Event>) -> Self {
        Self::with_host(events, Host::default())
    }

    fn with_host(events: mpsc::Sender<Event>, host: Host) -> Self {
        let shared = Shared {
            host,
            counters: Arc::default(),
            sockets: Semaphore::new(sockets()),
            budget: Default::default(),
            events,
        };
        Self { shared: Arc::new(shared), services: HashMap::new(), seeds: HashMap::new() }
    }

    /// What the checks have counted since the start.
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.shared.counters)
    }

    /// A verdict from before this daemon's start (a backend adopted from the kernel): it stays
    /// until the backend's checks say otherwise. To be called before the first [`Self::update`]
    /// that has the backend; what the snapshot itself says of a backend counts the same.
    pub fn seed(&mut self, backend: BackendId, state: BackendState) {
        self.seeds.insert(backend, state);
    }

    /// Checks what `snapshot` has (leaving backends too, until they expire): new backends soon, changed checks at once, those gone no more.
    /// Cheap where services are the same `Arc` as before.
    pub fn update(&mut self, snapshot: &Snapshot) {
        self.services.retain(|id, _| snapshot.services.contains_key(id));
        let new = self.count_new(&snapshot.services);
        for (id, service) in &snapshot.services {
            let old = self.services.get(id);
            if !old.is_some_and(|old| Arc::ptr_eq(&old.service, service)) {
                self.watch(service, new);
            }
        }
    }

    /// How many checks are about to begin.
    fn count_new(&self, services: &BTreeMap<Id, Arc<Service>>) -> usize {
        let checked = services.values().filter(|service| service.health_check.is_some());
        let running = |id| self.services.get(id).map_or(0, |old| old.tasks.len());
        checked.map(|service| service.backends.len().saturating_sub(running(&service.id))).sum()
    }

    /// Brings the tasks of one service in line with it.
    fn watch(&mut self, service: &Arc<Service>, new: usize) {
        let (mut old, before) = match self.services.remove(&service.id) {
            Some(old) => (old.tasks, Some(old.service)),
            None => (HashMap::new(), None),
        };
        let mut tasks = HashMap::new();
        for (backend, check) in checks(service) {
            let plan = Plan::new(check.clone(), target(backend, check));
            let running = match old.remove(&backend.address) {
                Some(running) => running.follow(plan, backend.health.state),
                None => {
                    let served = before.as_ref().is_some_and(|old| serves_unchecked(old, backend));
                    self.start(&service.id, backend, plan, served, new)
                }
            };
            tasks.insert(backend.address, running);
        }
        self.services.insert(service.id.clone(), Watched { service: Arc::clone(service), tasks });
    }

    fn start(
        &mut self,
        service: &Id,
        backend: &Backend,
        plan: Plan,
        served: bool,
        new: usize,
    ) -> Running {
        let id = BackendId { service: service.clone(), address: backend.address };
        let state = match (self.seeds.remove(&id), backend.health.state) {
            (Some(seeded), _) => seeded,
            (None, known @ (BackendState::Up | BackendState::Down)) => known,
            (None, _) if served => BackendState::Unchecked,
            (None, _) => BackendState::Pending,
        };
        let wait = first_wait(new, plan.check.interval);
        let (sender, receiver) = watch::channel(Arc::new(plan));
        let start = Health { state, ..backend.health.clone() };
        let task = Task::new(id, Arc::clone(&self.shared), receiver, start);
        let shown = task.shown();
        shown.compare(backend.health.state);
        let abort = tokio::spawn(task.run(wait)).abort_handle();
        Running { plan: sender, shown, abort }
    }
}

impl Running {
    /// Goes on with `plan`; a changed one is checked at once.
    fn follow(self, plan: Plan, seen: BackendState) -> Self {
        self.shown.compare(seen);
        self.plan.send_if_modified(|old| {
            let is_new = old.check != plan.check || old.target != plan.target;
            if is_new {
                *old = Arc::new(plan);
            }
            is_new
        });
        self
    }
}

/// The backends of a service that are to be checked, and how. Those whose time is over aren't.
fn checks(service: &Service) -> impl Iterator<Item = (&Backend, &HealthCheck)> {
    let check = service.health_check.iter();
    check.flat_map(|check| {
        let alive = service.backends.iter().filter(|backend| !backend.expired);
        alive.map(move |backend| (backend, check))
    })
}

/// Whether `backend` took connections in `old` without any check: it goes on until the first verdict.
fn serves_unchecked(old: &Service, backend: &Backend) -> bool {
    old.health_check.is_none() && old.backends.iter().any(|b| b.address == backend.address)
}

/// Where a check connects to: the backend, at the check's port if it has one.
fn target(backend: &Backend, check: &HealthCheck) -> Target {
    let mut address = backend.address;
    address.set_port(check.port.unwrap_or(address.port()));
    let host = backend.server.rsplit_once(':').map_or(backend.server.as_str(), |(host, _)| host);
    Target {
        address,
        host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
        scheme: backend.options.scheme,
    }
}

/// A random wait before the first check, so that `new` of them don't start in one burst.
fn first_wait(new: usize, interval: Duration) -> Duration {
    if new <= AT_ONCE {
        return Duration::ZERO;
    }
    let spread = SPREAD.saturating_mul(u32::try_from(new).unwrap_or(u32::MAX)).min(interval);
    spread.mul_f64(fastrand::f64())
}

/// How many sockets checks may hold at once: half of the files this process may open.
fn sockets() -> usize {
    let limit = match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok((soft, hard)) if soft < hard => {
            setrlimit(Resource::RLIMIT_NOFILE, hard, hard).map_or(soft, |()| hard)
        }
        Ok((soft, _)) => soft,
        Err(_) => 1024,
    };
    usize::try_from(limit / 2).unwrap_or(usize::MAX).clamp(16, 16_384)
}
