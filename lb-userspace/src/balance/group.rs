//! The servers of one service.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering::Relaxed, atomic::Ordering::SeqCst},
    time::Duration,
};

use super::{
    Key, NoServer, Server, Ticket,
    algorithm::{self, Ask, Choose, Cursor},
    clock,
    cookie::{self, Sticky},
    passive::{Failures, Passive},
    queue::Queue,
    server::Stats,
};
use crate::{
    model::{Algorithm, Backend, BackendState, Id, OnDown, Service},
    plan::maglev::identity,
};

/// The servers of a service, and how one of them is picked. Shared by all workers.
#[derive(Debug)]
pub struct Group {
    id: Id,
    /// All that are known, in order of address.
    members: Vec<Arc<Server>>,
    /// Those that take new requests.
    open: Vec<Arc<Server>>,
    algorithm: Box<dyn Choose>,
    sticky: Option<Sticky>,
    /// Whether picks depend on the time.
    is_timed: bool,
    cursor: Arc<Cursor>,
    queue: Arc<Queue>,
    /// How many may wait, and how long; `None` where no server has a bound.
    bound: Option<(u32, Duration)>,
}

/// Servers beyond this are not used: indices of tables are short.
const MOST: usize = 65_535;
/// When every ejection is over.
const END_OF_TIME: u64 = u64::MAX;

impl Group {
    /// The servers of a service. Those that `old` had, by address, go on as they were; those that it
    /// didn't have start slowly, where that is asked for.
    pub fn new(service: &Service, old: Option<&Self>) -> Self {
        let maker = Maker::new(service, old);
        let mut members: Vec<Server> = service
            .backends
            .iter()
            .filter(|backend| !backend.expired)
            .map(|backend| maker.server(backend))
            .collect();
        if let Some(check) = &service.http.passive {
            let open = members.iter().filter(|server| server.takes_new());
            let peers = open.map(|server| server.stats.clone()).collect();
            let passive = Arc::new(Passive::new(check.clone(), peers));
            members.iter_mut().for_each(|server| server.passive = Some(passive.clone()));
        }
        let members: Vec<Arc<Server>> = members.into_iter().map(Arc::new).collect();
        for gone in old.iter().flat_map(|old| &old.members) {
            // Both are in order of address.
            if members.binary_search_by_key(&gone.address, |server| server.address).is_err() {
                gone.stats.must_end.store(true, Relaxed);
            }
        }
        let open: Vec<_> =
            members.iter().filter(|server| server.takes_new()).take(MOST).cloned().collect();
        let algorithm = algorithm::of(service.algorithm, &open, &maker.cursor);
        let is_bounded = open.iter().any(|server| server.options.max_connections > 0);
        let group = Self {
            id: service.id.clone(),
            is_timed: maker.is_timed(),
            sticky: maker.sticky,
            cursor: maker.cursor,
            queue: maker.queue,
            bound: is_bounded.then_some((service.http.queue, service.http.queue_timeout)),
            members,
            open,
            algorithm,
        };
        // Servers that are new, or have become wider, may have room for who waits.
        for server in &group.open {
            group.queue.serve(server);
        }
        group
    }

    /// The service's id.
    pub fn id(&self) -> &Id {
        &self.id
    }

    /// All servers, those that take nothing new included, in order of address.
    pub fn servers(&self) -> &[Arc<Server>] {
        &self.members
    }

    /// How many servers take new requests.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether none does.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// The sticky cookie.
    pub fn sticky(&self) -> Option<&Sticky> {
        self.sticky.as_ref()
    }

    /// A server for a request, none of `avoid` unless there is no other.
    ///
    /// # Errors
    /// None takes requests, or all that do are full.
    pub fn pick(&self, key: &Key<'_>, avoid: &[u64]) -> Result<Ticket, NoServer> {
        self.pick_at(key, avoid, if self.is_timed { clock::now() } else { 0 })
    }

    /// As [`Self::pick`], but waits in the queue where all servers are full.
    ///
    /// # Errors
    /// None takes requests, the queue is full too, or no place became free in time.
    pub async fn acquire(&self, key: &Key<'_>, avoid: &[u64]) -> Result<Ticket, NoServer> {
        let Some((most, timeout)) = self.bound else { return self.pick(key, avoid) };
        if !self.queue.is_busy() {
            match self.pick(key, avoid) {
                Err(NoServer::Full) => {}
                outcome => return outcome,
            }
        }
        // In a box: who doesn't wait has no need of its memory.
        Box::pin(self.queue.wait(most, timeout, || self.pick(key, avoid))).await
    }

    pub(super) fn pick_at(
        &self,
        key: &Key<'_>,
        avoid: &[u64],
        now: u64,
    ) -> Result<Ticket, NoServer> {
        let ask = Ask { key, avoid, now };
        if let Some(ticket) = self.of_session(&ask) {
            return Ok(ticket);
        }
        let anybody = || self.choose(&Ask { avoid: &[], ..ask });
        // Where only ejected ones are left, they are better than nothing.
        let ejected = || self.choose(&Ask { avoid: &[], now: END_OF_TIME, ..ask });
        let none = if self.open.is_empty() { NoServer::None } else { NoServer::Full };
        self.choose(&ask).or_else(anybody).or_else(ejected).ok_or(none)
    }

    /// The server of the session that a request belongs to: a drained one, too, but none that is
    /// down.
    fn of_session(&self, ask: &Ask<'_>) -> Option<Ticket> {
        let session = self.sticky.as_ref()?.session(ask.key.head?)?;
        let is_it = |server: &&Arc<Server>| {
            server.cookie.as_ref().is_some_and(|(value, _)| *value == session)
        };
        let server = self.members.iter().find(is_it)?;
        let serves = server.is_up && !server.is_leaving && ask.accepts(server) && server.enter();
        serves.then(|| Ticket::of_session(server))
    }

    fn choose(&self, ask: &Ask<'_>) -> Option<Ticket> {
        // Between being chosen and entered a server may have been filled by another worker.
        for _ in 0..=self.open.len() {
            let chosen = self.algorithm.choose(&self.open, ask);
            let index = chosen.or_else(|| algorithm::any(&self.open, ask))?;
            let server = &self.open[index];
            if server.enter() {
                return Some(Ticket::of(server));
            }
        }
        None
    }
}

/// What goes from one group to the next, while its servers are made.
struct Maker<'a> {
    service: &'a Service,
    old: HashMap<SocketAddr, &'a Arc<Server>>,
    is_first: bool,
    now: u64,
    sticky: Option<Sticky>,
    cursor: Arc<Cursor>,
    queue: Arc<Queue>,
}

impl<'a> Maker<'a> {
    fn new(service: &'a Service, old: Option<&'a Group>) -> Self {
        let members = old.map(|old| &old.members[..]).unwrap_or_default();
        let sticky = service.http.sticky.as_ref();
        Self {
            service,
            old: members.iter().map(|server| (server.address, server)).collect(),
            is_first: old.is_none(),
            now: clock::now(),
            sticky: sticky.map(|cookie| Sticky::new(cookie, &service.id.qualified())),
            cursor: old.map(|old| old.cursor.clone()).unwrap_or_default(),
            queue: old.map(|old| old.queue.clone()).unwrap_or_default(),
        }
    }

    fn is_timed(&self) -> bool {
        let http = &self.service.http;
        !http.slow_start.is_zero() || http.passive.is_some() || self.wants_latency()
    }

    fn wants_latency(&self) -> bool {
        self.service.algorithm == Algorithm::LeastTime
    }

    fn server(&self, backend: &Backend) -> Server {
        let old = self.old.get(&backend.address).copied();
        let cookie = self.sticky.as_ref().map(|sticky| {
            let value = cookie::value(&url(backend));
            (value, sticky.set(value))
        });
        let server = Server {
            address: backend.address,
            name: backend.server.as_str().into(),
            options: backend.options.clone(),
            weight: backend.weight(),
            is_up: backend.health.state.is_up(),
            is_leaving: backend.leaving,
            identity: identity(backend.address),
            cookie,
            slow_start: clock::nanos(self.service.http.slow_start),
            is_timed: self.wants_latency(),
            passive: None,
            failures: self.failures(old),
            queue: (backend.options.max_connections > 0).then(|| self.queue.clone()),
            stats: old.map_or_else(|| Arc::new(Stats::new()), |old| old.stats.clone()),
        };
        let was_open = old.is_some_and(|old| old.takes_new());
        if server.takes_new() && !was_open && !self.is_first {
            server.stats.since.store(self.now, Relaxed);
        }
        server.stats.is_open.store(server.takes_new(), SeqCst);
        let is_down = backend.health.state == BackendState::Down;
        let is_reset = is_down && self.service.on_down == OnDown::Reset;
        server.stats.is_down.store(is_down, Relaxed);
        server.stats.must_end.store(is_reset, Relaxed);
        server
    }

    fn failures(&self, old: Option<&Arc<Server>>) -> Arc<Failures> {
        let most = self.service.http.passive.as_ref().map_or(0, |check| check.max_failed);
        let fresh = Failures::new(most);
        match old {
            Some(old) if old.failures.most() == fresh.most() => old.failures.clone(),
            _ => Arc::new(fresh),
        }
    }
}

/// What a session is derived from: each address of a host name has its own.
fn url(Backend { address, options, .. }: &Backend) -> String {
    format!("{}://{address}{}", options.scheme.name(), options.path)
}
