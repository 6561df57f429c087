//! Tables as another version could have left them: other offsets, other widths,
//! other bucket sizes, other marks, other orders of counters.

use std::{
    collections::BTreeMap,
    fs,
    mem::offset_of,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use aya::maps::{Array, Map, MapData, MapInfo, PerCpuArray, PerCpuValues};
use lb_common::{DropReason, Flow, RingValue, flow::FlowBucket, maps};
use lb_userspace::kernel::{Layout, MapShape, Origin, Table, TypeShape, object::OBJECT};

use super::{
    carry::{layouts, listed},
    flows::Setup,
    kit::small,
};

/// `BPF_F_MMAPABLE`.
const MMAP: u32 = 1024;
/// Signatures in a bucket of the other layout: half of this one's.
const WAYS: usize = 8;
/// What marks a signature of the other layout as ready.
const READY: u32 = 0x8000_0000;

#[test]
fn flows_go_on_from_a_layout_of_another_version() -> Result<()> {
    let setup = Setup::new(3)?;
    let mut echoes = (0..40).map(|_| setup.connect()).collect::<Result<Vec<_>>>()?;
    for echo in &mut echoes {
        echo.ping(b"before")?;
    }
    // The clients' last acknowledgements are delayed by up to 40 ms (RFC 9293 §3.8.6.3).
    std::thread::sleep(std::time::Duration::from_millis(200));
    let (flows, stats) = (listed(&setup.datapath)?, setup.datapath.reader().stats(0..3)?);
    Other::from(&layouts(&setup)?.remove(0))?.put_in_place()?;

    let carried = setup.instance.open(&small())?;
    assert_eq!(carried.origin(), Origin::CarriedOver { flows: 40 });
    assert_eq!(listed(&carried)?, flows);
    assert_eq!(carried.read_view()?, setup.view);
    let after = carried.reader().stats(0..3)?;
    assert_eq!((after.backends, after.events), (stats.backends, stats.events));
    assert_eq!(after.drops.len(), DropReason::ALL.len());
    for echo in &mut echoes {
        echo.ping(b"after")?;
    }
    setup.connect()?.ping(b"a new one")?;
    assert_eq!(listed(&carried)?.len(), 41);
    Ok(())
}

/// The maps of one instance, copied into another layout.
struct Other {
    from: PathBuf,
    to: PathBuf,
    old: Layout,
    layout: Layout,
}

impl Other {
    fn from(folder: &Path) -> Result<Self> {
        let old = Layout::new(OBJECT, &small())?;
        let mut layout = old.clone();
        layout.maps.clear();
        for shape in layout.types.values_mut() {
            *shape = rearranged(shape);
        }
        layout.table = Table {
            ways: WAYS as u32,
            sig_mask: READY,
            sig_ready: READY,
            est_buckets: old.table.est_buckets * 2,
            half_buckets: old.table.half_buckets * 2,
            ..old.table
        };
        layout.events.reverse();
        layout.drops.reverse();
        layout.drops.push("of_another_version".to_owned());
        let to = folder.with_file_name("other");
        fs::create_dir_all(to.join("maps"))?;
        fs::create_dir_all(to.join("rings"))?;
        Ok(Self { from: folder.to_owned(), to, old, layout })
    }

    /// Copies everything and removes what it was copied from; the links go on with that.
    fn put_in_place(mut self) -> Result<()> {
        self.array::<256, 520>(maps::CONFIG, "KernelConfig", 0)?;
        self.array::<48, 128>(maps::VIPS, "VipEntry", 0)?;
        self.array::<64, 256>(maps::BACKENDS, "BackendEntry", 0)?;
        self.array::<16, 64>(maps::IFACES, "IfaceEntry", 0)?;
        self.nats()?;
        self.flows()?;
        self.stats()?;
        self.counters(maps::DROPS, self.old.drops.clone(), self.layout.drops.clone())?;
        self.counters(maps::EVENTS, self.old.events.clone(), self.layout.events.clone())?;
        self.rings_on_a_large_stack()?;
        self.layout.pin(&self.to.join("maps/LAYOUT"))?;
        fs::remove_dir_all(&self.from)?;
        fs::rename(&self.to, self.to.with_file_name(self.layout.folder()))?;
        Ok(())
    }

    /// An array of `kind` in values of `NEW` bytes.
    fn array<const OLD: usize, const NEW: usize>(
        &mut self,
        name: &str,
        kind: &str,
        flags: u32,
    ) -> Result<()> {
        let old: Array<_, [u8; OLD]> = open(&self.from.join("maps").join(name))?;
        let mut new = Array::<_, [u8; NEW]>::create(old.len(), flags)?;
        for index in 0..old.len() {
            let value = self.rearrange::<NEW>(kind, &old.get(&index, 0)?);
            new.set(index, value, 0)?;
        }
        new.pin(self.to.join("maps").join(name))?;
        self.describe(name)
    }

    fn nats(&mut self) -> Result<()> {
        let old: Array<_, [u8; 16]> = open(&self.from.join("maps").join(maps::NATS))?;
        let mut new = Array::<_, [u8; 16]>::create(old.len(), 0)?;
        for index in 0..old.len() {
            new.set(index, old.get(&index, 0)?, 0)?;
        }
        new.pin(self.to.join("maps").join(maps::NATS))?;
        self.describe(maps::NATS)
    }

    /// Signatures in a map of their own. Buckets of 16 become two of 8, so that flows keep their
    /// index.
    fn flows(&mut self) -> Result<()> {
        const OLD: usize = size_of::<FlowBucket>();
        let old: Array<_, [u8; OLD]> = open(&self.from.join("maps").join(maps::FLOWS))?;
        let mut signatures = Array::<_, [u32; WAYS]>::create(old.len() * 2, MMAP)?;
        let mut flows = Array::<_, [u8; 256]>::create(old.len() * 16, MMAP)?;
        for index in 0..old.len() {
            let bucket = old.get(&index, 0)?;
            let (sigs, of_flows) = bucket.split_at(offset_of!(FlowBucket, flows));
            let mark = |sig: u32| if sig & 3 == 1 { READY | 5 } else { 7 };
            for (half, sigs) in (0..).zip(sigs.as_chunks().0.as_chunks::<WAYS>().0) {
                let sigs = sigs.map(|sig| mark(u32::from_ne_bytes(sig)));
                signatures.set(index * 2 + half, sigs, 0)?;
            }
            for (way, flow) in (0..).zip(of_flows.chunks_exact(size_of::<Flow>())) {
                flows.set(index * 16 + way, self.rearrange::<256>("Flow", flow), 0)?;
            }
        }
        signatures.pin(self.to.join("maps").join(maps::FLOW_SIGS))?;
        flows.pin(self.to.join("maps").join(maps::FLOWS))?;
        self.describe(maps::FLOW_SIGS)?;
        self.describe(maps::FLOWS)
    }

    fn stats(&mut self) -> Result<()> {
        let old: PerCpuArray<_, [u8; 48]> = open(&self.from.join("maps").join(maps::STATS))?;
        let mut new = PerCpuArray::<_, [u8; 96]>::create(old.len(), 0)?;
        for index in 0..old.len() {
            let values = old.get(&index, 0)?;
            let values: Vec<_> =
                values.iter().map(|v| self.rearrange::<96>("BackendStats", v)).collect();
            new.set(index, PerCpuValues::try_from(values)?, 0)?;
        }
        new.pin(self.to.join("maps").join(maps::STATS))?;
        self.describe(maps::STATS)
    }

    fn counters(&mut self, name: &str, old: Vec<String>, new: Vec<String>) -> Result<()> {
        let from: PerCpuArray<_, u64> = open(&self.from.join("maps").join(name))?;
        let mut to = PerCpuArray::<_, u64>::create(new.len() as u32, 0)?;
        for (index, label) in (0..).zip(&new) {
            if let Some(at) = old.iter().position(|old| old == label) {
                to.set(index, from.get(&(at as u32), 0)?, 0)?;
            }
        }
        to.pin(self.to.join("maps").join(name))?;
        self.describe(name)
    }

    /// A ring is 200 KB, several times over where values are handed on.
    fn rings_on_a_large_stack(&self) -> Result<()> {
        std::thread::scope(|scope| {
            let large = std::thread::Builder::new().stack_size(64 << 20);
            large.spawn_scoped(scope, || self.rings())?.join().expect("copying rings panicked")
        })
    }

    fn rings(&self) -> Result<()> {
        const OLD: usize = size_of::<RingValue>();
        for entry in fs::read_dir(self.from.join("rings"))? {
            let entry = entry?;
            let old: Array<_, [u8; OLD]> = open(&entry.path())?;
            let mut new = Array::<_, [u8; 200_704]>::create(1, 0)?;
            new.set(0, self.rearrange::<200_704>("RingValue", &old.get(&0, 0)?), 0)?;
            new.pin(self.to.join("rings").join(entry.file_name()))?;
        }
        Ok(())
    }

    /// The fields of a value of this version where the other one has them.
    fn rearrange<const NEW: usize>(&self, kind: &str, bytes: &[u8]) -> [u8; NEW] {
        let mut out = [0; NEW];
        let (old, new) = (&self.old.types[kind], &self.layout.types[kind]);
        for (name, (from, size)) in &old.fields {
            let (from, to, size) = (*from as usize, new.fields[name].0 as usize, *size as usize);
            out[to..to + size].copy_from_slice(&bytes[from..from + size]);
        }
        out
    }

    /// Enters a map's shape into the description.
    fn describe(&mut self, name: &str) -> Result<()> {
        let info = MapInfo::from_pin(self.to.join("maps").join(name))?;
        let shape = MapShape {
            kind: info.map_type()? as u32,
            key: info.key_size(),
            value: info.value_size(),
            entries: info.max_entries(),
            flags: info.map_flags(),
        };
        self.layout.maps.insert(name.to_owned(), shape);
        Ok(())
    }
}

/// The fields in the opposite order, each on 8 bytes of its own, those of 2 bytes widened to 4,
/// one that this version doesn't know in front.
fn rearranged(shape: &TypeShape) -> TypeShape {
    let mut fields = BTreeMap::from([("of_another_version".to_owned(), (0, 8))]);
    let mut at = 8;
    for (name, (_, size)) in shape.fields.iter().rev() {
        let size = if *size == 2 { 4 } else { *size };
        fields.insert(name.clone(), (at, size));
        at += size.next_multiple_of(8);
    }
    TypeShape { size: at, fields }
}

fn open<T: TryFrom<Map, Error = aya::maps::MapError>>(pin: &Path) -> Result<T> {
    let data = MapData::from_pin(pin).with_context(|| pin.display().to_string())?;
    Ok(Map::from_map_data(data)?.try_into()?)
}
