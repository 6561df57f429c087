//! The watcher's task: full sync, then events, then a timed resync that heals drift.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc, time::Duration};

use ipnet::IpNet;
use rtnetlink::packet_route::{
    AddressFamily, RouteNetlinkMessage, address::AddressMessage, link::LinkMessage,
};
use tokio::{
    sync::{oneshot, watch},
    time::{Instant, sleep, sleep_until},
};
use tracing::warn;

use crate::model::Mode;

use super::{
    Link, NetError, NetState, Pace, Wanted, addresses,
    ethtool::offloads,
    links,
    neighbours::Neighbours,
    routes,
    socket::{Events, Heard, Netlink},
    sysctl,
    view::Tables,
};

/// Asks again this often for next hops that don't answer.
const NUDGE: Duration = Duration::from_secs(1);
/// After a netlink failure.
const RETRY: Duration = Duration::from_secs(1);
/// From a neighbour event to the new state.
const AT_ONCE: Duration = Duration::from_millis(1);

pub(crate) struct Watcher {
    wanted: watch::Receiver<Wanted>,
    publish: watch::Sender<Arc<NetState>>,
    pace: Pace,
    netlink: Netlink,
    events: Events,
    tables: Tables,
    neighbours: Neighbours,
    /// Where XDP was refused, and under which mode: TC attached since then
    /// tells nothing of XDP, and must not make us try it again and again.
    refused: (Mode, BTreeMap<u32, String>),
    stale: Stale,
    /// When to read what is stale.
    read_due: Option<Instant>,
    /// Not before then: a flood of events costs a quarter of a CPU at most.
    rested: Instant,
    /// When to publish what is known.
    publish_due: Option<Instant>,
    resync: Instant,
    first_sync: bool,
}

/// What has to be asked again.
#[derive(Debug, Default)]
struct Stale {
    everything: bool,
    /// Routes to backends within these prefixes.
    prefixes: Vec<IpNet>,
    all_routes: bool,
    defaults: bool,
}

impl Watcher {
    /// Opens the sockets, in the network namespace of this thread.
    pub(crate) fn open(
        wanted: watch::Receiver<Wanted>,
        publish: watch::Sender<Arc<NetState>>,
        pace: Pace,
    ) -> Result<Self, NetError> {
        // Listening begins before reading, so that no change falls between.
        let events = Events::open(pace.event_buffer)?;
        Ok(Self {
            wanted,
            publish,
            pace,
            netlink: Netlink::open()?,
            events,
            tables: Tables::default(),
            neighbours: Neighbours::default(),
            refused: Default::default(),
            stale: Stale { everything: true, ..Stale::default() },
            read_due: Some(Instant::now()),
            rested: Instant::now(),
            publish_due: None,
            resync: Instant::now() + pace.resync,
            first_sync: true,
        })
    }

    /// Follows until told to stop or until the handle is dropped.
    pub(crate) async fn run(mut self, mut stopped: oneshot::Receiver<()>) {
        let mut nudge = tokio::time::interval(NUDGE);
        nudge.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let read_due = self.read_due.map_or(self.resync, |at| at.max(self.rested));
            let due = self.publish_due.map_or(read_due, |at| at.min(read_due));
            tokio::select! {
                told = &mut stopped => {
                    if told.is_ok() {
                        self.neighbours.keep(&self.netlink, Default::default()).await;
                        self.neighbours.release_orphans(&self.netlink).await;
                    }
                    return;
                }
                Ok(()) = self.wanted.changed() => self.publish_soon(),
                event = self.events.next() => self.hear(event).await,
                () = sleep_until(due) => {
                    if let Err(error) = self.refresh().await {
                        self.fail(&error).await;
                    }
                }
                _ = nudge.tick(), if self.neighbours.any_unresolved() => {
                    if self.neighbours.nudge(&self.netlink).await {
                        self.publish_soon();
                    }
                }
            }
        }
    }

    /// Reads what is stale once the burst is over.
    fn read_soon(&mut self) {
        let at = Instant::now() + self.pace.debounce;
        self.read_due = Some(self.read_due.map_or(at, |due| due.min(at)));
    }

    /// Publishes what is known, with whatever else has come in by then.
    fn publish_soon(&mut self) {
        self.publish_due.get_or_insert(Instant::now() + AT_ONCE);
    }

    async fn hear(&mut self, event: Option<Heard>) {
        match event {
            Some(Heard::Change(message)) => self.take_in(&message),
            Some(Heard::Overrun) => {
                warn!("network events were lost in a burst: reading everything again");
                self.stale.everything = true;
                self.read_soon();
            }
            None => {
                let closed = NetError::NoAnswer { what: "listening to network events".into() };
                self.fail(&closed).await;
            }
        }
    }

    fn take_in(&mut self, message: &RouteNetlinkMessage) {
        use RouteNetlinkMessage as M;
        match message {
            M::NewLink(link) => self.link(link, false),
            M::DelLink(link) => self.link(link, true),
            M::NewAddress(address) => self.address(address, false),
            M::DelAddress(address) => self.address(address, true),
            M::NewRoute(route) | M::DelRoute(route) => {
                let Some(prefix) = routes::prefix(route) else { return };
                let is_default = routes::is_default(route);
                let concerns = |backend: &IpAddr| prefix.contains(backend);
                if is_default || self.wanted.borrow().backends.iter().any(concerns) {
                    self.stale.defaults |= is_default;
                    self.stale.prefixes.push(prefix);
                    self.read_soon();
                }
            }
            M::NewRule(_) | M::DelRule(_) => {
                self.stale.all_routes = true;
                self.read_soon();
            }
            M::NewNeighbour(neighbour) if self.neighbours.hear(neighbour, false) => {
                self.publish_soon();
            }
            M::DelNeighbour(neighbour) if self.neighbours.hear(neighbour, true) => {
                self.publish_soon();
            }
            _ => {}
        }
    }

    fn link(&mut self, message: &LinkMessage, gone: bool) {
        // A bridge tells of its ports so: not about the interface itself.
        if message.header.interface_family != AddressFamily::Unspec {
            return;
        }
        let link = Link::from_message(message);
        let changed = if gone {
            self.tables.addresses.retain(|(index, _), _| *index != link.index);
            self.tables.links.remove(&link.index).is_some()
        } else {
            let old = self.tables.links.insert(link.index, link.clone());
            old.as_ref() != Some(&link)
        };
        // The kernel doesn't tell of IPv4 routes that go with an interface.
        if changed {
            self.reroute();
        }
        // What the message doesn't show may have changed too: offloads.
        self.publish_soon();
    }

    fn address(&mut self, message: &AddressMessage, gone: bool) {
        let Some((key, address)) = addresses::read(message) else { return };
        if gone {
            self.tables.addresses.remove(&key);
        } else {
            self.tables.addresses.insert(key, address);
        }
        // Nor of routes that go with an address.
        self.reroute();
    }

    fn reroute(&mut self) {
        self.stale.all_routes = true;
        self.stale.defaults = true;
        self.read_soon();
    }

    /// Starts anew after a failure, with new sockets.
    async fn fail(&mut self, error: &NetError) {
        warn!("{error}: reading the network again");
        sleep(RETRY).await;
        self.stale.everything = true;
        self.read_soon();
        match (Netlink::open(), Events::open(self.pace.event_buffer)) {
            (Ok(netlink), Ok(events)) => (self.netlink, self.events) = (netlink, events),
            (Err(error), _) | (_, Err(error)) => warn!("{error}"),
        }
    }

    /// Reads what is stale, as far as it is due, and publishes the state.
    pub(crate) async fn refresh(&mut self) -> Result<(), NetError> {
        self.publish_due = None;
        let begun = Instant::now();
        self.stale.everything |= begun >= self.resync;
        let due = begun >= self.rested.min(self.resync);
        if due && (self.read_due.take().is_some() || self.stale.everything) {
            let stale = std::mem::take(&mut self.stale);
            self.read(&stale).await?;
            self.rested = Instant::now() + 3 * begun.elapsed();
            if stale.everything {
                self.resync = (Instant::now() + self.pace.resync).max(self.rested);
            }
        }
        self.ask_routes(|_| false).await?;
        self.neighbours.keep(&self.netlink, self.tables.next_hops()).await;
        self.neighbours.restore(&self.netlink).await;
        let mut wanted = self.wanted.borrow_and_update().clone();
        self.remember_refusals(&mut wanted);
        let state =
            self.tables.state(&wanted, |key| self.neighbours.mac(key), |link| offloads(&link.name));
        self.publish.send_if_modified(|old| {
            let differs = **old != state;
            *old = Arc::new(state);
            differs
        });
        Ok(())
    }

    fn remember_refusals(&mut self, wanted: &mut Wanted) {
        let (mode, refused) = &mut self.refused;
        if *mode != wanted.mode {
            refused.clear();
        }
        *mode = wanted.mode;
        refused.append(&mut wanted.refused);
        let links = &self.tables.links;
        refused.retain(|index, _| links.contains_key(index) && !wanted.native.contains(index));
        wanted.refused.clone_from(refused);
    }

    async fn read(&mut self, stale: &Stale) -> Result<(), NetError> {
        if stale.everything {
            self.read_tables().await?;
        }
        if stale.everything || stale.defaults {
            self.tables.defaults = routes::defaults(&self.netlink).await?;
        }
        self.tables.host_ports = sysctl::local_ports()?;
        let all = stale.everything || stale.all_routes;
        self.ask_routes(|backend| {
            all || stale.prefixes.iter().any(|prefix| prefix.contains(backend))
        })
        .await
    }

    async fn read_tables(&mut self) -> Result<(), NetError> {
        self.tables.links = links::all(&self.netlink).await?;
        self.tables.addresses = addresses::all(&self.netlink).await?;
        self.neighbours.resync(&self.netlink).await?;
        // The second time, whoever had to ask for an earlier daemon's has done so.
        if !std::mem::take(&mut self.first_sync) {
            self.neighbours.release_orphans(&self.netlink).await;
        }
        Ok(())
    }

    /// Asks for the ways to backends not known yet, and to these.
    async fn ask_routes(&mut self, again: impl Fn(&IpAddr) -> bool) -> Result<(), NetError> {
        let backends = self.wanted.borrow().backends.clone();
        self.tables.routes.retain(|backend, _| backends.contains(backend));
        for backend in backends {
            if again(&backend) || !self.tables.routes.contains_key(&backend) {
                let route = routes::ask(&self.netlink, backend).await?;
                self.tables.routes.insert(backend, route);
            }
        }
        Ok(())
    }
}
