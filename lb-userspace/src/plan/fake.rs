//! Kernel maps that are none, for tests.

use std::collections::BTreeMap;

use anyhow::{bail, ensure};
use lb_common::{IfaceEntry, VipEntry, vip::NO_RING};

use super::{KernelView, MapSink, Op};

/// Holds what plans write, and refuses a step that the kernel's readers could
/// stumble over: a reference to something that isn't there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FakeSink {
    /// The maps.
    pub view: KernelView,
    /// The look-up in force: VIPs by id, as they were when it was built.
    pub table: BTreeMap<u32, VipEntry>,
    /// How many more steps are carried out; the one after them fails. `None`: all.
    pub steps_left: Option<usize>,
}

impl FakeSink {
    /// Maps that hold `view`, its look-up in force.
    pub fn holding(view: KernelView) -> Self {
        Self { table: view.vips.clone(), view, steps_left: None }
    }

    /// What refers to something absent, if anything does.
    ///
    /// # Errors
    /// The first such reference, in words.
    pub fn check(&self) -> anyhow::Result<()> {
        for (id, ring) in &self.view.rings {
            for member in &ring.members {
                let present = self.view.backends.contains_key(member);
                ensure!(present, "ring {id} holds backend {member}, which is absent");
            }
        }
        for (id, vip) in &self.view.vips {
            let present = vip.ring == NO_RING || self.view.rings.contains_key(&vip.ring);
            ensure!(present, "VIP {id} uses ring {}, which is absent", vip.ring);
        }
        for id in self.table.keys() {
            ensure!(self.view.vips.contains_key(id), "VIP {id} is looked up, but absent");
        }
        Ok(())
    }
}

impl MapSink for FakeSink {
    fn apply(&mut self, op: &Op) -> anyhow::Result<()> {
        match &mut self.steps_left {
            Some(0) => bail!("no more steps are carried out"),
            Some(left) => *left -= 1,
            None => {}
        }
        let view = &mut self.view;
        match op {
            Op::Config(config) => view.config = *config,
            Op::Nat(id, address) => put(&mut view.nats, *id, *address, *address != [0; 4]),
            Op::Iface(slot, entry) => {
                put(&mut view.ifaces, *slot, *entry, *entry != IfaceEntry::default());
            }
            Op::Backend(id, entry) => put(&mut view.backends, *id, *entry, true),
            Op::Ring(id, ring) => put(&mut view.rings, *id, ring.clone(), true),
            Op::Vip(id, entry) => put(&mut view.vips, *id, *entry, true),
            Op::VipTable(vips) => self.table.clone_from(vips),
            Op::DropVip(id) => _ = view.vips.remove(id),
            Op::DropRing(id) => _ = view.rings.remove(id),
            Op::DropBackend(id) => _ = view.backends.remove(id),
        }
        self.check()
    }
}

/// Sets an entry, or removes it where it stands for nothing.
fn put<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: V, present: bool) {
    match present {
        true => map.insert(key, value),
        false => map.remove(&key),
    };
}
