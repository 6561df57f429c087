//! The one task that owns the reconciler and the kernel path.

use std::{
    sync::{Arc, PoisonError, atomic::Ordering::Relaxed},
    time::Instant,
};

use tokio::sync::mpsc;

use super::{
    input::{Input, Inputs},
    kernel::{self, KernelSide},
    leaving::Leaving,
    listeners::Listeners,
    log::{self, Log},
    network::Network,
    notify,
    path::KernelPath,
    proxy::ProxySide,
    registry::RegistrySide,
    shared::{InForce, Shared},
    shift::ShiftSide,
    status,
};
use crate::{
    api::{
        Daemon,
        time::now,
        types::{ProviderStatus, ReloadStatus},
    },
    events::Watched,
    health::{Monitor, Names},
    kernel::{InstanceLock, Pass},
    model::{Fault, Snapshot},
    nats,
    provider::{Reload, Scope, Sources, consul::register::Registrar},
    reconcile::{Event, Reconciler},
    state::{Memory, Overrides},
};

/// Why the writer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// A signal: L4 goes on in the kernel.
    Stop,
    /// `lb detach`: everything was taken off the host.
    Detached,
    /// Another daemon has taken over.
    Succeeded,
}

/// Everything that a change may touch.
pub(super) struct Writer {
    pub(super) lock: InstanceLock,
    pub(super) shared: Arc<Shared>,
    pub(super) sources: Sources,
    pub(super) reconciler: Reconciler,
    pub(super) monitor: Monitor,
    pub(super) names: Names,
    pub(super) overrides: Overrides,
    pub(super) memory: Memory,
    /// Since when the reconciler counts.
    pub(super) clock: Instant,
    pub(super) log: Log,
    /// Found pinned at the start, until the first snapshot takes it over.
    pub(super) adopted: Option<KernelSide>,
    /// From the first need on: the kernel path's, or an entry point's address.
    pub(super) network: Option<Network>,
    pub(super) kernel: Option<KernelPath>,
    pub(super) listeners: Listeners,
    pub(super) registry: RegistrySide,
    pub(super) proxy: ProxySide,
    pub(super) passes: mpsc::Sender<Pass>,
    pub(super) leaving: Leaving,
    pub(super) last_reload: Option<ReloadStatus>,
    /// What the proxy finds out by itself.
    pub(super) watched: Watched,
    pub(super) shifts: ShiftSide,
    pub(super) nats: nats::Side,
    pub(super) registrar: Registrar,
    /// Where others than the writer say what is to be changed.
    pub(super) inputs: mpsc::Sender<Event>,
    pub(super) faults: Faults,
    /// The latest snapshot in force.
    pub(super) in_force: Arc<Snapshot>,
    /// Whether the kernel may differ from it: the network changed, or a change was refused.
    pub(super) is_stale: bool,
    /// Whether what is published lacks something beside the snapshot: a reading, a fault.
    pub(super) is_unpublished: bool,
}

/// What is wrong beside the snapshot's own faults.
#[derive(Debug, Default)]
pub(super) struct Faults {
    /// By the latest reading of the files.
    pub(super) files: Vec<String>,
    /// Those of them that take a router or a middleware off.
    pub(super) off: Arc<Vec<Fault>>,
    /// Why the latest snapshot is not in force.
    pub(super) apply: Option<String>,
    /// Why runtime changes can't be kept.
    pub(super) state: Option<String>,
}

impl Writer {
    /// Takes inputs until told to end. What comes in a burst is brought into
    /// force at once, so that a verdict waits for one change at most.
    pub(super) async fn run(mut self, mut inputs: Inputs) -> (Self, Ending) {
        loop {
            let input = inputs.next(&mut self.sources, &mut self.network).await;
            if let Some(ending) = self.take(input).await {
                self.shared.stopping.store(true, Relaxed);
                return (self, ending);
            }
            let mut burst = Vec::new();
            while let Ok(event) = inputs.events.try_recv() {
                burst.push(event);
            }
            self.handle(burst);
            if self.reconciler.snapshot().generation != self.in_force.generation {
                self.forget_slice();
            }
            self.bring_into_force().await;
        }
    }

    /// The snapshot that comes of it is fetched when it is brought into force.
    pub(super) fn handle(&mut self, events: impl IntoIterator<Item = Event>) {
        let before = Arc::clone(self.reconciler.snapshot());
        if let Some(latest) = self.reconciler.handle_all(events, self.clock.elapsed()) {
            self.leaving.follow(&before, &latest);
        }
    }

    async fn take(&mut self, input: Input) -> Option<Ending> {
        match input {
            Input::Event(event) => self.handle([event]),
            Input::Command(command) => return self.obey(command).await,
            Input::Swept(pass) => self.note_idle(&pass),
            Input::Network => self.is_stale = true,
            Input::Files => drop(self.read_files(Scope::Providers)),
            Input::Hangup => {
                notify::reloading();
                drop(self.read_files(Scope::All));
                self.bring_into_force().await;
                notify::ready(&self.in_force, !self.faults.files.is_empty());
            }
            Input::Reopen => self.proxy.reopen_log(),
            Input::Tick => {
                self.proxy.view().tick();
                self.tell_watched();
                self.watch_shifts().await;
                self.is_stale |= self.faults.apply.is_some();
                self.listen_again().await;
                // While nothing is loaded no backend has flows to wait for.
                if self.kernel.is_none() {
                    let view = self.proxy.view();
                    self.leaving.unloaded(&self.in_force, |backend| view.is_busy(backend));
                }
                self.forget_slice();
                self.handle([Event::Tick]);
            }
            Input::Takeover(asked) => return self.hand_over(&asked),
            Input::End => return Some(Ending::Stop),
        }
        None
    }

    /// Reads the files and takes over what is sound.
    pub(super) fn read_files(&mut self, scope: Scope) -> Reload {
        let mut reload = tokio::task::block_in_place(|| self.sources.reload(scope));
        self.note(&mut reload);
        reload
    }

    fn note(&mut self, reload: &mut Reload) {
        self.handle(std::mem::take(&mut reload.events));
        self.remember(reload);
    }

    /// Keeps a reading's outcome for `lb status` and the metrics.
    pub(super) fn remember(&mut self, reload: &Reload) {
        let told: Vec<String> = reload.faults.iter().map(ToString::to_string).collect();
        let before = std::mem::replace(&mut self.faults.files, told);
        let off = reload.faults.iter().filter(|fault| fault.off.is_some());
        self.faults.off = Arc::new(off.cloned().collect());
        self.is_unpublished = true;
        if reload.is_again {
            return;
        }
        // What is wrong with one instance isn't told again whenever another one changes.
        let faults = self.faults.files.iter().filter(|fault| !before.contains(fault));
        faults.for_each(|fault| tracing::error!("{fault}"));
        reload.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        log::changes(&reload.changes);
        self.tell_reload(reload);
        let success = reload.faults.is_empty();
        let status = ReloadStatus { time: now(), success, faults: self.faults.files.clone() };
        let mut reloads = self.shared.reloads.lock().unwrap_or_else(PoisonError::into_inner);
        reloads.last_success = success;
        if success {
            reloads.successes += 1;
            reloads.last_success_time = status.time;
        } else {
            reloads.failures += 1;
        }
        self.last_reload = Some(status);
    }

    /// Leaving backends without flows can be forgotten.
    fn note_idle(&mut self, pass: &Pass) {
        if let Some(kernel) = &self.kernel {
            let has_flows = kernel.side.with_flows(&self.in_force, pass);
            let (latest, view) = (self.reconciler.snapshot(), self.proxy.view());
            self.leaving.swept(&self.in_force, latest, |backend| {
                has_flows.contains(backend) || view.is_busy(backend)
            });
        }
    }

    /// Along with what changes anyway, and each second.
    fn forget_slice(&mut self) {
        let idle = self.leaving.slice();
        self.handle(idle.into_iter().map(|backend| Event::Empty { backend }));
    }

    /// Tries the addresses again that could not be listened on.
    async fn listen_again(&mut self) {
        if self.listeners.faults.is_empty() && !self.registry.is_missing() {
            return;
        }
        let faults = |writer: &Self| (writer.listeners.faults.clone(), writer.registry.faults());
        let before = faults(self);
        self.listen().await;
        self.is_unpublished |= faults(self) != before;
    }

    async fn listen(&mut self) {
        let daemon: Arc<dyn Daemon> = self.shared.clone();
        let settings = &self.in_force.settings;
        self.listeners.follow(settings, &daemon).await;
        let state = self.shared.paths.state();
        self.registry.follow(settings.registry.as_ref(), &state, self.sources.registry()).await;
    }

    /// Carries the latest snapshot into the kernel, then tells everybody else.
    pub(super) async fn bring_into_force(&mut self) {
        let snapshot = self.reconciler.snapshot().clone();
        let is_new = snapshot.generation != self.in_force.generation;
        if !is_new && !self.is_stale {
            if self.is_unpublished {
                self.publish(false);
            }
            return;
        }
        self.is_stale = false;
        if let Err(why) = self.bring_into_kernel(&snapshot).await {
            return self.refuse(&snapshot, why);
        }
        if is_new {
            self.spread(&snapshot).await;
        }
        if let Err(why) = self.hold_addresses(&snapshot).await {
            return self.refuse(&snapshot, why);
        }
        self.faults.apply = None;
        self.publish(true);
    }

    fn refuse(&mut self, snapshot: &Snapshot, why: String) {
        if self.faults.apply.as_ref() != Some(&why) {
            tracing::error!("generation {} is not in force: {why}", snapshot.generation);
        }
        self.faults.apply = Some(why);
        self.publish(false);
    }

    async fn bring_into_kernel(&mut self, snapshot: &Snapshot) -> Result<(), String> {
        if self.kernel.is_none() && (status::uses_kernel(snapshot) || self.adopted.is_some()) {
            self.open_kernel(snapshot).await?;
        }
        let (Some(kernel), Some(network)) = (&mut self.kernel, &mut self.network) else {
            return Ok(());
        };
        kernel
            .follow_settings(&self.shared.paths, snapshot, &self.passes)
            .map_err(|e| e.to_string())?;
        kernel.bring(network, snapshot).map_err(|e| e.to_string())
    }

    async fn open_kernel(&mut self, snapshot: &Snapshot) -> Result<(), String> {
        let paths = &self.shared.paths;
        let side = match self.adopted.take() {
            Some(side) => side,
            None => {
                let datapath = &snapshot.settings.datapath;
                tokio::task::block_in_place(|| KernelSide::open(paths, datapath))
                    .map_err(|e| e.to_string())?
            }
        };
        let network = match &mut self.network {
            Some(network) => network,
            none => {
                let mut wanted = kernel::wanted(snapshot);
                side.tell(&mut wanted);
                let started = Network::start(paths, wanted).await;
                none.insert(started.map_err(|e| e.to_string())?)
            }
        };
        let passes = self.passes.clone();
        self.kernel = Some(KernelPath::open(network, side, snapshot, passes).await);
        Ok(())
    }

    /// Puts the addresses of entry points on the host, once whoever answers there is ready.
    async fn hold_addresses(&mut self, snapshot: &Snapshot) -> Result<(), String> {
        let paths = &self.shared.paths;
        let network = match &mut self.network {
            Some(network) => network,
            None if !Network::is_needed(paths, snapshot) => return Ok(()),
            none => {
                let started = Network::start(paths, kernel::wanted(snapshot)).await;
                none.insert(started.map_err(|e| e.to_string())?)
            }
        };
        if self.kernel.is_none() {
            network.want(kernel::wanted(snapshot));
        }
        network.hold(snapshot).await.map_err(|e| e.to_string())
    }

    /// What follows a new snapshot outside the kernel.
    async fn spread(&mut self, snapshot: &Arc<Snapshot>) {
        self.tell_changes(snapshot);
        self.in_force = snapshot.clone();
        self.monitor.update(snapshot);
        self.names.update(snapshot);
        self.log.follow(&snapshot.settings.log);
        self.follow_nats(snapshot);
        self.listen().await;
        let daemon: Arc<dyn Daemon> = self.shared.clone();
        tokio::task::block_in_place(|| self.proxy.follow(snapshot, &daemon));
        self.register(snapshot);
        let saved = tokio::task::block_in_place(|| {
            self.overrides.save(snapshot).and_then(|()| self.memory.save(snapshot))
        });
        self.faults.state = saved.err().map(|e| format!("state can't be kept: {e}"));
    }

    fn publish(&mut self, is_in_force: bool) {
        self.is_unpublished = false;
        let before = self.shared.in_force.load();
        let in_kernel = self.kernel.as_mut().map(|kernel| kernel.published(&self.in_force));
        let kernel = self.kernel.as_ref();
        let faults = &self.faults;
        let state = self.network.as_ref().map(Network::state).unwrap_or_default();
        let mut host_faults = kernel.map(|k| k.faults(&state)).unwrap_or_default();
        host_faults.extend(self.network.iter().flat_map(Network::faults));
        let mut host = kernel.map(|k| k.host(&state)).unwrap_or_default();
        host.addresses = self.network.as_ref().map(Network::addresses).unwrap_or_default();
        let proxy_faults = self.proxy.faults();
        let registry_faults = self.registry.faults();
        let off = Arc::clone(&faults.off);
        let faults = (faults.apply.iter())
            .chain(&faults.state)
            .chain(&faults.files)
            .chain(&self.listeners.faults)
            .chain(&host_faults)
            .chain(&proxy_faults)
            .chain(&registry_faults);
        self.shared.in_force.store(Arc::new(InForce {
            snapshot: self.in_force.clone(),
            ready: before.ready || is_in_force,
            kernel: in_kernel,
            proxy: self.proxy.view(),
            obstacles: self.network.as_ref().map(Network::obstacles).unwrap_or_default(),
            host,
            registry: self.registry.view(),
            providers: self.providers(),
            shifts: self.shifts.rows(self.clock.elapsed()),
            sources: self.sources.statuses(),
            last_reload: self.last_reload.clone(),
            faults: faults.cloned().collect(),
            off,
        }));
    }

    /// Of files; those over a network tell for themselves.
    fn providers(&self) -> Vec<ProviderStatus> {
        let of = |path: &std::path::Path| ProviderStatus {
            name: "file".to_owned(),
            source: path.display().to_string(),
            ..ProviderStatus::default()
        };
        let file = self.in_force.settings.file.as_ref().map(|file| of(&file.path));
        [of(&self.shared.config)].into_iter().chain(file).collect()
    }
}
