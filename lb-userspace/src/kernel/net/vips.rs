//! VIPs on the host, so that it answers ARP and neighbour discovery for them:
//! IPv4 on `lo`, IPv6 on each interface that clients come in by.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{oneshot, watch},
    task::JoinHandle,
    time::{Instant, sleep_until},
};
use tracing::{info, warn};

use super::{
    NetError, NetState, Role, addresses, announce::announce, links, record::Record, socket::Netlink,
};

/// Keeps VIPs on the host for as long as it lives. Those it leaves behind stay:
/// the kernel path goes on without a daemon.
pub struct VipKeeper {
    vips: watch::Sender<BTreeSet<IpAddr>>,
    states: watch::Receiver<Arc<VipStates>>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Vec<(IpAddr, String)>>,
}

/// How each VIP stands.
pub type VipStates = BTreeMap<IpAddr, VipState>;

/// How a VIP stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VipState {
    /// lb has put it on these interfaces.
    Added(Vec<String>),
    /// It was there already, on these interfaces: used and never removed.
    Found(Vec<String>),
    /// It can't be put there now.
    Missing(String),
}

impl fmt::Display for VipState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Added(names) => write!(f, "added to {}", names.join(", ")),
            Self::Found(names) => write!(f, "found on {}", names.join(", ")),
            Self::Missing(reason) => write!(f, "not on the host: {reason}"),
        }
    }
}

impl VipKeeper {
    /// Starts in the network namespace of this thread, with the first VIPs and
    /// the states of a [`super::NetWatcher`]. `record` is the file that remembers
    /// what lb has added; what it names and isn't wanted is removed.
    /// On return the first VIPs are on the host, as far as possible.
    pub async fn start(
        record: PathBuf,
        vips: BTreeSet<IpAddr>,
        network: watch::Receiver<Arc<NetState>>,
    ) -> Result<Self, NetError> {
        let (vips, wanted) = watch::channel(vips);
        let (publish, states) = watch::channel(Arc::default());
        let (stop, stopped) = oneshot::channel();
        let mut keeper = Keeper {
            netlink: Netlink::open()?,
            record: Record::open(&record)?,
            wanted,
            network,
            publish,
            announced: BTreeMap::new(),
            again: None,
        };
        keeper.keep().await;
        let task = tokio::spawn(keeper.run(stopped));
        Ok(Self { vips, states, stop, task })
    }

    /// Changes the VIPs.
    pub fn want(&self, vips: BTreeSet<IpAddr>) {
        self.vips.send_if_modified(|old| {
            let differs = *old != vips;
            *old = vips;
            differs
        });
    }

    /// How the VIPs stand now and whenever that changes.
    pub fn states(&self) -> watch::Receiver<Arc<VipStates>> {
        self.states.clone()
    }

    /// Ends, and removes the VIPs that lb has added; returns them with their interfaces.
    pub async fn stop(self) -> Vec<(IpAddr, String)> {
        self.stop.send(()).ok();
        self.task.await.unwrap_or_default()
    }
}

/// Removes the addresses that the record names; returns them with their
/// interfaces. For `lb detach` without a daemon.
pub async fn remove_recorded(record: &Path) -> Result<Vec<(IpAddr, String)>, NetError> {
    let netlink = Netlink::open()?;
    let mut record = Record::open(record)?;
    let links = links::all(&netlink).await?;
    let added: Vec<_> = record.added().iter().cloned().collect();
    for (vip, name) in &added {
        if let Some(link) = links.values().find(|link| link.name == *name) {
            addresses::remove(&netlink, (link.index, *vip)).await?;
        }
        record.remove(*vip, name)?;
    }
    Ok(added)
}

/// From the first announcement to the second (RFC 5227 §1.1, ANNOUNCE_INTERVAL).
const ANNOUNCE_AGAIN: Duration = Duration::from_secs(2);
/// After a failure to add or remove.
const RETRY: Duration = Duration::from_secs(1);

struct Keeper {
    netlink: Netlink,
    record: Record,
    wanted: watch::Receiver<BTreeSet<IpAddr>>,
    network: watch::Receiver<Arc<NetState>>,
    publish: watch::Sender<Arc<VipStates>>,
    /// What has been announced: VIP and interface, with the MAC told and
    /// when to tell it again.
    announced: BTreeMap<(IpAddr, u32), ([u8; 6], Option<Instant>)>,
    /// When to look again, where something failed.
    again: Option<Instant>,
}

impl Keeper {
    /// Returns what was removed at the end.
    async fn run(mut self, mut stopped: oneshot::Receiver<()>) -> Vec<(IpAddr, String)> {
        loop {
            let timers = self.announced.values().filter_map(|(_, at)| *at).chain(self.again);
            let next = timers.min();
            tokio::select! {
                told = &mut stopped => {
                    if told.is_err() {
                        return Vec::new();
                    }
                    let network = self.network.borrow().clone();
                    return self.withdraw(&BTreeSet::new(), &network).await;
                }
                Ok(()) = self.wanted.changed() => {}
                Ok(()) = self.network.changed() => {}
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
                else => return Vec::new(),
            }
            self.keep().await;
        }
    }

    /// Puts what is missing, removes what is too much, announces what is new.
    async fn keep(&mut self) {
        self.again = None;
        let network = self.network.borrow_and_update().clone();
        let vips = self.wanted.borrow_and_update().clone();
        let targets: BTreeMap<IpAddr, BTreeSet<String>> =
            vips.iter().map(|vip| (*vip, targets(*vip, &network))).collect();
        let keep = targets
            .iter()
            .flat_map(|(vip, names)| names.iter().map(|name| (*vip, name.clone())))
            .collect();
        self.withdraw(&keep, &network).await;
        let mut states = VipStates::new();
        for (vip, names) in targets {
            let state = match self.hold(vip, &names, &network).await {
                Ok(state) => state,
                Err(error) => {
                    self.again = Some(Instant::now() + RETRY);
                    VipState::Missing(error.to_string())
                }
            };
            states.insert(vip, state);
        }
        self.announce(&states, &network);
        self.publish.send_if_modified(|old| {
            for (vip, state) in states.iter().filter(|(vip, state)| old.get(vip) != Some(state)) {
                match state {
                    VipState::Missing(_) => warn!("{vip}: {state}"),
                    _ => info!("{vip}: {state}"),
                }
            }
            let differs = **old != states;
            *old = Arc::new(states);
            differs
        });
    }

    /// Removes what lb has added and isn't among `keep`; returns what it removed.
    async fn withdraw(
        &mut self,
        keep: &BTreeSet<(IpAddr, String)>,
        network: &NetState,
    ) -> Vec<(IpAddr, String)> {
        let mut removed = Vec::new();
        for (vip, name) in self.record.added().difference(keep).cloned().collect::<Vec<_>>() {
            let result = match index(network, &name) {
                Some(index) => addresses::remove(&self.netlink, (index, vip)).await,
                None => Ok(()),
            };
            match result.and_then(|()| self.record.remove(vip, &name)) {
                Ok(()) => removed.push((vip, name)),
                Err(error) => {
                    warn!("{error}");
                    self.again = Some(Instant::now() + RETRY);
                }
            }
        }
        removed
    }

    /// Puts a VIP on these interfaces, unless the operator has put it anywhere.
    async fn hold(
        &mut self,
        vip: IpAddr,
        names: &BTreeSet<String>,
        network: &NetState,
    ) -> Result<VipState, NetError> {
        // Asked of the kernel: the watcher's state may not show our own latest step.
        let there = addresses::all(&self.netlink).await?;
        let name = |index: &u32| network.links.get(index).map(|link| link.name.clone());
        let holders: Vec<String> =
            there.keys().filter(|(_, ip)| *ip == vip).filter_map(|(i, _)| name(i)).collect();
        let found: Vec<String> =
            holders.iter().filter(|name| !self.record.has(vip, name)).cloned().collect();
        if !found.is_empty() {
            return Ok(VipState::Found(found));
        }
        for name in names {
            let Some(index) = index(network, name) else { continue };
            if holders.contains(name) {
                continue;
            }
            // On disk first: an address without a record would stay for ever.
            self.record.insert(vip, name)?;
            match addresses::add(&self.netlink, (index, vip)).await {
                Ok(true) => self.announced.retain(|(told, _), _| *told != vip),
                Ok(false) => {
                    self.record.remove(vip, name)?;
                    return Ok(VipState::Found(vec![name.clone()]));
                }
                Err(error) => {
                    self.record.remove(vip, name)?;
                    return Err(error);
                }
            }
        }
        if names.is_empty() {
            return Ok(VipState::Missing(nowhere(vip, network)));
        }
        Ok(VipState::Added(names.iter().cloned().collect()))
    }

    /// Tells the links of the VIPs that lb has added, twice each.
    fn announce(&mut self, states: &VipStates, network: &NetState) {
        let added: BTreeSet<IpAddr> = states
            .iter()
            .filter(|(_, state)| matches!(state, VipState::Added(_)))
            .map(|(vip, _)| *vip)
            .collect();
        let links: BTreeMap<u32, [u8; 6]> =
            client_links(network).map(|link| (link.index, link.mac)).collect();
        self.announced
            .retain(|(vip, link), (mac, _)| added.contains(vip) && links.get(link) == Some(mac));
        let now = Instant::now();
        for vip in added {
            for (&link, &mac) in &links {
                let again = match self.announced.get(&(vip, link)) {
                    None => Some(now + ANNOUNCE_AGAIN),
                    Some((_, Some(at))) if *at <= now => None,
                    Some(_) => continue,
                };
                if let Err(error) = announce(link, mac, vip) {
                    warn!("announcing {vip} on interface {link}: {error}");
                }
                self.announced.insert((vip, link), (mac, again));
            }
        }
    }
}

/// Names of the interfaces that a VIP is to stand on.
fn targets(vip: IpAddr, network: &NetState) -> BTreeSet<String> {
    if vip.is_ipv4() {
        let loopback = network.links.values().filter(|link| link.up && link.name == "lo");
        return loopback.map(|link| link.name.clone()).collect();
    }
    client_links(network).map(|link| link.name.clone()).collect()
}

/// Why there is no interface for a VIP.
fn nowhere(vip: IpAddr, network: &NetState) -> String {
    if vip.is_ipv4() {
        return "lo is down; `ip link set lo up`".into();
    }
    match network.attach.values().find(|point| point.role == Role::Vip) {
        Some(point) => format!("{} is down", point.name),
        None => "there is no interface for clients; name one in datapath.interfaces".into(),
    }
}

/// Interfaces that clients come in by, as far as they are up.
fn client_links(network: &NetState) -> impl Iterator<Item = &links::Link> {
    network
        .attach
        .values()
        .filter(|point| point.role == Role::Vip)
        .filter_map(|point| network.links.get(&point.index))
        .filter(|link| link.up)
}

fn index(network: &NetState, name: &str) -> Option<u32> {
    network.links.values().find(|link| link.name == name).map(|link| link.index)
}
