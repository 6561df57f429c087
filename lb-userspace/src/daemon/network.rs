//! The host's network as far as lb needs it: followed, and given the addresses of entry points. The
//! kernel path stands on it; addresses of proxied entry points need nothing else.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    path::PathBuf,
    sync::Arc,
};

use tokio::sync::watch;

use crate::{
    api::types::AddressStatus,
    kernel::{
        Paths,
        net::{NetError, NetState, NetWatcher, VipKeeper, VipState, VipStates, Wanted},
    },
    model::Snapshot,
};

/// What follows the network and keeps addresses on it.
pub(super) struct Network {
    net: NetWatcher,
    states: watch::Receiver<Arc<NetState>>,
    /// From the first snapshot in force on: no address before somebody answers there.
    vips: Option<VipKeeper>,
    /// What lb has put on the host.
    record: PathBuf,
}

impl Network {
    /// Whether there is anything to look after without a kernel path: addresses of entry points,
    /// or those that an earlier run has added.
    pub(super) fn is_needed(paths: &Paths, snapshot: &Snapshot) -> bool {
        !addresses(snapshot).is_empty() || vip_record(paths).exists()
    }

    /// Begins to follow; the first state is there on return.
    pub(super) async fn start(paths: &Paths, wanted: Wanted) -> Result<Self, NetError> {
        let net = NetWatcher::start(wanted).await?;
        let mut states = net.states();
        states.mark_changed();
        Ok(Self { net, states, vips: None, record: vip_record(paths) })
    }

    /// Changes what is followed.
    pub(super) fn want(&self, wanted: Wanted) {
        self.net.want(wanted);
    }

    /// Resolves when the network has changed since [`Self::latest`].
    pub(super) async fn changed(&mut self) {
        if self.states.changed().await.is_err() {
            std::future::pending().await
        }
    }

    /// [`Self::changed`] tells of the state of now as well.
    pub(super) fn mark_changed(&mut self) {
        self.states.mark_changed();
    }

    /// The state of now, which is no news any more.
    pub(super) fn latest(&mut self) -> Arc<NetState> {
        self.states.borrow_and_update().clone()
    }

    /// The state of now.
    pub(super) fn state(&self) -> Arc<NetState> {
        self.states.borrow().clone()
    }

    /// Puts the addresses of a snapshot's entry points on the host, and takes off those that lb
    /// has added and nobody needs any more.
    pub(super) async fn hold(&mut self, snapshot: &Snapshot) -> Result<(), NetError> {
        let vips = addresses(snapshot);
        match &self.vips {
            Some(keeper) => keeper.want(vips),
            None => {
                let states = self.net.states();
                self.vips = Some(VipKeeper::start(self.record.clone(), vips, states).await?);
            }
        }
        Ok(())
    }

    fn vip_states(&self) -> Arc<VipStates> {
        self.vips.as_ref().map(|keeper| keeper.states().borrow().clone()).unwrap_or_default()
    }

    /// Addresses that can't be put on the host.
    pub(super) fn faults(&self) -> Vec<String> {
        let states = self.vip_states();
        let missing = states.iter().filter_map(|(ip, state)| match state {
            VipState::Missing(_) => Some(format!("VIP {ip}: {state}")),
            VipState::Added(_) | VipState::Found(_) => None,
        });
        missing.collect()
    }

    /// By address: why a backend of the kernel path can't be reached now.
    pub(super) fn obstacles(&self) -> BTreeMap<IpAddr, String> {
        let state = self.states.borrow();
        state.obstacles.iter().map(|(ip, obstacle)| (*ip, obstacle.to_string())).collect()
    }

    /// For `lb status`.
    pub(super) fn addresses(&self) -> Vec<AddressStatus> {
        self.vip_states().iter().flat_map(|(ip, state)| rows(*ip, state)).collect()
    }

    /// The name of an interface.
    pub(super) fn interface(&self, index: u32) -> Option<String> {
        self.states.borrow().links.get(&index).map(|link| link.name.clone())
    }

    /// Gives up what only lb needs of the host. Returns the addresses removed, with their
    /// interfaces.
    pub(super) async fn release(self) -> Vec<(IpAddr, String)> {
        let removed = match self.vips {
            Some(vips) => vips.stop().await,
            None => Vec::new(),
        };
        self.net.stop().await;
        removed
    }
}

/// The addresses that the host is to have: those of entry points that a router uses. Loopback has
/// its own already.
pub(super) fn addresses(snapshot: &Snapshot) -> BTreeSet<IpAddr> {
    let names = snapshot.routers.values().flat_map(|router| &router.entry_points);
    let points = names.filter_map(|name| snapshot.entry_points.get(name)?.ip);
    points.filter(|ip| !ip.is_loopback()).collect()
}

/// The file that names the addresses lb has put on the host.
pub(super) fn vip_record(paths: &Paths) -> PathBuf {
    paths.state().join("vips.json")
}

fn rows(ip: IpAddr, state: &VipState) -> Vec<AddressStatus> {
    let (names, added) = match state {
        VipState::Added(names) => (names, true),
        VipState::Found(names) => (names, false),
        VipState::Missing(_) => return Vec::new(),
    };
    let row =
        |name: &String| AddressStatus { address: ip.to_string(), interface: name.clone(), added };
    names.iter().map(row).collect()
}
