//! Reads values of another layout by its description: fields by name, wherever
//! they stand and however wide they are.

use std::{collections::BTreeMap, os::fd::AsFd, sync::Arc};

use aya::{
    Pod,
    maps::{MapData, MapInfo},
};
use lb_common::{
    Addr, BackendEntry, BackendStats, Flow, IfaceEntry, KernelConfig, VipEntry, backend, maps,
    vip::{self, NO_RING},
};

use super::{
    error::{KernelError as E, Result},
    layout::{Layout, TypeShape, types},
    load,
    old_table::Places,
    paths::LayoutPaths,
    pins, sys,
};
use crate::plan::{KernelView, RingView};

/// Fields without which nothing can be carried over.
const NEEDED: [(&str, &[&str]); 5] = [
    ("KernelConfig", &["hash_key", "hz"]),
    ("VipEntry", &["addr", "port", "proto", "ring", "ring_len", "flags"]),
    ("BackendEntry", &["addr", "port", "flags", "proto"]),
    ("RingValue", &["members", "slots"]),
    ("Flow", &["client", "client_port", "nat_port", "vip", "backend", "last_seen", "nat", "state"]),
];

/// Decodes the maps of one layout.
pub(super) struct Decoder<'a> {
    pins: &'a LayoutPaths,
    layout: &'a Layout,
    new: BTreeMap<String, TypeShape>,
}

impl<'a> Decoder<'a> {
    /// For the maps pinned under `pins`.
    ///
    /// # Errors
    /// The description lacks what can't be done without.
    pub(super) fn new(pins: &'a LayoutPaths, layout: &'a Layout) -> Result<Self> {
        if let Some(why) = missing(layout) {
            return Err(E::Foreign { path: pins.folder().into(), why });
        }
        load::check_shapes(pins, layout)?;
        Ok(Self { pins, layout, new: types() })
    }

    /// What the maps hold.
    pub(super) fn view(&self) -> Result<KernelView> {
        let used = backend::flags::USED;
        let backends = self.all::<BackendEntry>(maps::BACKENDS, "BackendEntry")?;
        let vips = self.all::<VipEntry>(maps::VIPS, "VipEntry")?;
        let vips: BTreeMap<u32, VipEntry> =
            vips.into_iter().filter(|(_, v)| v.flags & vip::flags::USED != 0).collect();
        let config = self.all::<KernelConfig>(maps::CONFIG, "KernelConfig")?;
        let ifaces = self.all::<IfaceEntry>(maps::IFACES, "IfaceEntry")?;
        let mut rings = BTreeMap::new();
        for entry in vips.values().filter(|entry| entry.ring != NO_RING) {
            if let std::collections::btree_map::Entry::Vacant(e) = rings.entry(entry.ring) {
                e.insert(self.ring(entry.ring, entry.ring_len)?);
            }
        }
        Ok(KernelView {
            config: config.into_iter().next().map(|(_, config)| config).unwrap_or_default(),
            nats: self.nats()?,
            ifaces: ifaces.into_iter().filter(|(_, entry)| entry.ifindex != 0).collect(),
            backends: backends.into_iter().filter(|(_, b)| b.flags & used != 0).collect(),
            rings,
            vips,
        })
    }

    /// A flow from its bytes.
    pub(super) fn flow(&self, bytes: &[u8]) -> Result<Flow> {
        self.value("Flow", bytes)
    }

    /// A backend's counters, summed over CPUs.
    pub(super) fn backend_stats(&self, id: u32) -> Result<BackendStats> {
        let mut total = BackendStats::default();
        for bytes in self.per_cpu(maps::STATS, id)? {
            let cpu: BackendStats = self.value("BackendStats", &bytes)?;
            total.packets += cpu.packets;
            total.bytes += cpu.bytes;
            total.reply_packets += cpu.reply_packets;
            total.reply_bytes += cpu.reply_bytes;
            total.connections += cpu.connections;
            total.refused += cpu.refused;
        }
        Ok(total)
    }

    /// A counter of 8 bytes, summed over CPUs.
    pub(super) fn counter(&self, name: &str, index: u32) -> Result<u64> {
        let word = |b: Vec<u8>| b.first_chunk().map_or(0, |b| u64::from_ne_bytes(*b));
        Ok(self.per_cpu(name, index)?.into_iter().map(word).sum())
    }

    fn nats(&self) -> Result<BTreeMap<u16, Addr>> {
        let word = |b: &[u8]| b.first_chunk().map_or(0, |b| u32::from_ne_bytes(*b));
        let addr = |b: &[u8]| -> Addr { std::array::from_fn(|i| word(&b[i * 4..])) };
        let values = self.raw(maps::NATS)?;
        let all = values.iter().filter(|b| b.len() == size_of::<Addr>()).map(|b| addr(b));
        Ok((0..).zip(all).filter(|(_, addr)| *addr != [0; 4]).collect())
    }

    fn ring(&self, id: u32, len: u32) -> Result<Arc<RingView>> {
        let path = self.pins.rings().join(id.to_string());
        let info = MapInfo::from_pin(&path).map_err(E::aya_map(maps::RINGS, "reading a shape"))?;
        let map = MapData::from_pin(&path).map_err(E::aya_map(maps::RINGS, "opening a ring"))?;
        let shape = self.shape("RingValue")?;
        let mut value = vec![0; info.value_size() as usize];
        sys::lookup(map.fd().as_fd(), sys::bytes(&0u32), &mut value)
            .map_err(E::map(maps::RINGS, format!("read of ring {id}")))?;
        let part = |name: &str| {
            let (offset, size) = shape.fields.get(name).copied().unwrap_or_default();
            value.get(offset as usize..(offset + size) as usize).unwrap_or_default()
        };
        Ok(Arc::new(super::rings::decode(part("members"), part("slots"), len as usize)))
    }

    fn all<T: Pod>(&self, map: &str, kind: &str) -> Result<Vec<(u32, T)>> {
        let values = self.raw(map)?;
        (0..).zip(values).map(|(index, bytes)| Ok((index, self.value(kind, &bytes)?))).collect()
    }

    /// The values of an array.
    fn raw(&self, name: &str) -> Result<Vec<Vec<u8>>> {
        let shape = self.layout.maps.get(name).copied().unwrap_or_default();
        if shape.entries == 0 || shape.value == 0 {
            return Ok(Vec::new());
        }
        let map = pins::data(self.pins, name)?;
        let size = shape.value as usize;
        let bytes = sys::lookup_all(map.fd().as_fd(), shape.entries, size)
            .map_err(E::map(name, "read of all"))?;
        Ok(bytes.chunks_exact(size).map(<[u8]>::to_vec).collect())
    }

    fn per_cpu(&self, name: &str, index: u32) -> Result<Vec<Vec<u8>>> {
        let shape = self.layout.maps.get(name).copied().unwrap_or_default();
        if index >= shape.entries {
            return Ok(Vec::new());
        }
        let stride = shape.value.next_multiple_of(8) as usize;
        let cpus = aya::util::nr_cpus().map_err(|(path, e)| E::file(path)(e))?;
        let map = pins::data(self.pins, name)?;
        let mut bytes = vec![0; stride * cpus];
        sys::lookup(map.fd().as_fd(), sys::bytes(&index), &mut bytes)
            .map_err(E::map(name, format!("read of {index}")))?;
        Ok(bytes.chunks_exact(stride.max(1)).map(<[u8]>::to_vec).collect())
    }

    fn value<T: Pod>(&self, kind: &str, bytes: &[u8]) -> Result<T> {
        let new = self.new.get(kind).ok_or_else(|| E::Internal(format!("no type {kind}")))?;
        let bytes = convert(self.shape(kind)?, new, bytes).map_err(|why| E::Foreign {
            path: self.pins.folder().into(),
            why: format!("{kind}.{why}"),
        })?;
        debug_assert_eq!(bytes.len(), size_of::<T>());
        // SAFETY: T is Pod, of the size that its description says; no alignment is needed.
        Ok(unsafe { bytes.as_ptr().cast::<T>().read_unaligned() })
    }

    fn shape(&self, kind: &str) -> Result<&TypeShape> {
        self.layout.types.get(kind).ok_or_else(|| E::Foreign {
            path: self.pins.folder().into(),
            why: format!("their description lacks {kind}"),
        })
    }
}

/// What the description lacks, or says that can't be so.
fn missing(layout: &Layout) -> Option<String> {
    for (kind, fields) in NEEDED {
        let Some(shape) = layout.types.get(kind) else {
            return Some(format!("their description lacks {kind}"));
        };
        for field in fields {
            if !shape.fields.contains_key(*field) {
                return Some(format!("their description lacks {kind}.{field}"));
            }
        }
    }
    Places::of(layout).err().map(str::to_owned)
}

/// Bytes of the type `new` with the fields of `old` found in `bytes`: integers may have another
/// width, fields that are new are zero, fields that are no more are left out.
fn convert(old: &TypeShape, new: &TypeShape, bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut out = vec![0; new.size as usize];
    for (name, (to, size)) in &new.fields {
        let Some((from, old_size)) = old.fields.get(name) else { continue };
        let from = bytes
            .get(*from as usize..(from + old_size) as usize)
            .ok_or_else(|| format!("{name} lies beyond the value"))?;
        let to = out
            .get_mut(*to as usize..(to + size) as usize)
            .ok_or_else(|| format!("{name} lies beyond the new value"))?;
        let common = from.len().min(to.len());
        if from.len() != to.len() && from.len().max(to.len()) > 8 {
            return Err(format!("{name} is {} bytes, not {}", from.len(), to.len()));
        }
        // Little-endian: the low bytes come first.
        if from[common..].iter().any(|byte| *byte != 0) {
            return Err(format!("{name} doesn't fit {} bytes", to.len()));
        }
        to[..common].copy_from_slice(&from[..common]);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(size: u32, fields: &[(&str, u32, u32)]) -> TypeShape {
        let fields = fields.iter().map(|(name, at, len)| ((*name).to_owned(), (*at, *len)));
        TypeShape { size, fields: fields.collect() }
    }

    macro_rules! conversions {
        ($($test:ident: $old:expr, $new:expr, $bytes:expr => $out:expr;)+) => {
            $(#[test]
            fn $test() {
                let out: Result<&[u8], &str> = $out;
                let found = convert(&$old, &$new, &$bytes);
                assert_eq!(found.as_deref().map_err(String::as_str), out);
            })+
        };
    }

    conversions! {
        fields_that_moved_are_found_by_name:
            shape(4, &[("a", 0, 2), ("b", 2, 2)]), shape(4, &[("b", 0, 2), ("a", 2, 2)]),
            [1, 2, 3, 4] => Ok(&[3, 4, 1, 2]);
        a_field_that_is_new_is_zero:
            shape(2, &[("a", 0, 2)]), shape(4, &[("a", 0, 2), ("c", 2, 2)]),
            [1, 2] => Ok(&[1, 2, 0, 0]);
        a_field_that_is_no_more_is_left_out:
            shape(4, &[("a", 0, 2), ("x", 2, 2)]), shape(2, &[("a", 0, 2)]),
            [1, 2, 3, 4] => Ok(&[1, 2]);
        a_narrower_integer_widens:
            shape(2, &[("a", 0, 2)]), shape(4, &[("a", 0, 4)]), [1, 2] => Ok(&[1, 2, 0, 0]);
        a_wider_integer_narrows_where_it_fits:
            shape(4, &[("a", 0, 4)]), shape(2, &[("a", 0, 2)]), [1, 2, 0, 0] => Ok(&[1, 2]);
        a_wider_integer_that_does_not_fit_is_refused:
            shape(4, &[("a", 0, 4)]), shape(2, &[("a", 0, 2)]), [1, 2, 3, 0]
            => Err("a doesn't fit 2 bytes");
        an_array_of_another_length_is_refused:
            shape(16, &[("a", 0, 16)]), shape(12, &[("a", 0, 12)]), [0; 16]
            => Err("a is 16 bytes, not 12");
        a_value_that_is_too_short_is_refused:
            shape(8, &[("a", 4, 4)]), shape(4, &[("a", 0, 4)]), [0; 4]
            => Err("a lies beyond the value");
    }
}
