//! A change as a value: the steps from one view of the kernel to another.

use anyhow::Context as _;
use lb_common::{IfaceEntry, VipEntry};

use super::{KernelView, MapSink, Op};

/// Steps in the order in which they are safe: what is referred to comes before
/// what refers to it, and goes after it. Prints one step a line.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// The steps.
    pub ops: Vec<Op>,
}

impl Plan {
    /// The steps that make `new` of `old`; none when they are equal.
    pub fn between(old: &KernelView, new: &KernelView) -> Self {
        Self::steps(old, new, false)
    }

    /// As [`Plan::between`], but sets what is equal too, rings excepted: after a
    /// plan that failed half-way, or to heal what somebody else changed.
    pub fn resync(old: &KernelView, new: &KernelView) -> Self {
        Self::steps(old, new, true)
    }

    fn steps(old: &KernelView, new: &KernelView, all: bool) -> Self {
        let mut ops = Vec::new();
        if all || old.config != new.config {
            ops.push(Op::Config(new.config));
        }
        set(&mut ops, all, &old.nats, &new.nats, |&id, &address| Op::Nat(id, address));
        set(&mut ops, all, &old.ifaces, &new.ifaces, |&slot, &entry| Op::Iface(slot, entry));
        set(&mut ops, all, &old.backends, &new.backends, |&id, &entry| Op::Backend(id, entry));
        set(&mut ops, false, &old.rings, &new.rings, |&id, ring| Op::Ring(id, ring.clone()));
        set(&mut ops, all, &old.vips, &new.vips, |&id, &entry| Op::Vip(id, entry));
        if all || !same_look_up(old, new) {
            ops.push(Op::VipTable(new.vips.clone()));
        }
        drop_absent(&mut ops, &old.vips, &new.vips, |&id| Op::DropVip(id));
        drop_absent(&mut ops, &old.rings, &new.rings, |&id| Op::DropRing(id));
        drop_absent(&mut ops, &old.backends, &new.backends, |&id| Op::DropBackend(id));
        let empty = IfaceEntry::default();
        drop_absent(&mut ops, &old.ifaces, &new.ifaces, |&slot| Op::Iface(slot, empty));
        drop_absent(&mut ops, &old.nats, &new.nats, |&id| Op::Nat(id, [0; 4]));
        Self { ops }
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// Carries out the steps.
    ///
    /// # Errors
    /// The first step that fails, by its text; those after it are not tried.
    pub fn apply(&self, sink: &mut dyn MapSink) -> anyhow::Result<()> {
        self.ops.iter().try_for_each(|op| sink.apply(op).with_context(|| op.to_string()))
    }
}

type Map<K, V> = std::collections::BTreeMap<K, V>;

/// What is new or different, or `all`.
fn set<K: Ord, V: PartialEq>(
    ops: &mut Vec<Op>,
    all: bool,
    old: &Map<K, V>,
    new: &Map<K, V>,
    op: impl Fn(&K, &V) -> Op,
) {
    let mut old = old.iter().peekable();
    for (key, value) in new {
        while old.next_if(|(before, _)| *before < key).is_some() {}
        let same = old.peek() == Some(&(key, value));
        if all || !same {
            ops.push(op(key, value));
        }
    }
}

/// What is gone.
fn drop_absent<K: Ord, V>(
    ops: &mut Vec<Op>,
    old: &Map<K, V>,
    new: &Map<K, V>,
    op: impl Fn(&K) -> Op,
) {
    let mut new = new.keys().peekable();
    for key in old.keys() {
        while new.next_if(|after| *after < key).is_some() {}
        if new.peek() != Some(&key) {
            ops.push(op(key));
        }
    }
}

/// Whether packets find the same VIP ids in both.
fn same_look_up(old: &KernelView, new: &KernelView) -> bool {
    let key = |(id, vip): (&u32, &VipEntry)| (*id, vip.addr, vip.port, vip.proto);
    old.vips.iter().map(key).eq(new.vips.iter().map(key))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use lb_common::{BackendEntry, KernelConfig, vip::NO_RING};
    use proptest::prelude::*;

    use super::*;
    use crate::plan::{FakeSink, RingView};

    prop_compose! {
        /// Views without loose ends; few ids, so that two of them overlap.
        fn views()(
            min_mtu in 1280u32..1283,
            nats in prop::collection::btree_map(0u16..4, 1u32..4, 0..4),
            ifaces in prop::collection::btree_map(0u32..6, 1u32..4, 0..4),
            backends in prop::collection::btree_map(0u32..8, 0u32..3, 0..8),
            rings in prop::collection::btree_map(0u32..5, prop::collection::vec(any::<usize>(), 1..4), 0..5),
            vips in prop::collection::btree_map(0u32..5, (any::<usize>(), 0u16..3), 0..5),
        ) -> KernelView {
            let members: Vec<u32> = backends.keys().copied().collect();
            let ring = |(id, picks): (u32, Vec<usize>)| {
                let members = picks.iter().map(|pick| members[pick % members.len()]).collect();
                (id, Arc::new(RingView { members, slots: vec![0], recipe: 0 }))
            };
            let rings: BTreeMap<u32, Arc<RingView>> =
                if members.is_empty() { BTreeMap::new() } else { rings.into_iter().map(ring).collect() };
            let ids: Vec<u32> = rings.keys().copied().chain([NO_RING]).collect();
            let vip = |(id, (pick, port)): (u32, (usize, u16))| {
                let ring = ids[pick % ids.len()];
                (id, VipEntry { port, addr: [0, 0, 0, id], ring, ..VipEntry::default() })
            };
            let backend = |(id, weight)| (id, BackendEntry { weight, ..BackendEntry::default() });
            let iface = |(slot, ifindex)| (slot, IfaceEntry { ifindex, ..IfaceEntry::default() });
            KernelView {
                config: KernelConfig { min_mtu, ..KernelConfig::default() },
                nats: nats.into_iter().map(|(id, word)| (id, [0, 0, 0, word])).collect(),
                ifaces: ifaces.into_iter().map(iface).collect(),
                backends: backends.into_iter().map(backend).collect(),
                rings,
                vips: vips.into_iter().map(vip).collect(),
            }
        }
    }

    proptest! {
        #[test]
        fn a_plan_makes_the_new_view_of_the_old(old in views(), new in views()) {
            let mut sink = FakeSink::holding(old.clone());
            Plan::between(&old, &new).apply(&mut sink).unwrap();
            prop_assert_eq!(&sink.view, &new);
            let keys = |vips: &BTreeMap<u32, VipEntry>| -> Vec<_> {
                vips.iter().map(|(&id, vip)| (id, vip.addr, vip.port)).collect()
            };
            prop_assert_eq!(keys(&sink.table), keys(&new.vips));
        }

        #[test]
        fn equal_views_need_no_steps(view in views()) {
            prop_assert!(Plan::between(&view, &view.clone()).is_empty());
        }

        #[test]
        fn no_step_leaves_a_loose_end(old in views(), new in views()) {
            let mut sink = FakeSink::holding(old.clone());
            for op in Plan::between(&old, &new).ops {
                sink.apply(&op).unwrap();
            }
        }

        #[test]
        fn a_plan_that_failed_half_way_is_made_up_for(
            old in views(), new in views(), steps in 0usize..20,
        ) {
            let mut sink = FakeSink { steps_left: Some(steps), ..FakeSink::holding(old.clone()) };
            let plan = Plan::between(&old, &new);
            prop_assert_eq!(plan.apply(&mut sink).is_ok(), steps >= plan.ops.len());
            sink.steps_left = None;
            Plan::resync(&sink.view.clone(), &new).apply(&mut sink).unwrap();
            prop_assert_eq!(&sink.view, &new);
            prop_assert_eq!(sink.table, new.vips);
        }
    }

    #[test]
    fn an_error_names_its_step() {
        let new = KernelView {
            nats: [(3, lb_common::addr::v4(u32::from_ne_bytes([10, 0, 0, 1])))].into(),
            ..KernelView::default()
        };
        let mut sink = FakeSink { steps_left: Some(0), ..FakeSink::default() };
        let error = Plan::between(&KernelView::default(), &new).apply(&mut sink).unwrap_err();
        assert_eq!(error.to_string(), "nat 3: 10.0.0.1");
    }

    #[test]
    fn the_look_up_stays_when_only_a_ring_changes() {
        let vip = VipEntry { ring: NO_RING, ..VipEntry::default() };
        let old = KernelView { vips: [(0, vip)].into(), ..KernelView::default() };
        let ring = RingView { members: vec![0], slots: vec![0], recipe: 0 };
        let new = KernelView {
            backends: [(0, BackendEntry::default())].into(),
            rings: [(0, Arc::new(ring))].into(),
            vips: [(0, VipEntry { ring: 0, ring_len: 1, ..vip })].into(),
            ..KernelView::default()
        };
        let ops = Plan::between(&old, &new).ops;
        assert!(matches!(ops[..], [Op::Backend(..), Op::Ring(..), Op::Vip(..)]), "{ops:?}");
    }
}
