//! Carries flows over from tables of another layout: another version's, or this
//! one's with other sizes.

use aya::maps::PerCpuValues;
use lb_common::{
    BackendStats, Flow, KernelConfig,
    config::flags::CARRYING,
    flow::{flags, signature},
    maps,
};

use super::{
    KernelMaps, Paths, Reader, attach,
    decode::Decoder,
    detach::remove_tree,
    error::{KernelError as E, Result},
    flows::Names,
    layout::{Layout, PIN},
    load::remove_pin,
    old_table::OldTable,
    paths::LayoutPaths,
    pins, sys,
    table::is_half_open,
};
use crate::plan::{KernelView, Plan};

/// Tables to be carried over.
pub(super) struct Old {
    pins: LayoutPaths,
    layout: Layout,
    view: KernelView,
    table: OldTable,
}

impl Old {
    /// Reads the tables under `pins` by their description.
    ///
    /// # Errors
    /// [`E::Foreign`], whatever can't be read.
    pub(super) fn open(pins: LayoutPaths, layout: Layout) -> Result<Self> {
        let path = pins.folder().to_owned();
        Self::read(pins, layout).map_err(|error| match error {
            E::Foreign { .. } => error,
            other => E::Foreign { path, why: other.to_string() },
        })
    }

    fn read(pins: LayoutPaths, layout: Layout) -> Result<Self> {
        let decoder = Decoder::new(&pins, &layout)?;
        let view = decoder.view()?;
        let table = OldTable::open(&pins, &layout)?;
        Ok(Self { pins, layout, view, table })
    }

    /// The settings they had.
    pub(super) fn config(&self) -> &KernelConfig {
        &self.view.config
    }

    /// Puts the programs that run over these tables back on the links, after a swap that failed.
    pub(super) fn swap_back(&self, paths: &Paths) {
        if let Err(error) = attach::swap_to_pinned(paths, &self.pins) {
            tracing::error!("going back to the programs from before: {error}");
        }
    }

    /// Whether everything the view holds has an index in the new maps.
    pub(super) fn check_fits(&self, new: &Layout) -> Result<()> {
        let room = new.maps.get(maps::BACKENDS).map_or(0, |map| map.entries);
        match self.view.backends.keys().next_back() {
            Some(last) if *last >= room => Err(E::TooSmall {
                what: "datapath.backends",
                given: room.into(),
                needed: u64::from(*last) + 1,
            }),
            _ => Ok(()),
        }
    }

    /// Writes settings, backends, rings and VIPs under the ids they had, and that flows follow.
    pub(super) fn copy_settings(&self, sink: &mut KernelMaps) -> Result<()> {
        let mut view = self.view.clone().with_nat_filter();
        sink.keep_tables(&mut view.config);
        view.config.flags |= CARRYING;
        Plan::between(&KernelView::default(), &view)
            .apply(sink)
            .map_err(|e| E::Internal(format!("carrying over: {e:#}")))
    }

    /// Copies what was counted so far, by the labels of the counters.
    pub(super) fn copy_counters(&self, to: &LayoutPaths, new: &Layout) -> Result<()> {
        let decoder = Decoder::new(&self.pins, &self.layout)?;
        let mut stats = pins::per_cpu::<BackendStats>(to, maps::STATS)?;
        for id in self.view.backends.keys() {
            let total = first_cpu(decoder.backend_stats(*id)?)?;
            stats.set(*id, total, sys::ANY).map_err(E::aya_map(maps::STATS, "copy"))?;
        }
        let labels = [
            (maps::DROPS, &self.layout.drops, &new.drops),
            (maps::EVENTS, &self.layout.events, &new.events),
        ];
        for (name, old, new) in labels {
            let mut counters = pins::per_cpu::<u64>(to, name)?;
            for (index, label) in (0u32..).zip(new) {
                let Some(from) = old.iter().position(|old| old == label) else { continue };
                let total = first_cpu(decoder.counter(name, from as u32)?)?;
                counters.set(index, total, sys::ANY).map_err(E::aya_map(name, "copy"))?;
            }
        }
        Ok(())
    }

    /// Copies flows that the new tables don't have yet, and brings up to date those that have
    /// changed since. `live` says that the new programs write to the new tables too. Returns how
    /// many flows of the old tables are in the new ones.
    ///
    /// # Errors
    /// An established flow finds no room.
    pub(super) fn copy_flows(&self, to: &Reader, live: bool) -> Result<u64> {
        let decoder = Decoder::new(&self.pins, &self.layout)?;
        let mut names = to.names()?;
        let (mut copied, mut lost) = (0, 0);
        for bucket in 0..self.table.buckets() {
            let sigs = self.table.signatures(bucket).into_iter().enumerate();
            for (way, _) in sigs.filter(|(_, sig)| self.is_ready(*sig)) {
                let flow = decoder.flow(&self.table.flow(bucket, way))?;
                match copy_flow(to, &mut names, flow, live) {
                    Copied::Yes => copied += 1,
                    Copied::NoRoom if !is_half_open(flow.state) => lost += 1,
                    Copied::NoRoom | Copied::Orphan => {}
                }
            }
        }
        if lost > 0 {
            return Err(E::TooSmall {
                what: "datapath.connections",
                given: u64::from(to.table.connections()),
                needed: copied + lost,
            });
        }
        Ok(copied)
    }

    /// After the swap: the flows that changed meanwhile, then the old tables go.
    pub(super) fn finish(self, to: &Reader) -> Result<u64> {
        remove_pin(&self.pins.map(PIN))?;
        sys::barrier().map_err(E::file("membarrier"))?;
        // The new tables are in force: what finds no room now is counted by no one else.
        let flows = self.copy_flows(to, true).unwrap_or_else(|e| {
            tracing::warn!("carrying over the latest flows: {e}");
            0
        });
        remove_tree(self.pins.folder())?;
        Ok(flows)
    }

    fn is_ready(&self, sig: u32) -> bool {
        sig & self.layout.table.sig_mask == self.layout.table.sig_ready
    }
}

enum Copied {
    Yes,
    NoRoom,
    /// Its VIP or backend is no more.
    Orphan,
}

fn copy_flow(to: &Reader, names: &mut Names<'_>, flow: Flow, live: bool) -> Copied {
    let Some(ends) = names.ends(&flow) else { return Copied::Orphan };
    let key = names.hash_key();
    if let Some(slot) = to.table.find(&key, &flow, &ends) {
        let there = to.table.flow(slot);
        if stays(&there, &flow, live) {
            if changed(&there, &flow, live) {
                refresh(to, slot, &there, flow);
            }
            return Copied::Yes;
        }
        let sig = signature(ends.forward_hash(&key, &flow));
        if let Some(gone) = to.table.remove(slot, sig, |_| true)
            && gone.counted != 0
        {
            to.count_off(gone.backend);
        }
    }
    if to.table.insert(&key, flow, &ends).is_none() {
        return Copied::NoRoom;
    }
    if flow.counted != 0 {
        to.count_on(flow.backend);
    }
    Copied::Yes
}

/// Whether the copy that is there can stay in its slot: its way back is the same and it stands in
/// the right part of the table. Under live programs, one that they began by themselves (they took
/// a packet of a flow not copied yet for that of a new one) gives way to an established one.
fn stays(there: &Flow, flow: &Flow, live: bool) -> bool {
    let way_back = |flow: &Flow| (flow.backend, flow.nat, flow.nat_port);
    let same_way = way_back(there) == way_back(flow);
    match live {
        true => same_way || is_half_open(flow.state),
        false => same_way && is_half_open(there.state) == is_half_open(flow.state),
    }
}

/// Whether the copy is to be brought up to date. Under live programs only where the flow had gone
/// further in the old tables: what they have written since is the later word.
fn changed(there: &Flow, flow: &Flow, live: bool) -> bool {
    if !live {
        return true;
    }
    let fins = flags::FIN_CLIENT | flags::FIN_BACKEND;
    let progress = |flow: &Flow| (flow.state & flags::STATE, (flow.state & fins).count_ones());
    there.backend == flow.backend
        && there.nat_port == flow.nat_port
        && progress(flow) > progress(there)
}

fn refresh(to: &Reader, slot: u32, there: &Flow, flow: Flow) {
    let later = Flow { reply_slot: there.reply_slot, ..flow };
    match (there.counted != 0, later.counted != 0) {
        (false, true) => to.count_on(later.backend),
        (true, false) => to.count_off(later.backend),
        _ => {}
    }
    to.table.write(slot, &later);
}

/// A total, as if one CPU had counted it all.
fn first_cpu<V: aya::Pod + Default>(total: V) -> Result<PerCpuValues<V>> {
    let cpus = aya::util::nr_cpus().map_err(|(path, e)| E::file(path)(e))?;
    let mut values = vec![V::default(); cpus];
    values[0] = total;
    PerCpuValues::try_from(values).map_err(E::file("per-CPU values"))
}
