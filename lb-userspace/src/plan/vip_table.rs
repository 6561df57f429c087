//! The look-up of VIPs as arrays: displacement hashing, see [`lb_common::vip`].

use lb_common::{
    Addr, VipMeta, VipSlot, hash,
    vip::{DISPS, SLOTS, group, key_hash, slot},
};

/// Seeds tried before giving up. With half the slots free one nearly always does.
const SEEDS: u64 = 64;
/// Displacements tried for a group under one seed.
const TRIES: u32 = 65_536;

/// A VIP as packets name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VipKey {
    /// Its address.
    pub addr: Addr,
    /// `port | proto << 16`, the port in network order.
    pub port_proto: u32,
    /// Its id, below [`lb_common::vip::MAX_VIPS`].
    pub id: u32,
}

/// One generation of the look-up: every key is found by two reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VipTable {
    /// Seed and sizes.
    pub meta: VipMeta,
    /// Displacements by group; `disp_mask + 1` of them.
    pub disps: Vec<u32>,
    /// Slots; `slot_mask + 1` of them.
    pub slots: Vec<VipSlot>,
}

/// Why there is no table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VipTableError {
    /// Over [`lb_common::vip::MAX_VIPS`].
    #[error("{0} VIPs are more than the {max} that the table holds", max = lb_common::vip::MAX_VIPS)]
    TooMany(usize),
    /// One key twice.
    #[error("VIPs {0} and {1} have the same address, port and protocol")]
    Duplicate(u32, u32),
    /// Out of seeds.
    #[error("no seed of {SEEDS} places {0} VIPs; remove one or change an address")]
    NoSeed(usize),
}

impl VipTable {
    /// Builds the look-up of `keys`, the same one for the same keys.
    ///
    /// # Errors
    /// More keys than the kernel's arrays hold, or one key twice.
    pub fn build(keys: &[VipKey]) -> Result<Self, VipTableError> {
        if keys.len() > lb_common::vip::MAX_VIPS as usize {
            return Err(VipTableError::TooMany(keys.len()));
        }
        refuse_duplicates(keys)?;
        let size = |wanted: usize, max: u32| (wanted.next_power_of_two() as u32).clamp(8, max);
        let disp_mask = size(keys.len() / 2, DISPS) - 1;
        let slot_mask = size(keys.len() * 2, SLOTS) - 1;
        (1..=SEEDS)
            .map(|attempt| VipMeta { seed: hash::finish(attempt), disp_mask, slot_mask })
            .find_map(|meta| Self::place_all(meta, keys))
            .ok_or(VipTableError::NoSeed(keys.len()))
    }

    /// The id of a VIP, as the kernel finds it.
    pub fn find(&self, addr: &Addr, port_proto: u32) -> Option<u32> {
        let hash = key_hash(self.meta.seed, addr, port_proto);
        let disp = self.disps[group(hash, &self.meta) as usize];
        let found = &self.slots[slot(hash, disp, &self.meta) as usize];
        let same = found.addr == *addr && found.port_proto == port_proto;
        (disp != 0 && same).then(|| found.vip.checked_sub(1))?
    }

    /// Places the groups, the largest first, while most slots are free.
    fn place_all(meta: VipMeta, keys: &[VipKey]) -> Option<Self> {
        let mut groups: Vec<Vec<(u64, VipKey)>> = vec![Vec::new(); meta.disp_mask as usize + 1];
        for key in keys {
            let hash = key_hash(meta.seed, &key.addr, key.port_proto);
            groups[group(hash, &meta) as usize].push((hash, *key));
        }
        let mut order: Vec<usize> = (0..groups.len()).collect();
        order.sort_by_key(|&index| std::cmp::Reverse(groups[index].len()));
        let mut table = Self {
            meta,
            disps: vec![0; groups.len()],
            slots: vec![VipSlot::default(); meta.slot_mask as usize + 1],
        };
        for index in order.into_iter().take_while(|&index| !groups[index].is_empty()) {
            table.disps[index] = (1..=TRIES).find(|&disp| table.place(&groups[index], disp))?;
        }
        Some(table)
    }

    /// Places one group under a displacement, or leaves everything as it was.
    fn place(&mut self, keys: &[(u64, VipKey)], disp: u32) -> bool {
        for (placed, (hash, key)) in keys.iter().enumerate() {
            let found = &mut self.slots[slot(*hash, disp, &self.meta) as usize];
            if found.vip != 0 {
                for (hash, _) in &keys[..placed] {
                    self.slots[slot(*hash, disp, &self.meta) as usize] = VipSlot::default();
                }
                return false;
            }
            *found = VipSlot { addr: key.addr, port_proto: key.port_proto, vip: key.id + 1 };
        }
        true
    }
}

fn refuse_duplicates(keys: &[VipKey]) -> Result<(), VipTableError> {
    let mut sorted: Vec<&VipKey> = keys.iter().collect();
    sorted.sort_by_key(|key| (key.addr, key.port_proto, key.id));
    let same = |a: &VipKey, b: &VipKey| a.addr == b.addr && a.port_proto == b.port_proto;
    match sorted.windows(2).find(|pair| same(pair[0], pair[1])) {
        Some(pair) => Err(VipTableError::Duplicate(pair[0].id, pair[1].id)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use lb_common::addr::from_ip;
    use proptest::prelude::*;

    use super::*;

    fn key(id: u32, ip: &str, port: u16, proto: u32) -> VipKey {
        let addr = from_ip(ip.parse().unwrap());
        VipKey { addr, port_proto: u32::from(port.to_be()) | proto << 16, id }
    }

    fn assert_finds_all(keys: &[VipKey]) {
        let table = VipTable::build(keys).unwrap();
        for key in keys {
            assert_eq!(table.find(&key.addr, key.port_proto), Some(key.id), "{key:?}");
        }
    }

    #[test]
    fn an_empty_table_finds_nothing() {
        let table = VipTable::build(&[]).unwrap();
        let absent = key(0, "192.0.2.1", 80, 6);
        assert_eq!(table.find(&absent.addr, absent.port_proto), None);
    }

    #[test]
    fn port_protocol_and_family_tell_vips_apart() {
        let keys = [
            key(0, "192.0.2.1", 53, 6),
            key(1, "192.0.2.1", 53, 17),
            key(2, "192.0.2.1", 54, 6),
            key(3, "2001:db8::1", 53, 6),
            key(7, "2001:db8::1", 53, 17),
        ];
        assert_finds_all(&keys);
        let table = VipTable::build(&keys).unwrap();
        let absent = key(0, "2001:db8::1", 54, 6);
        assert_eq!(table.find(&absent.addr, absent.port_proto), None);
    }

    #[test]
    fn as_many_vips_as_there_may_be_are_all_found() {
        let ip = |i: u32| format!("10.0.{}.{}", i >> 8 & 255, i & 255);
        let keys: Vec<_> = (0..65_536).map(|i| key(i, &ip(i), 443, 6)).collect();
        assert_finds_all(&keys);
    }

    #[test]
    fn the_ports_of_one_ipv6_address_are_all_found() {
        let keys: Vec<_> = (0..65_535).map(|i| key(i, "2001:db8::1", i as u16 + 1, 6)).collect();
        assert_finds_all(&keys);
    }

    #[test]
    fn sizes_fit_the_number_of_vips() {
        let ip = |i: u32| format!("10.0.{}.{}", i >> 8 & 255, i & 255);
        let sizes = |n: u32| {
            let keys: Vec<_> = (0..n).map(|i| key(i, &ip(i), 443, 6)).collect();
            let meta = VipTable::build(&keys).unwrap().meta;
            (meta.disp_mask + 1, meta.slot_mask + 1)
        };
        assert_eq!([1, 100, 65_536].map(sizes), [(8, 8), (64, 256), (32_768, 131_072)]);
    }

    #[test]
    fn one_vip_twice_is_refused() {
        let keys = [key(3, "192.0.2.1", 80, 6), key(5, "192.0.2.1", 80, 6)];
        assert_eq!(VipTable::build(&keys), Err(VipTableError::Duplicate(3, 5)));
    }

    #[test]
    fn more_vips_than_fit_are_refused() {
        let keys = vec![key(0, "192.0.2.1", 80, 6); 65_537];
        assert_eq!(VipTable::build(&keys), Err(VipTableError::TooMany(65_537)));
    }

    proptest! {
        #[test]
        fn keys_are_found_and_others_are_not(
            words in prop::collection::btree_set((any::<[u32; 4]>(), any::<bool>(), any::<u32>()), 0..600),
        ) {
            let words: BTreeSet<(Addr, u32)> = words.into_iter()
                .map(|(addr, v4, port)| (if v4 { lb_common::addr::v4(addr[3]) } else { addr }, port))
                .collect();
            let keys: Vec<VipKey> = words.iter().enumerate()
                .map(|(id, &(addr, port_proto))| VipKey { addr, port_proto, id: id as u32 })
                .collect();
            let (present, absent) = keys.split_at(keys.len() / 2);
            let table = VipTable::build(present).unwrap();
            for key in present {
                prop_assert_eq!(table.find(&key.addr, key.port_proto), Some(key.id));
            }
            for key in absent {
                prop_assert_eq!(table.find(&key.addr, key.port_proto), None);
            }
        }
    }
}
