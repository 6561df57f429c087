//! Rings: each a map of its own, made at run time and put in `RINGS` under its id.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::fd::{AsFd, AsRawFd},
    path::PathBuf,
    sync::Arc,
};

use aya::maps::MapData;
use aya_obj::generated::bpf_map_type::BPF_MAP_TYPE_ARRAY;
use lb_common::{RingValue, maps, ring::RING_MEMBERS, ring::RING_SLOTS};

use super::{
    error::{KernelError as E, Result},
    load,
    paths::LayoutPaths,
    pins, sys,
};
use crate::plan::{KernelView, RingView};

/// Maps of rings out of use that are kept for the next ones: 200 KB each.
const SPARE: usize = 64;
/// New rings put in force by one call: every call costs a grace period of RCU.
const BATCH: usize = 128;
/// Bytes of `RingValue::members`.
const MEMBER_BYTES: usize = RING_MEMBERS * 4;

/// The rings by id.
#[derive(Debug)]
pub(super) struct Rings {
    folder: PathBuf,
    outer: MapData,
    /// Ids whose map stands in `RINGS` or will after the next [`Rings::flush`].
    there: BTreeSet<u32>,
    /// Those of them that no VIP uses.
    spare: BTreeSet<u32>,
    /// Not in `RINGS` yet.
    pending: BTreeMap<u32, MapData>,
    /// Takes the place of rings that are given back: one map for all of them.
    placeholder: Option<MapData>,
    value: Vec<u8>,
}

impl Rings {
    /// The rings pinned under `paths`, of which `view` uses some.
    pub(super) fn open(paths: &LayoutPaths, view: &KernelView) -> Result<Self> {
        let folder = paths.rings();
        let mut there = BTreeSet::new();
        for entry in fs::read_dir(&folder).map_err(E::file(&folder))? {
            let name = entry.map_err(E::file(&folder))?.file_name();
            there.extend(name.to_str().and_then(|name| name.parse::<u32>().ok()));
        }
        let spare = there.iter().filter(|id| !view.rings.contains_key(id)).copied().collect();
        Ok(Self {
            folder,
            outer: pins::data(paths, maps::RINGS)?,
            there,
            spare,
            pending: BTreeMap::new(),
            placeholder: None,
            value: Vec::new(),
        })
    }

    /// Whether filling `id` overwrites a map that a packet may still be reading.
    pub(super) fn overwrites(&self, id: u32) -> bool {
        self.there.contains(&id)
    }

    /// Fills the ring `id`, which no VIP uses. In force after [`Rings::flush`].
    pub(super) fn fill(&mut self, id: u32, ring: &RingView) -> Result<()> {
        encode(ring, &mut self.value)?;
        if self.there.contains(&id) {
            let path = self.pin(id);
            match self.pending.get(&id) {
                Some(map) => write(map, &self.value)?,
                None => write(
                    &MapData::from_pin(path).map_err(E::aya_map("ring", "opening"))?,
                    &self.value,
                )?,
            }
        } else {
            let map = create("ring")?;
            write(&map, &self.value)?;
            let path = self.pin(id);
            load::remove_pin(&path)?;
            sys::pin(map.fd().as_fd(), &path).map_err(E::file(path))?;
            self.pending.insert(id, map);
            self.there.insert(id);
        }
        self.spare.remove(&id);
        if self.pending.len() >= BATCH { self.flush() } else { Ok(()) }
    }

    /// Gives the ring `id` back: no VIP uses it any more.
    pub(super) fn release(&mut self, id: u32) -> Result<()> {
        if self.there.contains(&id) {
            self.spare.insert(id);
        }
        Ok(())
    }

    /// Puts new rings in force, and frees those spare beyond [`SPARE`].
    pub(super) fn flush(&mut self) -> Result<()> {
        let freed: Vec<u32> = self.spare.iter().skip(SPARE).copied().collect();
        if self.pending.is_empty() && freed.is_empty() {
            return Ok(());
        }
        if !freed.is_empty() && self.placeholder.is_none() {
            self.placeholder = Some(create("ring_none")?);
        }
        let (mut ids, mut fds) = (Vec::new(), Vec::new());
        for (id, map) in &self.pending {
            ids.push(*id);
            fds.push(map.fd().as_fd().as_raw_fd() as u32);
        }
        for (id, map) in freed.iter().zip(self.placeholder.iter().cycle()) {
            ids.push(*id);
            fds.push(map.fd().as_fd().as_raw_fd() as u32);
        }
        sys::update_batch(self.outer.fd().as_fd(), &ids, &fds)
            .map_err(E::map(maps::RINGS, format!("write of {} rings", ids.len())))?;
        self.pending.clear();
        for id in freed {
            load::remove_pin(&self.pin(id))?;
            self.spare.remove(&id);
            self.there.remove(&id);
        }
        Ok(())
    }

    fn pin(&self, id: u32) -> PathBuf {
        self.folder.join(id.to_string())
    }
}

/// Reads the ring `id` of `len` slots, as pinned under `paths`.
pub(super) fn read(paths: &LayoutPaths, id: u32, len: u32) -> Result<Arc<RingView>> {
    let map = MapData::from_pin(paths.rings().join(id.to_string()))
        .map_err(E::aya_map(maps::RINGS, format!("opening ring {id}")))?;
    let mut value = vec![0; size_of::<RingValue>()];
    sys::lookup(map.fd().as_fd(), sys::bytes(&0u32), &mut value)
        .map_err(E::map(maps::RINGS, format!("read of ring {id}")))?;
    let (members, slots) = value.split_at(MEMBER_BYTES);
    Ok(Arc::new(decode(members, slots, len as usize)))
}

fn create(name: &str) -> Result<MapData> {
    let size = size_of::<RingValue>() as u32;
    let shape = aya_obj::Map::new_from_params(BPF_MAP_TYPE_ARRAY as u32, 4, size, 1, 0);
    MapData::create(shape, name, None).map_err(E::aya_map(maps::RINGS, "making a ring"))
}

fn write(map: &MapData, value: &[u8]) -> Result<()> {
    sys::update(map.fd().as_fd(), sys::bytes(&0u32), value)
        .map_err(E::map(maps::RINGS, "filling a ring"))
}

/// A [`RingValue`] as bytes: far too large for the stack.
fn encode(ring: &RingView, value: &mut Vec<u8>) -> Result<()> {
    if ring.members.len() > RING_MEMBERS || ring.slots.len() > RING_SLOTS {
        return Err(E::Internal(format!(
            "a ring of {} members and {} slots is larger than {RING_MEMBERS} and {RING_SLOTS}",
            ring.members.len(),
            ring.slots.len()
        )));
    }
    value.clear();
    value.resize(size_of::<RingValue>(), 0);
    let (members, slots) = value.split_at_mut(MEMBER_BYTES);
    for (to, member) in members.chunks_exact_mut(4).zip(&ring.members) {
        to.copy_from_slice(&member.to_ne_bytes());
    }
    for (to, slot) in slots.chunks_exact_mut(2).zip(&ring.slots) {
        to.copy_from_slice(&slot.to_ne_bytes());
    }
    Ok(())
}

/// A ring from the bytes of its members and slots. Its members end with the last one that a
/// slot names.
pub(super) fn decode(members: &[u8], slots: &[u8], len: usize) -> RingView {
    let slots: Vec<u16> =
        slots.chunks_exact(2).take(len).map(|c| u16::from_ne_bytes([c[0], c[1]])).collect();
    let count = slots.iter().max().map_or(0, |last| usize::from(*last) + 1);
    let members = members
        .chunks_exact(4)
        .take(count)
        .map(|c| u32::from_ne_bytes([c[0], c[1], c[2], c[3]]))
        .collect();
    RingView { members, slots, recipe: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_survives_the_round_trip() {
        let ring =
            RingView { members: vec![7, 9, 4_000_000], slots: vec![2, 0, 1, 1, 2], recipe: 0 };
        let mut value = Vec::new();
        encode(&ring, &mut value).unwrap();
        assert_eq!(value.len(), size_of::<RingValue>());
        let (members, slots) = value.split_at(MEMBER_BYTES);
        assert_eq!(decode(members, slots, 5), ring);
    }

    #[test]
    fn a_ring_that_is_too_large_is_refused() {
        let ring = RingView { members: vec![0], slots: vec![0; RING_SLOTS + 1], recipe: 0 };
        assert!(encode(&ring, &mut Vec::new()).is_err());
    }
}
