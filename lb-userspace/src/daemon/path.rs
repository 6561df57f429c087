//! The kernel path with what runs beside it: the sweeper of the flow table, resets, the trace.

use std::{
    borrow::Cow,
    collections::{BTreeSet, HashSet},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::mpsc,
    task::AbortHandle,
    time::{Instant, sleep, timeout_at},
};

use super::{
    forwarding,
    kernel::{self, ApplyError, KernelSide},
    network::Network,
    shared::InKernel,
    status::Host,
};
use crate::{
    api::types::InterfaceStatus,
    kernel::{
        AttachStatus, KernelError, Pass, Paths, Reader, Sweeper,
        net::{AttachMode, NetState, Obstacle},
        poke,
    },
    model::{BackendState, Id, Path, ReturnPath, Service, Snapshot},
};

/// How long a start waits for next hops to answer.
const FIRST_NEXT_HOPS: Duration = Duration::from_millis(500);

/// The loaded kernel path and what runs for it.
pub(super) struct KernelPath {
    pub(super) side: KernelSide,
    /// Backends whose next hop has been known once: from then on they are chosen.
    reached: HashSet<IpAddr>,
    /// Whose next hops are in `reached`.
    noted: Option<Arc<NetState>>,
    /// The backends that the watcher looks after.
    wanted: BTreeSet<IpAddr>,
    /// Backends whose flows have been reset, by id.
    reset: BTreeSet<u32>,
    tasks: Tasks,
    faults: Vec<String>,
    /// Whether replies follow the routing table.
    return_route: bool,
}

/// What runs beside a loaded kernel path, ended when dropped.
struct Tasks(Vec<AbortHandle>);

impl Drop for Tasks {
    fn drop(&mut self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}

impl KernelPath {
    /// Puts around `side` what `snapshot` needs; passes of the sweeper go to
    /// `passes`. Waits a little for next hops, so that what follows finds them resolved.
    pub(super) async fn open(
        network: &mut Network,
        mut side: KernelSide,
        snapshot: &Snapshot,
        passes: mpsc::Sender<Pass>,
    ) -> Self {
        let mut wanted = kernel::wanted(snapshot);
        // Of an earlier run: without it the first plan would take its backends off XDP.
        side.tell(&mut wanted);
        network.want(wanted);
        let patience = Instant::now() + FIRST_NEXT_HOPS;
        while !is_known(&network.latest(), snapshot) {
            if timeout_at(patience, network.changed()).await.is_err() {
                break;
            }
        }
        network.mark_changed();
        Self {
            tasks: Tasks::start(&mut side, passes),
            side,
            reached: HashSet::new(),
            noted: None,
            wanted: BTreeSet::new(),
            reset: BTreeSet::new(),
            faults: Vec::new(),
            return_route: false,
        }
    }

    /// Opens programs and tables anew where `snapshot` asks for others.
    pub(super) fn follow_settings(
        &mut self,
        paths: &Paths,
        snapshot: &Snapshot,
        passes: &mpsc::Sender<Pass>,
    ) -> Result<(), KernelError> {
        let settings = &snapshot.settings.datapath;
        if self.side.is_outdated(settings) {
            self.side = tokio::task::block_in_place(|| KernelSide::open(paths, settings))?;
            self.tasks = Tasks::start(&mut self.side, passes.clone());
        }
        Ok(())
    }

    /// Another daemon sweeps the flow table from now on.
    pub(super) fn rest(&mut self) {
        self.tasks = Tasks(Vec::new());
    }

    /// Brings the kernel to what `snapshot` and the network ask for.
    pub(super) fn bring(
        &mut self,
        network: &mut Network,
        snapshot: &Snapshot,
    ) -> Result<(), ApplyError> {
        let state = network.latest();
        if !self.noted.as_ref().is_some_and(|noted| Arc::ptr_eq(noted, &state)) {
            let resolved = state.view.next_hops.iter().filter(|(_, hop)| hop.mac.is_some());
            self.reached.extend(resolved.map(|(ip, _)| *ip));
            self.noted = Some(Arc::clone(&state));
        }
        self.return_route = snapshot.settings.datapath.return_path == ReturnPath::Route;
        let usable = without_unreached(snapshot, &self.reached);
        self.faults = tokio::task::block_in_place(|| self.side.apply(&usable, &state.view))?;
        tokio::task::block_in_place(|| self.side.attach(&state.attach))?;
        let mut wanted = kernel::wanted(snapshot);
        self.side.tell(&mut wanted);
        if self.wanted != wanted.backends {
            self.wanted.clone_from(&wanted.backends);
            self.reached.retain(|ip| self.wanted.contains(ip));
            self.noted = None;
        }
        network.want(wanted);
        self.reset_flows();
        Ok(())
    }

    /// Tells the clients of backends that are dead or removed from now on.
    fn reset_flows(&mut self) {
        let now = self.side.resetting();
        let new: BTreeSet<u32> = now.difference(&self.reset).copied().collect();
        self.reset = now;
        if new.is_empty() {
            return;
        }
        let reader = self.side.reader();
        tokio::task::spawn_blocking(move || match poke::reset_flows(&reader, &new) {
            Ok(flows) => tracing::info!(flows, "reset the flows of backends that are gone"),
            Err(e) => tracing::warn!("clients of gone backends can't be told: {e}"),
        });
    }

    /// What could not be done as asked.
    pub(super) fn faults(&self, state: &NetState) -> Vec<String> {
        let points = state.attach.values().filter_map(|p| p.error.clone());
        let unusable = state.unusable.iter().map(|(name, why)| format!("interface {name}: {why}"));
        let attached = self.side.attached().iter().filter_map(|status| {
            let why = status.error.as_ref()?;
            Some(format!("interface {}: {why}", status.wanted.name))
        });
        let forwarding = self.return_route.then(|| forwarding::faults(state));
        let own = self.faults.iter().cloned().chain(forwarding.into_iter().flatten());
        own.chain(points).chain(unusable).chain(attached).collect()
    }

    /// For `lb status`: how it stands on the host, addresses aside.
    pub(super) fn host(&self, state: &NetState) -> Host {
        let row = |status: &AttachStatus| InterfaceStatus {
            name: status.wanted.name.clone(),
            mode: mode(status).to_owned(),
            reason: state
                .attach
                .get(&status.wanted.ifindex)
                .map(|point| point.reason.clone())
                .unwrap_or_default(),
        };
        Host {
            interfaces: self.side.attached().iter().map(row).collect(),
            programs: self.side.programs(),
            ..Host::default()
        }
    }

    /// For the API.
    pub(super) fn published(&mut self, snapshot: &Snapshot) -> InKernel {
        self.side.published(snapshot)
    }
}

impl Tasks {
    fn start(side: &mut KernelSide, passes: mpsc::Sender<Pass>) -> Self {
        let mut tasks = vec![tokio::spawn(sweep(side.reader(), passes)).abort_handle()];
        if let Some(log) = side.take_log() {
            let task = tokio::spawn(async move {
                if let Err(e) = log.run().await {
                    tracing::warn!("the programs' trace can't be read: {e}");
                }
            });
            tasks.push(task.abort_handle());
        }
        Self(tasks)
    }
}

fn mode(status: &AttachStatus) -> &'static str {
    match (status.xdp, status.tc) {
        (Some(mode), _) => mode.name(),
        (None, true) => AttachMode::Tc.name(),
        (None, false) => "detached",
    }
}

/// Whether the way to every backend of the kernel path is known, or can't be.
fn is_known(state: &NetState, snapshot: &Snapshot) -> bool {
    kernel::wanted(snapshot).backends.iter().all(|ip| match state.obstacles.get(ip) {
        Some(Obstacle::Unresolved { .. }) => false,
        Some(_) => true,
        None => state.view.next_hops.contains_key(ip),
    })
}

/// A backend whose next hop has never been known isn't chosen while others of
/// its service are: it would lose connections until the neighbour answers.
fn without_unreached<'a>(snapshot: &'a Snapshot, reached: &HashSet<IpAddr>) -> Cow<'a, Snapshot> {
    let is_new = |b: &crate::model::Backend| !reached.contains(&b.address.ip());
    let held = |s: &Service| {
        s.backends.iter().any(|b| b.takes_new() && is_new(b))
            && s.backends.iter().any(|b| b.takes_new() && !is_new(b))
    };
    let routed = snapshot.routers.values().filter(|router| router.path == Path::Kernel);
    let routed = routed.filter_map(|router| snapshot.services.get(&router.service));
    let held: BTreeSet<&Id> = routed.filter(|s| held(s)).map(|s| &s.id).collect();
    if held.is_empty() {
        return Cow::Borrowed(snapshot);
    }
    let mut usable = snapshot.clone();
    for service in usable.services.values_mut().filter(|service| held.contains(&service.id)) {
        for backend in Arc::make_mut(service).backends.iter_mut().filter(|b| is_new(b)) {
            backend.health.state = BackendState::Pending;
        }
    }
    Cow::Owned(usable)
}

/// Expires flows, slice by slice; what each pass found goes to the writer.
async fn sweep(reader: Arc<Reader>, passes: mpsc::Sender<Pass>) {
    let mut sweeper = Sweeper::new(reader);
    loop {
        match tokio::task::block_in_place(|| sweeper.step()) {
            Ok(None) => {}
            Ok(Some(pass)) => {
                if passes.send(pass).await.is_err() {
                    return;
                }
            }
            Err(e) => tracing::warn!("the flow table can't be swept: {e}"),
        }
        sleep(sweeper.pause()).await;
    }
}
