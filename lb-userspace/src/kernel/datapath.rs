//! The kernel path of one instance: loaded, adopted or carried over.

use std::{collections::BTreeSet, sync::Arc};

use aya::Ebpf;
use lb_common::{KernelConfig, config::flags::CARRYING};
use tracing::warn;

use super::{
    AttachStatus, Attachment, KernelLog, KernelMaps, Paths, Reader, attach,
    carry::Old,
    detach::{layout_folders, remove_tree},
    error::{KernelError, Result},
    layout::{Layout, PIN},
    load::{self, Copy},
    object::OBJECT,
    paths::LayoutPaths,
    peers::Peers,
    preflight, view,
};
use crate::{
    model,
    plan::{KernelView, MapSink, Op},
};

/// Where the tables come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Made now, empty.
    Fresh,
    /// Found pinned, and gone on with.
    Adopted,
    /// Found pinned under another layout, and copied into new ones.
    CarriedOver {
        /// Flows copied.
        flows: u64,
    },
}

/// The kernel path of one instance. Dropping it leaves everything in the kernel as it is: see
/// [`super::detach`].
#[derive(Debug)]
pub struct Datapath {
    paths: Paths,
    pub(super) pins: LayoutPaths,
    pub(super) layout: Layout,
    ebpf: Ebpf,
    maps: KernelMaps,
    reader: Arc<Reader>,
    peers: Peers,
    log: Option<KernelLog>,
    origin: Origin,
}

impl Datapath {
    /// Whether something of the instance is pinned, to be adopted whatever the configuration says.
    pub fn is_pinned(paths: &Paths) -> bool {
        layout_folders(paths)
            .is_ok_and(|folders| folders.iter().any(|f| f.join("maps").join(PIN).exists()))
    }

    /// Loads the kernel path; what is pinned is gone on with: flows stay where they are, and the
    /// programs on the interfaces are replaced without a packet lost. To be called again when
    /// `connections`, `backends` or `trace` change; then the one from before is to be dropped.
    /// Blocks for some tenths of a second. To be called with the instance's lock held.
    ///
    /// # Errors
    /// The host can't carry it, memory is short, or what is pinned is not understood
    /// ([`super::KernelError::Foreign`]). What runs goes on as it did.
    pub fn open(paths: &Paths, settings: &model::Datapath) -> Result<Self> {
        preflight::check_host()?;
        preflight::mount_bpffs()?;
        let layout = Layout::new(OBJECT, settings)?;
        let pins = paths.layout(&layout.folder());
        let current = find_current(paths)?;
        if let Some((old, _)) = &current
            && old.folder() == pins.folder()
        {
            let mut adopted = Self::load(paths, pins, layout, settings.trace, None)?;
            attach::swap(paths, &mut adopted.ebpf)?;
            adopted.origin = Origin::Adopted;
            return Ok(adopted);
        }
        // Left by a start that was cut short.
        remove_tree(pins.folder())?;
        let made = match current {
            None => Self::fresh(paths, pins.clone(), layout, settings.trace),
            Some((old, old_layout)) => Old::open(old, old_layout)
                .and_then(|old| Self::carry_over(old, paths, pins.clone(), layout, settings.trace)),
        };
        if made.is_err() {
            // The error that is told is the first one.
            let _second = remove_tree(pins.folder());
        }
        made
    }

    /// Whose they are.
    pub fn paths(&self) -> &Paths {
        &self.paths
    }

    /// Where the tables come from.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// The part of the settings that belongs to the tables: hash key, sizes, tick rate. Plans
    /// must keep it.
    ///
    /// # Errors
    /// The map can't be read.
    pub fn base_config(&self) -> Result<KernelConfig> {
        self.reader.config()
    }

    /// What the maps hold: what the first plan after a start is a difference from.
    ///
    /// # Errors
    /// A map or a ring can't be read.
    pub fn read_view(&self) -> Result<KernelView> {
        view::read(&self.pins)
    }

    /// Where plans are carried out.
    pub fn sink(&mut self) -> &mut KernelMaps {
        &mut self.maps
    }

    /// Makes the attachments what is wanted: attaches what is missing (that of an interface that
    /// vanished and returned, too), then detaches the rest. Each failure stands in the status of
    /// its interface.
    ///
    /// # Errors
    /// The pins can't be read or removed.
    pub fn attach(&mut self, wanted: &[Attachment]) -> Result<Vec<AttachStatus>> {
        let adds = attach::adds(&self.paths, wanted)?;
        if adds {
            self.peers.suspend();
        }
        let statuses = attach::attach(&self.paths, &mut self.ebpf, wanted)?;
        if (adds || !self.peers.is_complete())
            && let Err(error) = self.peers.learn(&self.reader)
        {
            warn!("each new flow looks for sockets of the host, which costs time: {error}");
        }
        Ok(statuses)
    }

    /// Interfaces on which a program stands at native XDP now, by index.
    ///
    /// # Errors
    /// The pins can't be read.
    pub fn native(&self) -> Result<BTreeSet<u32>> {
        attach::native(&self.paths)
    }

    /// What reads flows and counters, for other threads too.
    pub fn reader(&self) -> Arc<Reader> {
        Arc::clone(&self.reader)
    }

    /// The trace lines of the programs, once, where `trace` is on.
    pub fn take_log(&mut self) -> Option<KernelLog> {
        self.log.take()
    }

    /// Names and kernel ids of the programs, and the folder of their pins, for `lb status`.
    ///
    /// # Errors
    /// The kernel doesn't tell.
    pub fn programs(&self) -> Result<Vec<(String, u32)>> {
        load::ids(&self.ebpf)
    }

    fn fresh(paths: &Paths, pins: LayoutPaths, layout: Layout, trace: bool) -> Result<Self> {
        let made = Self::load(paths, pins, layout, trace, Some(None))?;
        made.layout.pin(&made.pins.map(PIN))?;
        Ok(made)
    }

    /// Order: everything but the latest flows is in the new tables before the first packet
    /// meets the new programs; then the flows that changed meanwhile follow.
    fn carry_over(
        old: Old,
        paths: &Paths,
        pins: LayoutPaths,
        layout: Layout,
        trace: bool,
    ) -> Result<Self> {
        old.check_fits(&layout)?;
        let mut made = Self::load(paths, pins, layout, trace, Some(Some(old.config())))?;
        old.copy_settings(&mut made.maps)?;
        old.copy_counters(&made.pins, &made.layout)?;
        old.copy_flows(&made.reader, false)?;
        old.copy_flows(&made.reader, false)?;
        attach::swap(paths, &mut made.ebpf).inspect_err(|_| old.swap_back(paths))?;
        made.layout.pin(&made.pins.map(PIN))?;
        let flows = old.finish(&made.reader)?;
        made.end_carrying()?;
        made.origin = Origin::CarriedOver { flows };
        Ok(made)
    }

    /// From here on a packet of no flow is the host's.
    fn end_carrying(&mut self) -> Result<()> {
        let config = self.base_config()?;
        let config = KernelConfig { flags: config.flags & !CARRYING, ..config };
        let written = self.maps.apply(&Op::Config(config));
        written.map_err(|e| KernelError::Internal(format!("carrying over: {e:#}")))
    }

    /// Loads over what is pinned under `pins`; tables made now get their identity from `made`
    /// (from the settings of older tables, if any).
    fn load(
        paths: &Paths,
        pins: LayoutPaths,
        layout: Layout,
        trace: bool,
        made: Option<Option<&KernelConfig>>,
    ) -> Result<Self> {
        let mut ebpf = load::load(&pins, &layout, Copy::Forward { trace })?;
        load::pin_programs(&mut ebpf, &pins)?;
        if let Some(old) = made {
            load::initialize(&pins, &layout, old)?;
        }
        let log = if trace { Some(KernelLog::new(&mut ebpf)?) } else { None };
        let reader = Arc::new(Reader::open(&pins, &layout)?);
        let peers = Peers::open(&pins)?;
        let maps = KernelMaps::open(&pins, Arc::clone(&reader), &view::read(&pins)?)?;
        Ok(Self {
            paths: paths.clone(),
            pins,
            layout,
            ebpf,
            maps,
            reader,
            peers,
            log,
            origin: Origin::Fresh,
        })
    }
}

/// The tables in force: of those whose description is pinned the latest, for a start cut short
/// right after the swap leaves two. The others are removed.
fn find_current(paths: &Paths) -> Result<Option<(LayoutPaths, Layout)>> {
    let mut found = Vec::new();
    for folder in layout_folders(paths)? {
        let pins = LayoutPaths::new(folder);
        match Layout::pinned(&pins)? {
            Some((id, layout)) => found.push((id, pins, layout)),
            None => drop(remove_tree(pins.folder())?),
        }
    }
    found.sort_by_key(|(id, ..)| *id);
    let current = found.pop();
    for (_, pins, _) in found {
        remove_tree(pins.folder())?;
    }
    Ok(current.map(|(_, pins, layout)| (pins, layout)))
}
