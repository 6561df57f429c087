//! lb's kernel path, opened by its own loader and filled by its own plans,
//! between two interfaces that nothing is sent by.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use anyhow::{Context, Result};
use aya::programs::{ProgramFd, loaded_programs};
use lb_common::{
    BackendEntry, IfaceEntry, VipEntry,
    addr::from_ip,
    backend::{self, IFACE_PROBES, IFACE_SLOTS, IFACE_XDP},
    vip::{self, NO_RING},
};
use lb_tests::{Namespace, link::veth, netns::unique_name};
use lb_userspace::{
    kernel::{Datapath, Paths, detach},
    model,
    plan::{KernelView, MapSink, Op, RingView, maglev},
};

/// Flows that the table is made for.
pub(crate) const CONNECTIONS: u32 = 1 << 20;
/// Backends of each service.
pub(crate) const BACKENDS: u32 = 100;
/// Slots of each ring.
const RING: u32 = 65_537;

/// MACs: of the client's side, of the interface that faces it, of the one that faces the
/// backends, and of these.
pub(crate) const CLIENT_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
pub(crate) const FRONT_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
pub(crate) const BACK_MAC: [u8; 6] = [2, 0, 0, 0, 0, 3];
pub(crate) const SERVER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 4];

/// A service.
#[derive(Clone, Copy)]
pub(crate) struct Service {
    pub(crate) vip: &'static str,
    pub(crate) proto: u8,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Works,
    /// No backend is healthy; `onEmpty: drop`.
    Empty,
    /// Next hops aren't known.
    Unresolved,
}

const fn service(vip: &'static str, proto: u8, state: State) -> Service {
    Service { vip, proto, state }
}

pub(crate) const TCP: Service = service("198.51.100.10:80", 6, State::Works);
pub(crate) const UDP: Service = service("198.51.100.10:53", 17, State::Works);
pub(crate) const TCP6: Service = service("[2001:db8:100::10]:80", 6, State::Works);
pub(crate) const EMPTY: Service = service("198.51.100.10:81", 6, State::Empty);
pub(crate) const UNRESOLVED: Service = service("198.51.100.10:82", 6, State::Unresolved);
/// As [`TCP`] until [`World::lose_next_hops`].
pub(crate) const LOST: Service = service("198.51.100.10:83", 6, State::Works);
const SERVICES: [Service; 6] = [TCP, UDP, TCP6, EMPTY, UNRESOLVED, LOST];

impl Service {
    pub(crate) fn address(&self) -> SocketAddr {
        self.vip.parse().expect("an address and port")
    }

    fn id(&self) -> u32 {
        SERVICES.iter().position(|s| s.vip == self.vip).unwrap_or_default() as u32
    }

    fn backends(&self) -> std::ops::Range<u32> {
        self.id() * BACKENDS..(self.id() + 1) * BACKENDS
    }
}

/// The kernel path; its pins are removed on drop.
pub(crate) struct World {
    pub(crate) datapath: Datapath,
    /// Index of the interface towards clients.
    front: u32,
    back: u32,
    paths: Paths,
}

impl World {
    /// To be called inside `ns`.
    pub(crate) fn new(ns: &Namespace) -> Result<Self> {
        let (front, back) = (ns.ifindex("front")?, ns.ifindex("back")?);
        let paths = Paths::new(&unique_name())?;
        let settings = model::Datapath { connections: CONNECTIONS, ..Default::default() };
        let datapath = Datapath::open(&paths, &settings)?;
        let mut world = Self { datapath, front, back, paths };
        world.fill()?;
        // To nothing; but it tells the programs whom the host talks to, as it does in `lb run`.
        world.datapath.attach(&[])?;
        Ok(world)
    }

    /// MAC and index of both interfaces.
    pub(crate) fn interfaces(&self) -> Vec<([u8; 6], u32)> {
        vec![(FRONT_MAC, self.front), (BACK_MAC, self.back)]
    }

    /// lb's XDP program.
    pub(crate) fn program(&self) -> Result<ProgramFd> {
        let ids = self.datapath.programs()?;
        let (_, id) = ids.iter().find(|(name, _)| name == "lb_xdp").context("no lb_xdp")?;
        for program in loaded_programs().flatten() {
            if program.id() == *id {
                return Ok(program.fd()?);
            }
        }
        anyhow::bail!("program {id} is gone")
    }

    /// The next hops of [`LOST`] become unknown.
    pub(crate) fn lose_next_hops(&mut self) -> Result<()> {
        for id in LOST.backends() {
            let entry = self.backend(&Service { state: State::Unresolved, ..LOST }, id);
            self.datapath.sink().apply(&Op::Backend(id, entry))?;
        }
        Ok(())
    }

    fn fill(&mut self) -> Result<()> {
        let view = self.view()?;
        let sink = self.datapath.sink();
        let settings = [Op::Config(view.config)].into_iter();
        let ops = settings
            .chain(view.nats.iter().map(|(id, nat)| Op::Nat(*id, *nat)))
            .chain(view.ifaces.iter().map(|(slot, iface)| Op::Iface(*slot, *iface)))
            .chain(view.backends.iter().map(|(id, entry)| Op::Backend(*id, *entry)))
            .chain(view.rings.iter().map(|(id, ring)| Op::Ring(*id, Arc::clone(ring))))
            .chain(view.vips.iter().map(|(id, entry)| Op::Vip(*id, *entry)))
            .chain([Op::VipTable(view.vips.clone())]);
        for op in ops {
            sink.apply(&op)?;
        }
        Ok(())
    }

    fn view(&self) -> Result<KernelView> {
        let mut view = KernelView { config: self.datapath.base_config()?, ..Default::default() };
        let hz = view.config.hz;
        let config = &mut view.config;
        (config.nat_port_first, config.nat_port_last) = (1024, 32_767);
        (config.host_port_first, config.host_port_last) = (32_768, 60_999);
        (config.own_port_first, config.own_port_last) = lb_userspace::health::PORTS;
        config.min_mtu = 1500;
        config.tcp_established = 7440 * hz;
        (config.half_open, config.tcp_closing, config.tcp_closed) = (30 * hz, 240 * hz, 60 * hz);
        config.udp = 120 * hz;
        for (id, nat) in ["10.0.1.1", "2001:db8:2::1"].into_iter().enumerate() {
            view.nats.insert(id as u16, from_ip(nat.parse()?));
        }
        for (mac, ifindex) in self.interfaces() {
            let entry = IfaceEntry { ifindex, mtu: 1500, mac, flags: IFACE_XDP };
            let slot = (0..IFACE_PROBES).map(|probe| (ifindex + probe) % IFACE_SLOTS);
            let free = slot.into_iter().find(|slot| !view.ifaces.contains_key(slot));
            view.ifaces.insert(free.context("no slot for an interface")?, entry);
        }
        for service in SERVICES {
            for id in service.backends() {
                view.backends.insert(id, self.backend(&service, id));
            }
            if service.state != State::Empty {
                view.rings.insert(service.id(), Arc::new(ring(&service)));
            }
            view.vips.insert(service.id(), vip(&service));
        }
        Ok(view.with_nat_filter())
    }

    fn backend(&self, service: &Service, id: u32) -> BackendEntry {
        let address = backend_address(service, id);
        let resolved = match service.state {
            State::Unresolved => 0,
            _ => backend::flags::RESOLVED,
        };
        BackendEntry {
            addr: from_ip(address.ip()),
            port: address.port().to_be(),
            flags: backend::flags::USED | backend::flags::XDP | resolved,
            ifindex: self.back,
            dst_mac: SERVER_MAC,
            src_mac: BACK_MAC,
            mtu: 1500,
            nat_first: u16::from(address.is_ipv6()),
            nat_count: 1,
            service: lb_common::hash::text(service.vip.as_bytes()),
            weight: 1,
            proto: service.proto.into(),
            ..BackendEntry::default()
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Err(error) = detach(&self.paths) {
            eprintln!("{} could not be detached: {error}", self.paths.instance());
        }
        lb_tests::reaper::remove_instance(self.paths.instance());
    }
}

fn backend_address(service: &Service, id: u32) -> SocketAddr {
    let host = 11 + id % BACKENDS;
    let ip: IpAddr = match service.address().ip() {
        IpAddr::V4(_) => [10, 0, 1, host as u8].into(),
        IpAddr::V6(_) => [0x2001, 0xdb8, 2, 0, 0, 0, 0, host as u16].into(),
    };
    (ip, 8080).into()
}

fn ring(service: &Service) -> RingView {
    let members: Vec<maglev::Member> = service
        .backends()
        .map(|id| maglev::Member {
            identity: maglev::identity(backend_address(service, id)),
            weight: 1,
        })
        .collect();
    RingView {
        slots: maglev::ring(&members, RING),
        members: service.backends().collect(),
        recipe: 0,
    }
}

fn vip(service: &Service) -> VipEntry {
    let address = service.address();
    let empty = service.state == State::Empty;
    VipEntry {
        addr: from_ip(address.ip()),
        port: address.port().to_be(),
        proto: service.proto.into(),
        algorithm: vip::algorithm::MAGLEV,
        ring: if empty { NO_RING } else { service.id() },
        ring_len: if empty { 0 } else { RING },
        flags: vip::flags::USED | if empty { vip::flags::EMPTY_DROP } else { 0 },
        service: lb_common::hash::text(service.vip.as_bytes()),
        ..VipEntry::default()
    }
}

/// Two interfaces whose far ends are beside them.
pub(crate) fn namespace() -> Result<Namespace> {
    let ns = Namespace::new("bench")?;
    for (dev, far) in [("front", "front-far"), ("back", "back-far")] {
        veth((&ns, dev), (&ns, far))?;
    }
    Ok(ns)
}
