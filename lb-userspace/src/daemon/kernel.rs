//! The kernel path as the writer drives it: opened at the first need, then
//! brought from what its maps hold to what the snapshot and the network ask for.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::SocketAddr,
    sync::Arc,
};

use lb_common::{HashKey, addr::to_ip, backend::flags, hash};

use super::{network, shared::InKernel};
use crate::{
    api::types::ProgramStatus,
    health,
    kernel::{
        Answer, AttachStatus, Attachment, Datapath, Explainer, KernelError, KernelLog, Origin,
        Pass, Paths, Question, Reader,
        net::{AttachMode, AttachPoint, NetError, Wanted},
    },
    model::{self, BackendId, Id, Path, Protocol, Snapshot},
    plan::{KernelFacts, KernelView, Lowered, Lowerer, NetView, Op, Plan},
    reconcile::Adopted,
};

/// The kernel path, loaded.
pub(super) struct KernelSide {
    datapath: Datapath,
    /// What the programs and tables were made from: a change opens them anew.
    made_from: model::Datapath,
    facts: KernelFacts,
    /// What the maps hold.
    view: KernelView,
    lowerer: Lowerer,
    attached: Vec<AttachStatus>,
    /// Interfaces that stand at native XDP: those of an earlier run, too.
    native: BTreeSet<u32>,
    origin: String,
    /// What [`KernelSide::published`] told last, while the kernel's names stay the same.
    published: Option<InKernel>,
    /// Loaded at the first question.
    explainer: Option<Explainer>,
}

/// Why a snapshot is not in the kernel.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApplyError {
    /// The kernel refused a step; its maps are as they were before that step.
    #[error("the kernel refused a change, which is tried again: {0:#}")]
    Refused(anyhow::Error),
    /// After that its maps could not be read back.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// The VIPs can't be looked after.
    #[error(transparent)]
    Net(#[from] NetError),
}

impl KernelSide {
    /// Loads, adopts or carries over.
    pub(super) fn open(paths: &Paths, settings: &model::Datapath) -> Result<Self, KernelError> {
        let datapath = Datapath::open(paths, settings)?;
        let base = datapath.base_config()?;
        let facts = KernelFacts {
            hash_key: base.hash_key,
            choice_key: match base.choice_key == HashKey::default() {
                true => base.hash_key,
                false => base.choice_key,
            },
            est_buckets: base.est_buckets,
            half_buckets: base.half_buckets,
            reply_buckets: base.reply_buckets,
            hz: base.hz,
            own_ports: health::PORTS,
        };
        let view = datapath.read_view()?;
        let origin = match datapath.origin() {
            Origin::Fresh => "loaded anew".to_owned(),
            Origin::Adopted => "adopted from an earlier run, with its flows".to_owned(),
            Origin::CarriedOver { flows } => {
                format!("carried over from another version: {flows} flows")
            }
        };
        let native = datapath.native()?;
        Ok(Self {
            datapath,
            made_from: settings.clone(),
            facts,
            view,
            lowerer: Lowerer::default(),
            attached: Vec::new(),
            native,
            origin,
            published: None,
            explainer: None,
        })
    }

    /// Whether `settings` ask for other tables or programs than are loaded.
    pub(super) fn is_outdated(&self, settings: &model::Datapath) -> bool {
        let made = |s: &model::Datapath| (s.connections, s.backends, s.trace);
        made(settings) != made(&self.made_from)
    }

    /// Brings the maps to what the snapshot asks for. Returns what the kernel path can't do.
    pub(super) fn apply(
        &mut self,
        snapshot: &Snapshot,
        net: &NetView,
    ) -> Result<Vec<String>, ApplyError> {
        let lowered = self.lowerer.lower(snapshot, net, &self.facts, &self.view);
        let Lowered { view, obstacles } = lowered;
        let plan = Plan::between(&self.view, &view);
        if let Err(e) = plan.apply(self.datapath.sink()) {
            (self.lowerer, self.published) = (Lowerer::default(), None);
            self.view = self.datapath.read_view()?;
            return Err(ApplyError::Refused(e));
        }
        if !plan.is_empty() {
            tracing::debug!(steps = plan.ops.len(), generation = snapshot.generation, "applied");
        }
        if plan.ops.iter().any(|op| renames(op, &self.view)) {
            self.published = None;
        }
        self.view = view;
        Ok(obstacles.iter().map(ToString::to_string).collect())
    }

    /// Attaches to what the network says.
    pub(super) fn attach(
        &mut self,
        points: &BTreeMap<u32, AttachPoint>,
    ) -> Result<(), KernelError> {
        let wanted: Vec<Attachment> = points.values().map(Attachment::from).collect();
        let asked = self.attached.iter().map(|status| &status.wanted);
        if !asked.eq(&wanted) || self.attached.iter().any(|status| status.error.is_some()) {
            self.attached = self.datapath.attach(&wanted)?;
            let native = |s: &&AttachStatus| s.xdp == Some(AttachMode::Native);
            self.native = self.attached.iter().filter(native).map(|s| s.wanted.ifindex).collect();
        }
        Ok(())
    }

    /// How the interfaces stand.
    pub(super) fn attached(&self) -> &[AttachStatus] {
        &self.attached
    }

    /// Where the native program is, where the kernel refused XDP, and the sources of NAT: for [`Wanted`].
    pub(super) fn tell(&self, wanted: &mut Wanted) {
        wanted.native.clone_from(&self.native);
        wanted.nats = self.view.nats.values().map(to_ip).collect();
        for status in self.attached.iter() {
            let asked_xdp = status.wanted.mode != AttachMode::Tc;
            if let (true, None, Some(why)) = (asked_xdp, status.xdp, &status.error) {
                wanted.refused.insert(status.wanted.ifindex, why.clone());
            }
        }
    }

    /// Backends whose TCP flows are to be reset, by id.
    pub(super) fn resetting(&self) -> BTreeSet<u32> {
        let resets = self.view.backends.iter().filter(|(_, b)| b.flags & flags::RESET != 0);
        resets.map(|(id, _)| *id).collect()
    }

    /// The backends of an earlier run, of those services that are known by name.
    pub(super) fn adopted(&self, services: impl Iterator<Item = Id>) -> Vec<Adopted> {
        let services = services.map(|id| (service_hash(&id), id)).collect();
        let names = backends(&self.view, &services);
        let adopted = |(id, backend)| {
            let is_down = self.view.backends.get(&id)?.flags & flags::DOWN != 0;
            Some(Adopted { backend, up: !is_down })
        };
        names.into_iter().filter_map(adopted).collect()
    }

    /// For the API.
    pub(super) fn published(&mut self, snapshot: &Snapshot) -> InKernel {
        let services = services(snapshot);
        let known = self.published.take().filter(|known| *known.services == services);
        let published = known.unwrap_or_else(|| InKernel {
            reader: self.datapath.reader(),
            backends: Arc::new(backends(&self.view, &services)),
            vips: Arc::new(vips(&self.view, &services)),
            services: Arc::new(services),
            origin: self.origin.clone(),
        });
        self.published.insert(published).clone()
    }

    /// The programs that packets meet.
    pub(super) fn programs(&self) -> Vec<ProgramStatus> {
        let programs = self.datapath.programs().unwrap_or_default().into_iter();
        let programs = programs.filter(|(name, _)| name != crate::kernel::CLOCK_PROGRAM);
        programs.map(|(name, id)| ProgramStatus { name, id }).collect()
    }

    pub(super) fn reader(&self) -> Arc<Reader> {
        self.datapath.reader()
    }

    /// Runs a packet through the programs, dry.
    pub(super) fn explain(&mut self, question: &Question) -> Result<Answer, KernelError> {
        let explainer = match &mut self.explainer {
            Some(explainer) => explainer,
            none => none.insert(Explainer::load(&self.datapath)?),
        };
        explainer.explain(question)
    }

    /// The backends that a pass of the sweeper found flows of.
    pub(super) fn with_flows(&self, snapshot: &Snapshot, pass: &Pass) -> BTreeSet<BackendId> {
        let names = backends(&self.view, &services(snapshot)).into_iter();
        names.filter(|(id, _)| pass.flows.contains_key(id)).map(|(_, name)| name).collect()
    }

    /// The trace lines of the programs, once, where they are asked for.
    pub(super) fn take_log(&mut self) -> Option<KernelLog> {
        self.datapath.take_log()
    }
}

/// Whether a step changes which backends and VIPs there are, and not only how they are.
fn renames(op: &Op, before: &KernelView) -> bool {
    match op {
        Op::Backend(id, now) => before.backends.get(id).is_none_or(|old| {
            (old.service, old.addr, old.port) != (now.service, now.addr, now.port)
        }),
        Op::Vip(id, now) => before.vips.get(id).is_none_or(|old| {
            (old.service, old.addr, old.port) != (now.service, now.addr, now.port)
        }),
        Op::DropBackend(_) | Op::DropVip(_) => true,
        Op::Config(_)
        | Op::Nat(..)
        | Op::Iface(..)
        | Op::Ring(..)
        | Op::VipTable(_)
        | Op::DropRing(_) => false,
    }
}

/// What the network watcher is to look after for a snapshot.
pub(super) fn wanted(snapshot: &Snapshot) -> Wanted {
    let datapath = &snapshot.settings.datapath;
    let routed = snapshot.routers.values().filter(|r| r.path == Path::Kernel);
    let services = routed.filter_map(|router| snapshot.services.get(&router.service));
    let backends = services.flat_map(|service| &service.backends);
    Wanted {
        // Collected at once, which is much faster than one by one.
        backends: backends.map(|backend| backend.address.ip()).collect(),
        interfaces: datapath.interfaces.clone(),
        mode: datapath.mode,
        vips: network::addresses(snapshot),
        ..Wanted::default()
    }
}

/// The hash that names a service in the kernel.
pub(super) fn service_hash(id: &Id) -> u64 {
    hash::text(id.to_string().as_bytes())
}

fn services(snapshot: &Snapshot) -> HashMap<u64, Id> {
    snapshot.services.keys().map(|id| (service_hash(id), id.clone())).collect()
}

fn backends(view: &KernelView, services: &HashMap<u64, Id>) -> BTreeMap<u32, BackendId> {
    let name = |entry: &lb_common::BackendEntry| {
        let address = SocketAddr::new(to_ip(&entry.addr), u16::from_be(entry.port));
        Some(BackendId { service: services.get(&entry.service)?.clone(), address })
    };
    view.backends.iter().filter_map(|(id, entry)| Some((*id, name(entry)?))).collect()
}

fn vips(view: &KernelView, services: &HashMap<u64, Id>) -> Vec<(SocketAddr, Protocol, Id)> {
    let row = |vip: &lb_common::VipEntry| {
        let address = SocketAddr::new(to_ip(&vip.addr), u16::from_be(vip.port));
        let service = services.get(&vip.service)?.clone();
        Some((address, service.protocol, service))
    };
    let mut rows: Vec<_> = view.vips.values().filter_map(row).collect();
    rows.sort();
    rows
}
