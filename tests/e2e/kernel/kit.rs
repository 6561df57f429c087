//! An instance of its own for each test, and views made by hand.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use anyhow::{Context, Result};
use lb_common::{
    BackendEntry, IfaceEntry, KernelConfig, VipEntry,
    addr::from_ip,
    backend::{self, IFACE_SLOTS},
    vip,
};
use lb_tests::{Lab, Namespace, netns::unique_name};
use lb_userspace::{
    kernel::{AttachStatus, Attachment, Datapath, Paths, detach, net::AttachMode},
    model,
    plan::{KernelView, Plan, RingView},
};

/// An instance; taken out of the kernel on drop.
pub(crate) struct Instance {
    pub(crate) paths: Paths,
}

impl Instance {
    pub(crate) fn new() -> Self {
        Self { paths: Paths::new(&unique_name()).expect("names of tests are names of instances") }
    }

    pub(crate) fn open(&self, settings: &model::Datapath) -> Result<Datapath> {
        Ok(Datapath::open(&self.paths, settings)?)
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if let Err(error) = detach(&self.paths) {
            eprintln!("{}: {error}", self.paths.instance());
        }
    }
}

/// Small tables: each test has its own.
pub(crate) fn small() -> model::Datapath {
    model::Datapath { connections: 4096, backends: 256, ..model::Datapath::default() }
}

/// Carries a whole view out, as the first plan does.
pub(crate) fn apply(datapath: &mut Datapath, view: &KernelView) -> Result<()> {
    let there = KernelView { config: datapath.base_config()?, ..KernelView::default() };
    Plan::between(&there, view).apply(datapath.sink())
}

/// Settings that fit the tables; time-outs in seconds.
pub(crate) fn config(datapath: &Datapath) -> Result<KernelConfig> {
    let base = datapath.base_config()?;
    Ok(KernelConfig {
        nat_port_first: 1024,
        nat_port_last: 32_767,
        host_port_first: 32_768,
        host_port_last: 60_999,
        min_mtu: 1500,
        tcp_established: 3600 * base.hz,
        half_open: 30 * base.hz,
        tcp_closing: 240 * base.hz,
        tcp_closed: 60 * base.hz,
        udp: 120 * base.hz,
        ..base
    })
}

/// A view that needs no network: `backends` backends of one VIP, `198.51.100.10:80`.
pub(crate) fn view(datapath: &Datapath, backends: u32) -> Result<KernelView> {
    let vip: SocketAddr = "198.51.100.10:80".parse()?;
    let entry = |id: u32| {
        let address = SocketAddr::new([10, 0, 1, 11 + id as u8].into(), 8080);
        backend_entry(address, 6, 7, [2, 0, 0, 0, 1, id as u8], [2, 0, 0, 0, 0, 1])
    };
    Ok(KernelView {
        config: config(datapath)?,
        nats: BTreeMap::from([(0, from_ip([10, 0, 1, 1].into()))]),
        ifaces: BTreeMap::from([(
            7,
            IfaceEntry { ifindex: 7, mtu: 1500, ..IfaceEntry::default() },
        )]),
        backends: (0..backends).map(|id| (id, entry(id))).collect(),
        rings: BTreeMap::from([(0, ring(backends))]),
        vips: BTreeMap::from([(0, vip_entry(vip, 6, 0, backends * 3))]),
    }
    .with_nat_filter())
}

/// A ring of three slots for each backend.
pub(crate) fn ring(backends: u32) -> Arc<RingView> {
    let slots = (0..backends as u16 * 3).map(|slot| slot % backends as u16).collect();
    Arc::new(RingView { members: (0..backends).collect(), slots, recipe: 0 })
}

pub(crate) fn vip_entry(at: SocketAddr, proto: u16, ring: u32, ring_len: u32) -> VipEntry {
    VipEntry {
        addr: from_ip(at.ip()),
        port: at.port().to_be(),
        proto,
        algorithm: vip::algorithm::MAGLEV,
        ring,
        ring_len,
        flags: vip::flags::USED,
        pad: 0,
        service: 5,
    }
}

pub(crate) fn backend_entry(
    at: SocketAddr,
    proto: u32,
    ifindex: u32,
    dst_mac: [u8; 6],
    src_mac: [u8; 6],
) -> BackendEntry {
    BackendEntry {
        addr: from_ip(at.ip()),
        port: at.port().to_be(),
        flags: backend::flags::USED | backend::flags::RESOLVED | backend::flags::XDP,
        ifindex,
        dst_mac,
        src_mac,
        mtu: 1500,
        nat_first: 0,
        nat_count: 1,
        service: 5,
        weight: 1,
        proto,
        ..BackendEntry::default()
    }
}

/// The view of a lab: its VIP's `port` goes to the same port of its backends, TCP as id 0 and
/// UDP as id 1.
pub(crate) fn lab_view(lab: &Lab, datapath: &Datapath, port: u16) -> Result<KernelView> {
    let out = lab.lb.ifindex("eth1")?;
    let source_mac = lab.lb.mac("eth1")?;
    let mut backends = BTreeMap::new();
    for (proto, first) in [(6, 0), (17, lab.backends.len() as u32)] {
        for (id, host) in (first..).zip(&lab.backends) {
            let mac = host.ns.mac("eth0")?;
            backends.insert(id, backend_entry(host.at(port), proto, out, mac, source_mac));
        }
    }
    let count = lab.backends.len() as u32;
    let udp = RingView { members: (count..count * 2).collect(), ..RingView::clone(&ring(count)) };
    Ok(KernelView {
        config: config(datapath)?,
        nats: BTreeMap::from([(0, from_ip(lab.source()))]),
        ifaces: BTreeMap::from([iface(&lab.lb, "eth0")?, iface(&lab.lb, "eth1")?]),
        backends,
        rings: BTreeMap::from([(0, ring(count)), (1, Arc::new(udp))]),
        vips: BTreeMap::from([
            (0, vip_entry(lab.vip(port), 6, 0, count * 3)),
            (1, vip_entry(lab.vip(port), 17, 1, count * 3)),
        ]),
    }
    .with_nat_filter())
}

fn iface(ns: &Namespace, name: &str) -> Result<(u32, IfaceEntry)> {
    let ifindex = ns.ifindex(name)?;
    let entry = IfaceEntry { ifindex, mtu: 1500, mac: ns.mac(name)?, flags: 0 };
    Ok((ifindex & (IFACE_SLOTS - 1), entry))
}

/// Attaches TC to both interfaces of the balancer.
pub(crate) fn attach(lab: &Lab, datapath: &mut Datapath) -> Result<Vec<AttachStatus>> {
    attach_to(&lab.lb, datapath, &["eth0", "eth1"], AttachMode::Tc)
}

/// Attaches to interfaces of a namespace; every one must succeed.
pub(crate) fn attach_to(
    ns: &Namespace,
    datapath: &mut Datapath,
    names: &[&str],
    mode: AttachMode,
) -> Result<Vec<AttachStatus>> {
    let mut wanted = Vec::new();
    for name in names {
        let ifindex = ns.ifindex(name)?;
        wanted.push(Attachment { ifindex, name: (*name).to_owned(), mode, also_tc: false });
    }
    let statuses = ns.run(|| datapath.attach(&wanted))?;
    for status in &statuses {
        if let Some(error) = &status.error {
            anyhow::bail!("{}: {error}", status.wanted.name);
        }
    }
    Ok(statuses)
}

/// The ids of the pinned links and of the programs they run, by the names of the pins.
pub(crate) fn links(paths: &Paths) -> Result<BTreeMap<String, (u32, u32)>> {
    let mut links = BTreeMap::new();
    for entry in std::fs::read_dir(paths.links())? {
        let entry = entry?;
        let link = aya::programs::links::PinnedLink::from_pin(entry.path())?;
        let info = aya::programs::links::FdLink::from(link).info()?;
        let name = entry.file_name().into_string().ok().context("a name that is no text")?;
        links.insert(name, (info.id(), info.program_id()));
    }
    Ok(links)
}
