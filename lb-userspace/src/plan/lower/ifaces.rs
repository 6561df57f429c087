//! The interface table: open addressing by index.

use std::collections::BTreeMap;

use lb_common::{
    IfaceEntry,
    backend::{IFACE_PROBES, IFACE_SLOTS, IFACE_XDP},
};

use super::Obstacle;
use crate::plan::{IfaceView, KernelView, NetView};

/// Those in the table already stay where they are.
pub(super) fn lower(
    net: &NetView,
    previous: &KernelView,
    obstacles: &mut Vec<Obstacle>,
) -> BTreeMap<u32, IfaceEntry> {
    let mut table = BTreeMap::new();
    let present = previous.ifaces.iter().filter_map(|(&slot, old)| {
        probes(old.ifindex).any(|probe| probe == slot).then_some((old.ifindex, slot))
    });
    let placed: BTreeMap<u32, u32> = present.collect();
    for (index, iface) in &net.ifaces {
        if let Some(&slot) = placed.get(index) {
            table.insert(slot, entry(*index, iface));
        }
    }
    for (&index, iface) in net.ifaces.iter().filter(|(index, _)| !placed.contains_key(index)) {
        match probes(index).find(|slot| !table.contains_key(slot)) {
            Some(slot) => _ = table.insert(slot, entry(index, iface)),
            None => {
                obstacles.push(Obstacle::IfaceTableFull { interface: iface.name.clone(), index })
            }
        }
    }
    table
}

/// Slots where an interface may stand.
fn probes(ifindex: u32) -> impl Iterator<Item = u32> {
    (0..IFACE_PROBES).map(move |probe| ifindex.wrapping_add(probe) & (IFACE_SLOTS - 1))
}

fn entry(ifindex: u32, iface: &IfaceView) -> IfaceEntry {
    let flags = if iface.xdp { IFACE_XDP } else { 0 };
    IfaceEntry { ifindex, mtu: iface.mtu, mac: iface.mac, flags }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(indices: &[u32]) -> NetView {
        let iface = |&index: &u32| {
            let name = format!("eth{index}");
            (index, IfaceView { name, mac: [2; 6], mtu: 1500, xdp: index == 3 })
        };
        NetView { ifaces: indices.iter().map(iface).collect(), ..NetView::default() }
    }

    fn slots(indices: &[u32], previous: &[(u32, u32)]) -> (Vec<(u32, u32)>, Vec<Obstacle>) {
        let old =
            |&(slot, ifindex): &(u32, u32)| (slot, IfaceEntry { ifindex, ..Default::default() });
        let previous =
            KernelView { ifaces: previous.iter().map(old).collect(), ..KernelView::default() };
        let mut obstacles = Vec::new();
        let table = lower(&net(indices), &previous, &mut obstacles);
        (table.iter().map(|(&slot, entry)| (slot, entry.ifindex)).collect(), obstacles)
    }

    #[test]
    fn interfaces_stand_at_their_index() {
        assert_eq!(slots(&[2, 3], &[]), (vec![(2, 2), (3, 3)], vec![]));
    }

    #[test]
    fn equal_low_bits_go_to_the_next_slots() {
        assert_eq!(slots(&[1023, 2047, 1024], &[]).0, [(0, 1024), (1, 2047), (1023, 1023)]);
    }

    #[test]
    fn interfaces_stay_in_their_slots() {
        assert_eq!(slots(&[2, 1026], &[(2, 1026)]).0, [(2, 1026), (3, 2)]);
    }

    #[test]
    fn a_slot_that_can_not_be_found_is_left() {
        assert_eq!(slots(&[2], &[(9, 2)]).0, [(2, 2)]);
    }

    #[test]
    fn the_fifth_of_like_index_is_an_obstacle() {
        let (table, obstacles) = slots(&[2, 1026, 2050, 3074, 4098], &[]);
        assert_eq!(table.len(), 4);
        let full = Obstacle::IfaceTableFull { interface: "eth4098".into(), index: 4098 };
        assert_eq!(obstacles, [full]);
    }

    #[test]
    fn only_native_xdp_may_be_redirected_to() {
        let table = lower(&net(&[2, 3]), &KernelView::default(), &mut Vec::new());
        assert_eq!((table[&2].flags, table[&3].flags), (0, IFACE_XDP));
    }
}
