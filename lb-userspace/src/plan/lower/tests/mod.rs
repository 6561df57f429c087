//! Snapshots made up here, lowered onto a network made up here.

mod backends;
mod stays;
mod vips;

use std::{collections::BTreeMap, net::IpAddr, sync::Arc, time::Duration};

use lb_common::{BackendEntry, VipEntry, addr::to_ip};

use super::{KernelFacts, Lowered, Lowerer};
use crate::{
    model::{
        Algorithm, Backend, BackendState, EntryPoint, Health, Id, Path, Protocol, Router, Service,
        Settings, Snapshot,
    },
    plan::{IfaceView, KernelView, NetView, NextHop},
};

/// A snapshot in the making, and what goes with it.
#[derive(Clone)]
pub(super) struct Case {
    pub(super) settings: Settings,
    pub(super) snapshot: Snapshot,
    pub(super) net: NetView,
    pub(super) previous: KernelView,
}

impl Case {
    pub(super) const OWN_KEY: lb_common::HashKey = [7; 12];

    /// Nothing at all.
    pub(super) fn new() -> Self {
        let (snapshot, net, previous) = Default::default();
        Self { settings: Settings::default(), snapshot, net, previous }
    }

    /// One TCP service `web` with these backends, each of weight 1, at 198.51.100.1:80.
    pub(super) fn web(backends: &[&str]) -> Self {
        let mut case = Self::new();
        case.service("web", backends);
        case.route("web", "198.51.100.1:80", "web");
        case
    }

    pub(super) fn id(name: &str) -> Id {
        Id::new(Protocol::Tcp, name, "file")
    }

    /// Adds or replaces a service.
    pub(super) fn service(&mut self, name: &str, backends: &[&str]) {
        let service = Service {
            backends: backends.iter().map(|address| backend(address)).collect(),
            ..Service::new(Self::id(name))
        };
        self.snapshot.services.insert(service.id.clone(), Arc::new(service));
    }

    /// Adds an entry point and a router from there to a service.
    pub(super) fn route(&mut self, name: &str, address: &str, service: &str) {
        let (ip, port) = address.rsplit_once(':').unwrap();
        let ip = (!ip.is_empty()).then(|| ip.trim_matches(['[', ']']).parse().unwrap());
        let port = port.parse().unwrap();
        let point = EntryPoint {
            name: name.into(),
            ip,
            port,
            protocol: Protocol::Tcp,
            options: Default::default(),
        };
        self.snapshot.entry_points.insert(name.into(), point);
        let router = Router {
            id: Self::id(name),
            entry_points: vec![name.into()],
            service: Self::id(service),
            path: Path::Kernel,
            why: "".into(),
            rule: None,
            priority: 0,
            middlewares: Vec::new(),
            tls: None,
            observability: Default::default(),
        };
        Arc::make_mut(&mut self.snapshot.routers).insert(router.id.clone(), router);
    }

    pub(super) fn edit(&mut self, name: &str, edit: impl FnOnce(&mut Service)) {
        edit(Arc::make_mut(self.snapshot.services.get_mut(&Self::id(name)).unwrap()));
    }

    /// Changes the one backend of `web` with this address.
    pub(super) fn backend(&mut self, address: &str, edit: impl FnOnce(&mut Backend)) {
        let address = address.parse().unwrap();
        self.edit("web", |service| {
            edit(service.backends.iter_mut().find(|b| b.address == address).unwrap());
        });
    }

    /// The ways to backends.
    pub(super) fn hops(&mut self) -> &mut BTreeMap<IpAddr, NextHop> {
        Arc::make_mut(&mut self.net.next_hops)
    }

    /// Interface 2 and the way by it to these backends.
    pub(super) fn reach(&mut self, addresses: &[&str]) {
        let iface = IfaceView { name: "eth0".into(), mac: [2; 6], mtu: 1500, xdp: true };
        self.net.ifaces.insert(2, iface);
        for address in addresses {
            self.hops().insert(address.parse().unwrap(), hop());
        }
    }

    pub(super) fn lower(&self) -> Lowered {
        self.lower_by(&mut Lowerer::default())
    }

    /// By one that remembers the steps before.
    pub(super) fn lower_by(&self, lowerer: &mut Lowerer) -> Lowered {
        let facts = KernelFacts {
            hz: 250,
            est_buckets: 8,
            half_buckets: 2,
            choice_key: Self::OWN_KEY,
            ..Default::default()
        };
        let settings = Arc::new(self.settings.clone());
        let snapshot = Snapshot { settings, ..self.snapshot.clone() };
        lowerer.lower(&snapshot, &self.net, &facts, &self.previous)
    }

    /// Lowers, and has the kernel hold the outcome.
    pub(super) fn step(&mut self) -> KernelView {
        self.previous = self.lower().view;
        self.previous.clone()
    }
}

pub(super) fn backend(address: &str) -> Backend {
    Backend {
        address: address.parse().unwrap(),
        server: address.into(),
        options: Default::default(),
        configured_weight: 1,
        weight_override: None,
        drained: false,
        leaving: false,
        expired: false,
        health: Health::default(),
    }
}

pub(super) fn hop() -> NextHop {
    NextHop {
        ifindex: 2,
        vlan: 0,
        mac: Some([9; 6]),
        source_mac: [2; 6],
        mtu: 1400,
        source: Some("10.0.0.100".parse().unwrap()),
    }
}

pub(super) fn state(state: BackendState) -> Health {
    Health { state, ..Health::default() }
}

/// The entry of the backend with this address.
pub(super) fn entry(view: &KernelView, address: &str) -> BackendEntry {
    *ids(view).get(address).map(|id| &view.backends[id]).unwrap()
}

/// Backend ids by address.
pub(super) fn ids(view: &KernelView) -> BTreeMap<String, u32> {
    let address = |b: &BackendEntry| format!("{}:{}", to_ip(&b.addr), u16::from_be(b.port));
    view.backends.iter().map(|(&id, entry)| (address(entry), id)).collect()
}

/// The only VIP.
pub(super) fn vip(view: &KernelView) -> VipEntry {
    assert_eq!(view.vips.len(), 1);
    *view.vips.values().next().unwrap()
}

/// Addresses of the VIPs.
pub(super) fn vips(view: &KernelView) -> Vec<String> {
    let address = |vip: &VipEntry| format!("{}:{}", to_ip(&vip.addr), u16::from_be(vip.port));
    view.vips.values().map(address).collect()
}
