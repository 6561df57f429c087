//! The layout of the pinned maps: which maps, how large, and where the fields of
//! their values stand. Kept as JSON in a pinned map of its own, so that another
//! version can read what this one left (see `carry`).

use std::{collections::BTreeMap, mem::offset_of, os::fd::AsFd, path::Path};

use aya::maps::{MapData, MapInfo};
use aya_obj::{Object, generated::bpf_map_type::BPF_MAP_TYPE_ARRAY};
use lb_common::{
    BackendEntry, BackendStats, DropReason, Event, Flow, IfaceEntry, KernelConfig, RingValue,
    VipEntry, VipMeta, VipSlot,
    flow::{FlowBucket, REPLY_WAYS, SIG_READY, SIG_STATE, WAYS},
    hash, maps,
};
use serde::{Deserialize, Serialize};

use super::{
    error::{KernelError as E, Result},
    paths::LayoutPaths,
    sys,
};
use crate::model;

/// Format of the description itself.
const FORMAT: u32 = 1;
/// Meaning of the values: counts up when a field keeps its name and size but changes its
/// meaning (states, flags, hash function).
const REVISION: u32 = 1;
/// Name of the pinned map that holds the description.
pub(super) const PIN: &str = "LAYOUT";

/// A description of the pinned maps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// Format of this description.
    pub format: u32,
    /// Meaning of the values.
    pub revision: u32,
    /// Flow table sizes.
    pub table: Table,
    /// By name.
    pub maps: BTreeMap<String, MapShape>,
    /// Value types by name.
    pub types: BTreeMap<String, TypeShape>,
    /// Labels of the drop reasons, in the order of their index.
    pub drops: Vec<String>,
    /// Labels of the events, in the order of their index.
    pub events: Vec<String>,
}

/// Sizes of the flow table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Forward buckets of established flows.
    pub est_buckets: u32,
    /// Forward buckets of half-open flows, behind them.
    pub half_buckets: u32,
    /// Reply buckets.
    pub reply_buckets: u32,
    /// Signatures in a forward bucket.
    pub ways: u32,
    /// Words in a reply bucket.
    pub reply_ways: u32,
    /// Bits of a signature that tell whether its flow is complete.
    pub sig_mask: u32,
    /// What they hold when it is.
    pub sig_ready: u32,
}

/// One map as the kernel sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MapShape {
    /// `enum bpf_map_type`.
    pub kind: u32,
    /// Bytes of a key.
    pub key: u32,
    /// Bytes of a value.
    pub value: u32,
    /// Entries at most.
    pub entries: u32,
    /// `BPF_F_…`.
    pub flags: u32,
}

/// One value type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypeShape {
    /// Bytes.
    pub size: u32,
    /// By name: offset and bytes.
    pub fields: BTreeMap<String, (u32, u32)>,
}

impl Layout {
    /// The layout of this version's `object` under `settings`.
    ///
    /// # Errors
    /// The object can't be read or lacks a map.
    pub fn new(object: &[u8], settings: &model::Datapath) -> Result<Self> {
        let object = Object::parse(object).map_err(|e| E::Object(Box::new(e)))?;
        let table = Table::for_connections(settings.connections);
        let mut shapes = BTreeMap::new();
        for name in maps::PINNED {
            let map = object
                .maps
                .get(*name)
                .ok_or_else(|| E::Internal(format!("the kernel programs have no map {name}")))?;
            let shape = MapShape {
                kind: map.map_type(),
                key: map.key_size(),
                value: map.value_size(),
                entries: entries(name, &table, settings).unwrap_or(map.max_entries()),
                flags: map.map_flags(),
            };
            shapes.insert((*name).to_owned(), shape);
        }
        Ok(Self::of(table, shapes))
    }

    /// This version's value types over the given maps.
    fn of(table: Table, maps: BTreeMap<String, MapShape>) -> Self {
        let owned = |label: &'static str| label.to_owned();
        Self {
            format: FORMAT,
            revision: REVISION,
            table,
            maps,
            types: types(),
            drops: DropReason::ALL.iter().map(|reason| owned(reason.label())).collect(),
            events: Event::ALL.iter().map(|event| owned(event.label())).collect(),
        }
    }

    /// Name of the folder that maps of this layout are pinned in: `v` and the hash of the
    /// description.
    pub fn folder(&self) -> String {
        format!("v{:016x}", hash::text(self.to_json().as_bytes()))
    }

    /// The description as text; equal layouts give equal texts.
    pub fn to_json(&self) -> String {
        // Maps of strings and integers alone can't fail to serialize.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads a description.
    ///
    /// # Errors
    /// Why it is not understood, as a clause.
    pub fn from_json(text: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Head {
            format: u32,
            revision: u32,
        }
        let head: Head = serde_json::from_slice(text)
            .map_err(|e| format!("the description of their layout can't be read ({e})"))?;
        if head.format != FORMAT || head.revision != REVISION {
            return Err(format!(
                "their layout is of format {} and revision {}, this version knows {FORMAT} and {REVISION}",
                head.format, head.revision
            ));
        }
        serde_json::from_slice(text)
            .map_err(|e| format!("the description of their layout can't be read ({e})"))
    }

    /// Pins the description at `path`. In the folder of maps it is pinned last: from then on the
    /// maps beside it count as complete.
    ///
    /// # Errors
    /// The map can't be made, or something is pinned there.
    pub fn pin(&self, path: &Path) -> Result<()> {
        let text = self.to_json();
        let size = text.len() as u32;
        let shape = aya_obj::Map::new_from_params(BPF_MAP_TYPE_ARRAY as u32, 4, size, 1, 0);
        let map = MapData::create(shape, PIN, None).map_err(E::aya_map(PIN, "making it"))?;
        sys::update(map.fd().as_fd(), sys::bytes(&0u32), text.as_bytes())
            .map_err(E::map(PIN, "write of 0"))?;
        sys::pin(map.fd().as_fd(), path).map_err(E::file(path))
    }

    /// Reads the description pinned under `paths` with the id of its map, which counts up with
    /// each map made; `None` when there is none.
    pub(super) fn pinned(paths: &LayoutPaths) -> Result<Option<(u32, Self)>> {
        let path = paths.map(PIN);
        if !path.exists() {
            return Ok(None);
        }
        let info = MapInfo::from_pin(&path).map_err(E::aya_map(PIN, "reading its shape"))?;
        let foreign = |why| E::Foreign { path: paths.folder().into(), why };
        if info.key_size() != 4 {
            return Err(foreign("their description is not an array".to_owned()));
        }
        let mut text = vec![0; info.value_size() as usize];
        let map = sys::open_pin(&path).map_err(E::file(&path))?;
        sys::lookup(map.as_fd(), sys::bytes(&0u32), &mut text).map_err(E::map(PIN, "read of 0"))?;
        Self::from_json(&text).map(|layout| Some((info.id(), layout))).map_err(foreign)
    }

    /// Kernel memory of the tables that grow with settings, in MiB.
    pub fn mebibytes(&self) -> u64 {
        let bytes: u64 = [maps::FLOWS, maps::REPLIES, maps::BACKENDS, maps::ACTIVE]
            .iter()
            .filter_map(|name| self.maps.get(*name))
            .map(|map| u64::from(map.value) * u64::from(map.entries))
            .sum();
        bytes >> 20
    }
}

impl Table {
    /// Sizes for `connections` established flows.
    ///
    /// Forward slots are twice the connections, so that at full load a bucket of 16 holds 8 on
    /// average and overflows with a probability of 0.4% (Poisson); half-open flows have a quarter
    /// as many of their own. Reply slots are twice the forward slots of established flows: a load
    /// of 25% at full load, 38% with all half-open slots taken, for a bucket of 8 that overflows
    /// is a NAT port that can't be used.
    pub fn for_connections(connections: u32) -> Self {
        let est_buckets = (connections * 2).div_ceil(WAYS as u32);
        let half_buckets = (est_buckets / 4).max(64);
        // Every flow has a way back, those of the least half-open part too: five in eight
        // words are taken where both parts are full.
        let flows = (est_buckets + half_buckets) * WAYS as u32;
        Self {
            est_buckets,
            half_buckets,
            reply_buckets: (flows / 5 * 8).div_ceil(REPLY_WAYS as u32),
            ways: WAYS as u32,
            reply_ways: REPLY_WAYS as u32,
            sig_mask: SIG_STATE,
            sig_ready: SIG_READY,
        }
    }

    /// Forward buckets, established and half-open.
    pub fn buckets(&self) -> u32 {
        self.est_buckets + self.half_buckets
    }
}

/// Entries of the maps that are sized at load; `None` for those whose size is in the object.
fn entries(name: &str, table: &Table, settings: &model::Datapath) -> Option<u32> {
    Some(match name {
        maps::BACKENDS | maps::ACTIVE | maps::STATS => settings.backends,
        maps::FLOWS => table.buckets(),
        maps::REPLIES => table.reply_buckets,
        _ => return None,
    })
}

macro_rules! shapes {
    ($($type:ident { $($field:ident),+ $(,)? })+) => {
        BTreeMap::from([$((stringify!($type).to_owned(), TypeShape {
            size: size_of::<$type>() as u32,
            fields: BTreeMap::from([$((stringify!($field).to_owned(), (
                offset_of!($type, $field) as u32,
                field_size(|value: &$type| &raw const value.$field) as u32,
            )),)+]),
        }),)+])
    };
}

const fn field_size<T, F>(_field: fn(&T) -> *const F) -> usize {
    size_of::<F>()
}

pub(super) fn types() -> BTreeMap<String, TypeShape> {
    shapes! {
        KernelConfig {
            hash_key, est_buckets, half_buckets, reply_buckets, flags, nat_port_first,
            nat_port_last, host_port_first, host_port_last, own_port_first, own_port_last,
            min_mtu, hz, tcp_established, half_open, tcp_closing, tcp_closed, udp, choice_key,
            nat_filter,
        }
        VipEntry { addr, port, proto, algorithm, ring, ring_len, flags, service }
        VipSlot { addr, port_proto, vip }
        VipMeta { seed, disp_mask, slot_mask }
        BackendEntry {
            addr, port, vlan, flags, ifindex, dst_mac, src_mac, mtu, nat_first, nat_count,
            service, weight, proto,
        }
        BackendStats { packets, bytes, reply_packets, reply_bytes, connections, refused }
        IfaceEntry { ifindex, mtu, mac, flags }
        RingValue { members, slots }
        FlowBucket { sigs, flows }
        Flow {
            client, client_port, nat_port, vip, backend, reply_slot, last_seen, ifindex,
            client_mac, vlan, nat, counted, state, tcp_seq, tcp_ts,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    macro_rules! sizes {
        ($($test:ident: $connections:expr => $est:expr, $half:expr, $reply:expr;)+) => {
            $(#[test]
            fn $test() {
                let table = Table::for_connections($connections);
                assert_eq!(
                    (table.est_buckets, table.half_buckets, table.reply_buckets),
                    ($est, $half, $reply)
                );
            })+
        };
    }

    sizes! {
        the_smallest_table_has_room_for_half_open_flows: 1_024 => 128, 64, 614;
        the_default_table_is_at_half_load: 1_000_000 => 125_000, 31_250, 500_000;
        the_largest_table_fits_its_indices: 64_000_000 => 8_000_000, 2_000_000, 32_000_000;
    }

    #[test]
    fn a_description_survives_the_round_trip() {
        let layout = Layout::of(Table::for_connections(5_000), BTreeMap::new());
        assert_eq!(Layout::from_json(layout.to_json().as_bytes()).unwrap(), layout);
        let mut other = layout.clone();
        other.table.est_buckets += 1;
        assert_ne!(other.folder(), layout.folder());
        assert_eq!(layout.folder().len(), 17);
    }

    #[test]
    fn a_later_format_is_refused_with_both_numbers() {
        let why = Layout::from_json(br#"{"format":9,"revision":1,"new":{}}"#).unwrap_err();
        assert!(why.contains("format 9") && why.contains("knows 1"), "{why}");
    }

    #[test]
    fn every_field_stands_where_the_compiler_puts_it() {
        let types = types();
        assert_eq!(types["Flow"].fields["state"], (52, 4));
        assert_eq!(types["BackendEntry"].fields["service"], (48, 8));
        assert_eq!(types["KernelConfig"].fields["hash_key"], (0, 96));
    }
}
