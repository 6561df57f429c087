//! The kernel path with what it needs around it: the network watcher, the VIP
//! addresses, the sweeper of the flow table.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashSet},
    net::IpAddr,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{mpsc, watch},
    task::AbortHandle,
    time::{Instant, sleep, timeout_at},
};

use super::{
    kernel::{self, ApplyError, KernelSide},
    shared::InKernel,
    status::Host,
};
use crate::{
    api::types::{AddressStatus, InterfaceStatus},
    kernel::{
        AttachStatus, KernelError, Pass, Paths, Reader, Sweeper,
        net::{
            AttachMode, NetError, NetState, NetWatcher, Obstacle, VipKeeper, VipState, VipStates,
        },
        poke,
    },
    model::{BackendState, Service, Snapshot},
};

/// How long a start waits for next hops to answer.
const FIRST_NEXT_HOPS: Duration = Duration::from_millis(500);

/// The loaded kernel path and what follows the host for it.
pub(super) struct KernelPath {
    pub(super) side: KernelSide,
    net: NetWatcher,
    states: watch::Receiver<Arc<NetState>>,
    /// Backends whose next hop has been known once: from then on they are chosen.
    reached: HashSet<IpAddr>,
    /// Whose next hops are in `reached`.
    noted: Option<Arc<NetState>>,
    /// The backends that the watcher looks after.
    wanted: BTreeSet<IpAddr>,
    /// From the first snapshot in the maps on: no VIP before that.
    vips: Option<VipKeeper>,
    /// What lb has put on the host.
    record: PathBuf,
    /// Backends whose flows have been reset, by id.
    reset: BTreeSet<u32>,
    tasks: Tasks,
    faults: Vec<String>,
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
        paths: &Paths,
        mut side: KernelSide,
        snapshot: &Snapshot,
        passes: mpsc::Sender<Pass>,
    ) -> Result<Self, NetError> {
        let mut wanted = kernel::wanted(snapshot);
        // Of an earlier run: without it the first plan would take its backends off XDP.
        side.tell(&mut wanted);
        let net = NetWatcher::start(wanted).await?;
        let mut states = net.states();
        let patience = Instant::now() + FIRST_NEXT_HOPS;
        while is_asking(&states.borrow_and_update()) {
            if timeout_at(patience, states.changed()).await.is_err() {
                break;
            }
        }
        states.mark_changed();
        Ok(Self {
            tasks: Tasks::start(&mut side, passes),
            side,
            net,
            states,
            reached: HashSet::new(),
            noted: None,
            wanted: BTreeSet::new(),
            vips: None,
            record: vip_record(paths),
            reset: BTreeSet::new(),
            faults: Vec::new(),
        })
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

    /// Resolves when the network has changed.
    pub(super) async fn changed(&mut self) {
        if self.states.changed().await.is_err() {
            std::future::pending().await
        }
    }

    /// Brings the kernel to what `snapshot` and the network ask for.
    pub(super) async fn bring(&mut self, snapshot: &Snapshot) -> Result<(), ApplyError> {
        let state = self.states.borrow_and_update().clone();
        if !self.noted.as_ref().is_some_and(|noted| Arc::ptr_eq(noted, &state)) {
            let resolved = state.view.next_hops.iter().filter(|(_, hop)| hop.mac.is_some());
            self.reached.extend(resolved.map(|(ip, _)| *ip));
            self.noted = Some(Arc::clone(&state));
        }
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
        let vips = wanted.vips.clone();
        self.net.want(wanted);
        match &self.vips {
            Some(keeper) => keeper.want(vips),
            None => {
                let states = self.net.states();
                self.vips = Some(VipKeeper::start(self.record.clone(), vips, states).await?);
            }
        }
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
    pub(super) fn faults(&self) -> Vec<String> {
        let state = self.states.borrow();
        let points = state.attach.values().filter_map(|p| p.error.clone());
        let unusable = state.unusable.iter().map(|(name, why)| format!("interface {name}: {why}"));
        let attached = self.side.attached().iter().filter_map(|status| {
            let why = status.error.as_ref()?;
            Some(format!("interface {}: {why}", status.wanted.name))
        });
        let vips = self.vip_states();
        let missing = vips.iter().filter_map(|(ip, state)| match state {
            VipState::Missing(_) => Some(format!("VIP {ip}: {state}")),
            VipState::Added(_) | VipState::Found(_) => None,
        });
        let own = self.faults.iter().cloned();
        own.chain(points).chain(unusable).chain(attached).chain(missing).collect()
    }

    /// By address: why a backend can't be reached now.
    pub(super) fn obstacles(&self) -> BTreeMap<IpAddr, String> {
        let state = self.states.borrow();
        state.obstacles.iter().map(|(ip, obstacle)| (*ip, obstacle.to_string())).collect()
    }

    fn vip_states(&self) -> Arc<VipStates> {
        self.vips.as_ref().map(|keeper| keeper.states().borrow().clone()).unwrap_or_default()
    }

    /// For `lb status`.
    pub(super) fn host(&self) -> Host {
        let state = self.states.borrow();
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
            addresses: self.vip_states().iter().flat_map(|(ip, s)| addresses(*ip, s)).collect(),
            programs: self.side.programs(),
        }
    }

    /// The name of an interface.
    pub(super) fn interface(&self, index: u32) -> Option<String> {
        self.states.borrow().links.get(&index).map(|link| link.name.clone())
    }

    /// For the API.
    pub(super) fn published(&mut self, snapshot: &Snapshot) -> InKernel {
        self.side.published(snapshot)
    }

    /// Gives up what only lb needs of the host; the kernel path itself stays.
    /// Returns the addresses removed, with their interfaces.
    pub(super) async fn release(self) -> Vec<(IpAddr, String)> {
        let removed = match self.vips {
            Some(vips) => vips.stop().await,
            None => Vec::new(),
        };
        self.net.stop().await;
        removed
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

/// The file that names the addresses lb has put on the host.
pub(super) fn vip_record(paths: &Paths) -> PathBuf {
    paths.state().join("vips.json")
}

fn addresses(ip: IpAddr, state: &VipState) -> Vec<AddressStatus> {
    let (names, added) = match state {
        VipState::Added(names) => (names, true),
        VipState::Found(names) => (names, false),
        VipState::Missing(_) => return Vec::new(),
    };
    let row =
        |name: &String| AddressStatus { address: ip.to_string(), interface: name.clone(), added };
    names.iter().map(row).collect()
}

fn mode(status: &AttachStatus) -> &'static str {
    match (status.xdp, status.tc) {
        (Some(mode), _) => mode.name(),
        (None, true) => AttachMode::Tc.name(),
        (None, false) => "detached",
    }
}

fn is_asking(state: &NetState) -> bool {
    state.obstacles.values().any(|o| matches!(o, Obstacle::Unresolved { .. }))
}

/// A backend whose next hop has never been known isn't chosen while others of
/// its service are: it would lose connections until the neighbour answers.
fn without_unreached<'a>(snapshot: &'a Snapshot, reached: &HashSet<IpAddr>) -> Cow<'a, Snapshot> {
    let is_new = |b: &crate::model::Backend| !reached.contains(&b.address.ip());
    let held = |s: &Service| {
        s.backends.iter().any(|b| b.takes_new() && is_new(b))
            && s.backends.iter().any(|b| b.takes_new() && !is_new(b))
    };
    if !snapshot.services.values().any(|s| held(s)) {
        return Cow::Borrowed(snapshot);
    }
    let mut usable = snapshot.clone();
    for service in usable.services.values_mut().filter(|s| held(s)) {
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
