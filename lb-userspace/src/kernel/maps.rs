//! Carries plans out on the pinned maps.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    os::fd::AsFd,
    sync::Arc,
    time::{Duration, Instant},
};

use aya::maps::{Array, HashMap, MapData, PerCpuArray, PerCpuValues};
use lb_common::{
    Addr, BackendEntry, BackendStats, IfaceEntry, KernelConfig, VipEntry, VipMeta, VipSlot, maps,
    vip::{DISPS, SLOTS},
};

use super::{
    error::{KernelError as E, Result},
    flows::Reader,
    paths::LayoutPaths,
    pins,
    rings::Rings,
    sweep, sys,
};
use crate::plan::{KernelView, MapSink, Op, VipKey, VipTable};

/// How long after it went out of force a value may be overwritten in place without waiting for
/// the programs: no packet is worked on that long.
const SETTLED: Duration = Duration::from_secs(1);

/// The [`MapSink`] of the kernel.
///
/// After each plan the maps are whole; within one, the order of operations keeps every packet's
/// way valid (see [`Op`]).
pub struct KernelMaps {
    config: Array<MapData, KernelConfig>,
    vip_meta: Array<MapData, VipMeta>,
    vip_active: Array<MapData, u32>,
    vip_disp: MapData,
    vip_slots: MapData,
    vips: Array<MapData, VipEntry>,
    vip_addrs: HashMap<MapData, Addr, u32>,
    backends: Array<MapData, BackendEntry>,
    stats: PerCpuArray<MapData, BackendStats>,
    nats: Array<MapData, Addr>,
    ifaces: Array<MapData, IfaceEntry>,
    rings: Rings,
    reader: Arc<Reader>,
    /// What identifies the tables: settings that contradict it are refused.
    base: KernelConfig,
    used_backends: BTreeSet<u32>,
    used_vips: BTreeSet<u32>,
    /// Whether flows may still name ids that are not in use.
    unpurged: bool,
    /// When a generation of the VIP table went out of force: the next to be overwritten.
    table_retired: Option<Instant>,
    /// When a ring last went out of force, which may be filled anew.
    ring_retired: Option<Instant>,
}

impl fmt::Debug for KernelMaps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KernelMaps").field("base", &self.base).finish_non_exhaustive()
    }
}

impl KernelMaps {
    /// The maps pinned under `paths`, which hold `view`.
    pub(super) fn open(
        paths: &LayoutPaths,
        reader: Arc<Reader>,
        view: &KernelView,
    ) -> Result<Self> {
        Ok(Self {
            config: pins::array(paths, maps::CONFIG)?,
            vip_meta: pins::array(paths, maps::VIP_META)?,
            vip_active: pins::array(paths, maps::VIP_ACTIVE)?,
            vip_disp: pins::data(paths, maps::VIP_DISP)?,
            vip_slots: pins::data(paths, maps::VIP_SLOTS)?,
            vips: pins::array(paths, maps::VIPS)?,
            vip_addrs: pins::hash(paths, maps::VIP_ADDRS)?,
            backends: pins::array(paths, maps::BACKENDS)?,
            stats: pins::per_cpu(paths, maps::STATS)?,
            nats: pins::array(paths, maps::NATS)?,
            ifaces: pins::array(paths, maps::IFACES)?,
            rings: Rings::open(paths, view)?,
            reader,
            base: view.config,
            used_backends: view.backends.keys().copied().collect(),
            used_vips: view.vips.keys().copied().collect(),
            unpurged: true,
            table_retired: Some(Instant::now()),
            ring_retired: Some(Instant::now()),
        })
    }

    /// Gives settings the identity of these tables.
    pub(super) fn keep_tables(&self, config: &mut KernelConfig) {
        config.hash_key = self.base.hash_key;
        config.est_buckets = self.base.est_buckets;
        config.half_buckets = self.base.half_buckets;
        config.reply_buckets = self.base.reply_buckets;
    }

    fn carry_out(&mut self, op: &Op) -> Result<()> {
        if !matches!(op, Op::Ring(..) | Op::DropRing(_)) {
            self.rings.flush()?;
        }
        match op {
            Op::Config(config) => self.set_config(config),
            Op::Nat(id, addr) => {
                self.nats.set(u32::from(*id), addr, sys::ANY).map_err(write(maps::NATS, *id))
            }
            Op::Iface(slot, entry) => {
                self.ifaces.set(*slot, entry, sys::ANY).map_err(write(maps::IFACES, *slot))
            }
            Op::Backend(id, entry) => self.set_backend(*id, entry),
            Op::Ring(id, ring) => {
                if self.rings.overwrites(*id) {
                    settle(&mut self.ring_retired)?;
                }
                self.rings.fill(*id, ring)
            }
            Op::Vip(id, entry) => self.set_vip(*id, entry),
            Op::VipTable(vips) => self.set_vip_table(vips),
            Op::DropVip(id) => self.drop_vip(*id),
            Op::DropRing(id) => {
                self.ring_retired = Some(Instant::now());
                self.rings.release(*id)
            }
            Op::DropBackend(id) => self.drop_backend(*id),
        }
    }

    fn set_config(&mut self, config: &KernelConfig) -> Result<()> {
        let tables =
            |c: &KernelConfig| (c.hash_key, c.est_buckets, c.half_buckets, c.reply_buckets);
        if tables(config) != tables(&self.base) {
            return Err(E::Internal(
                "a plan's settings don't fit the tables; nothing was written".into(),
            ));
        }
        self.config.set(0, config, sys::ANY).map_err(write(maps::CONFIG, 0u32))
    }

    fn set_backend(&mut self, id: u32, entry: &BackendEntry) -> Result<()> {
        let room = self.backends.len();
        if id >= room {
            let needed = u64::from(id) + 1;
            return Err(E::TooSmall { what: "datapath.backends", given: room.into(), needed });
        }
        let is = |b: &BackendEntry| (b.addr, b.port, b.proto, b.service);
        let there = self.backends.get(&id, 0).map_err(E::aya_map(maps::BACKENDS, "read"))?;
        if is(&there) != is(entry) {
            self.unpurged |= self.used_backends.remove(&id);
        }
        if !self.used_backends.contains(&id) {
            self.purge()?;
            self.zero_counters(id)?;
        }
        self.backends.set(id, entry, sys::ANY).map_err(write(maps::BACKENDS, id))?;
        self.used_backends.insert(id);
        Ok(())
    }

    fn set_vip(&mut self, id: u32, entry: &VipEntry) -> Result<()> {
        let is = |v: &VipEntry| (v.addr, v.port, v.proto);
        let there = self.vips.get(&id, 0).map_err(E::aya_map(maps::VIPS, "read"))?;
        if is(&there) != is(entry) {
            self.unpurged |= self.used_vips.remove(&id);
        }
        if !self.used_vips.contains(&id) {
            self.purge()?;
        }
        // The ring that the entry named before may be freed next.
        self.ring_retired = Some(Instant::now());
        self.vips.set(id, entry, sys::ANY).map_err(write(maps::VIPS, id))?;
        self.used_vips.insert(id);
        Ok(())
    }

    /// Fills the idle generation and puts it in force.
    fn set_vip_table(&mut self, vips: &BTreeMap<u32, VipEntry>) -> Result<()> {
        let keys: Vec<VipKey> = vips.iter().map(|(id, entry)| key(*id, entry)).collect();
        let table = VipTable::build(&keys).map_err(|e| E::Internal(e.to_string()))?;
        settle(&mut self.table_retired)?;
        let active =
            self.vip_active.get(&0, 0).map_err(E::aya_map(maps::VIP_ACTIVE, "read of 0"))?;
        let idle = u32::from(active == 0);
        write_all(&self.vip_disp, maps::VIP_DISP, idle * DISPS, &table.disps)?;
        write_all::<VipSlot>(&self.vip_slots, maps::VIP_SLOTS, idle * SLOTS, &table.slots)?;
        self.vip_meta.set(idle, table.meta, sys::ANY).map_err(write(maps::VIP_META, idle))?;
        let wanted: BTreeSet<Addr> = vips.values().map(|entry| entry.addr).collect();
        let there: BTreeSet<Addr> = self.vip_addrs.keys().flatten().collect();
        for addr in wanted.difference(&there) {
            self.vip_addrs
                .insert(addr, 1, sys::ANY)
                .map_err(E::aya_map(maps::VIP_ADDRS, "insertion"))?;
        }
        self.vip_active.set(0, idle, sys::ANY).map_err(write(maps::VIP_ACTIVE, 0u32))?;
        self.table_retired = Some(Instant::now());
        for addr in there.difference(&wanted) {
            self.vip_addrs.remove(addr).map_err(E::aya_map(maps::VIP_ADDRS, "deletion"))?;
        }
        Ok(())
    }

    fn drop_vip(&mut self, id: u32) -> Result<()> {
        self.vips.set(id, VipEntry::default(), sys::ANY).map_err(write(maps::VIPS, id))?;
        self.used_vips.remove(&id);
        self.unpurged = true;
        Ok(())
    }

    fn drop_backend(&mut self, id: u32) -> Result<()> {
        let none = BackendEntry::default();
        self.backends.set(id, none, sys::ANY).map_err(write(maps::BACKENDS, id))?;
        self.zero_counters(id)?;
        self.used_backends.remove(&id);
        self.unpurged = true;
        Ok(())
    }

    fn zero_counters(&mut self, id: u32) -> Result<()> {
        let cpus = aya::util::nr_cpus().map_err(|(path, e)| E::file(path)(e))?;
        let none = PerCpuValues::try_from(vec![BackendStats::default(); cpus])
            .map_err(E::map(maps::STATS, "zeroing"))?;
        self.stats.set(id, none, sys::ANY).map_err(write(maps::STATS, id))?;
        self.reader.set_active(id, 0);
        Ok(())
    }

    /// Before an id stands for something else: flows that still name one out of use end here, lest they go
    /// on with what the id means next.
    fn purge(&mut self) -> Result<()> {
        if std::mem::take(&mut self.unpurged) {
            let (backends, vips) = (&self.used_backends, &self.used_vips);
            sweep::purge(&self.reader, |flow| {
                !backends.contains(&flow.backend) || !vips.contains(&flow.vip)
            });
        }
        Ok(())
    }
}

/// Waits until no packet can still be reading what went out of force then.
fn settle(retired: &mut Option<Instant>) -> Result<()> {
    if retired.take().is_some_and(|at| at.elapsed() < SETTLED) {
        sys::barrier().map_err(E::file("membarrier"))?;
    }
    Ok(())
}

impl MapSink for KernelMaps {
    fn apply(&mut self, op: &Op) -> anyhow::Result<()> {
        Ok(self.carry_out(op)?)
    }
}

fn key(id: u32, entry: &VipEntry) -> VipKey {
    let port_proto = u32::from(entry.port) | u32::from(entry.proto) << 16;
    VipKey { addr: entry.addr, port_proto, id }
}

fn write_all<V: aya::Pod>(map: &MapData, name: &str, first: u32, values: &[V]) -> Result<()> {
    let keys: Vec<u32> = (first..).take(values.len()).collect();
    sys::update_batch(map.fd().as_fd(), &keys, values)
        .map_err(E::map(name, format!("write of {} values from {first}", values.len())))
}

fn write(name: &'static str, key: impl Into<u32>) -> impl FnOnce(aya::maps::MapError) -> E {
    E::aya_map(name, format!("write of {}", key.into()))
}
