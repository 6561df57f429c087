//! Reads back what the maps hold: what the next plan is a difference from.

use std::{collections::BTreeMap, os::fd::AsFd};

use lb_common::{
    Addr, BackendEntry, IfaceEntry, KernelConfig, VipEntry, backend, maps,
    vip::{self, NO_RING},
};

use super::{
    error::{KernelError as E, Result},
    paths::LayoutPaths,
    pins, rings, sys,
};
use crate::plan::KernelView;

/// The view that the maps pinned under `paths` hold.
pub(super) fn read(paths: &LayoutPaths) -> Result<KernelView> {
    let config = pins::array::<KernelConfig>(paths, maps::CONFIG)?
        .get(&0, 0)
        .map_err(E::aya_map(maps::CONFIG, "read of 0"))?;
    let vips: BTreeMap<u32, VipEntry> = all(paths, maps::VIPS)?
        .filter(|(_, entry): &(u32, VipEntry)| entry.flags & vip::flags::USED != 0)
        .collect();
    let mut rings = BTreeMap::new();
    for entry in vips.values().filter(|entry| entry.ring != NO_RING) {
        if let std::collections::btree_map::Entry::Vacant(e) = rings.entry(entry.ring) {
            e.insert(rings::read(paths, entry.ring, entry.ring_len)?);
        }
    }
    Ok(KernelView {
        config,
        nats: all(paths, maps::NATS)?
            .filter(|(_, addr): &(u32, Addr)| *addr != [0; 4])
            .map(|(id, addr)| (id as u16, addr))
            .collect(),
        ifaces: all(paths, maps::IFACES)?
            .filter(|(_, entry): &(u32, IfaceEntry)| entry.ifindex != 0)
            .collect(),
        backends: all(paths, maps::BACKENDS)?
            .filter(|(_, entry): &(u32, BackendEntry)| entry.flags & backend::flags::USED != 0)
            .collect(),
        rings,
        vips,
    })
}

/// Every element of an array, by index.
fn all<V: aya::Pod>(
    paths: &LayoutPaths,
    name: &str,
) -> Result<impl Iterator<Item = (u32, V)> + use<V>> {
    let map = pins::array::<V>(paths, name)?;
    let data = pins::data(paths, name)?;
    let bytes = sys::lookup_all(data.fd().as_fd(), map.len(), size_of::<V>())
        .map_err(E::map(name, "read of all"))?;
    Ok((0..map.len()).map(move |index| {
        let at = index as usize * size_of::<V>();
        // SAFETY: V is Pod, and its bytes are within the buffer; they need no alignment.
        let value = unsafe { bytes[at..at + size_of::<V>()].as_ptr().cast::<V>().read_unaligned() };
        (index, value)
    }))
}
