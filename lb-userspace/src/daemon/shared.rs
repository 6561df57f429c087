//! What the writer publishes and the API reads.

use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::SystemTime,
};

use arc_swap::ArcSwap;
use tokio::sync::mpsc;

use super::status;
use crate::{
    api::{
        ApiError, BackendCount, Command, Counts, Daemon, FlowQuery, Troubles,
        types::{
            ExplainHttpQuery, ExplainedHttp, FlowRow, ProviderStatus, ReloadStatus, ShiftRow,
            Status,
        },
    },
    events::Hub,
    health,
    kernel::{self, Paths, Reader},
    metrics::{self, Reloads, Scrape},
    model::{BackendId, Fault, Id, Protocol, Snapshot},
    nats,
    provider::{self, consul::register::Trouble},
    proxy::{View, explain},
    registry,
};

/// Everything in force, replaced whole by the writer.
#[derive(Debug, Default)]
pub(crate) struct InForce {
    pub(crate) snapshot: Arc<Snapshot>,
    /// Whether it is in the kernel too.
    pub(crate) ready: bool,
    pub(crate) kernel: Option<InKernel>,
    pub(crate) proxy: View,
    /// Why the kernel path can't reach a backend.
    pub(crate) obstacles: BTreeMap<IpAddr, String>,
    /// Interfaces, addresses: what `lb status` shows of the host.
    pub(crate) host: status::Host,
    /// lb's own registry, where there is one.
    pub(crate) registry: Option<registry::View>,
    pub(crate) providers: Vec<ProviderStatus>,
    pub(crate) shifts: Vec<ShiftRow>,
    /// Of providers over a network.
    pub(crate) sources: Vec<Arc<provider::Status>>,
    pub(crate) last_reload: Option<ReloadStatus>,
    /// Beside the snapshot's: refused sources, what the kernel refused.
    pub(crate) faults: Vec<String>,
    /// Those of files that take a router or a middleware off.
    pub(crate) off: Arc<Vec<Fault>>,
}

/// What is in the kernel, by the model's names.
#[derive(Clone, Debug)]
pub(crate) struct InKernel {
    pub(crate) reader: Arc<Reader>,
    /// Backends by id.
    pub(crate) backends: Arc<BTreeMap<u32, BackendId>>,
    /// Services by the hash of their name.
    pub(crate) services: Arc<HashMap<u64, Id>>,
    pub(crate) vips: Arc<Vec<(SocketAddr, Protocol, Id)>>,
    /// Fresh, adopted or carried over, in a sentence.
    pub(crate) origin: String,
}

/// Shared between the writer and the API.
pub(crate) struct Shared {
    pub(crate) paths: Paths,
    /// The main file.
    pub(crate) config: PathBuf,
    pub(crate) in_force: ArcSwap<InForce>,
    pub(crate) checks: Arc<health::Counters>,
    pub(crate) reloads: Mutex<Reloads>,
    pub(crate) stopping: AtomicBool,
    events: Arc<Hub>,
    /// How publishing goes.
    pub(crate) nats: nats::State,
    /// Why lb isn't registered in its Consul.
    pub(crate) registration: Trouble,
    started: SystemTime,
    commands: mpsc::Sender<Command>,
}

impl Shared {
    pub(crate) fn new(
        paths: Paths,
        config: PathBuf,
        checks: Arc<health::Counters>,
        commands: mpsc::Sender<Command>,
    ) -> Self {
        Self {
            paths,
            config,
            in_force: ArcSwap::default(),
            checks,
            reloads: Mutex::default(),
            stopping: AtomicBool::new(false),
            events: Arc::default(),
            nats: nats::State::default(),
            registration: Trouble::default(),
            started: SystemTime::now(),
            commands,
        }
    }

    /// Readings of the files until now.
    pub(crate) fn reloads(&self) -> Reloads {
        *self.reloads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Daemon for Shared {
    fn snapshot(&self) -> Arc<Snapshot> {
        self.in_force.load().snapshot.clone()
    }

    fn started(&self) -> SystemTime {
        self.started
    }

    fn status(&self) -> Result<Status, ApiError> {
        let in_force = self.in_force.load_full();
        let stats = in_force.kernel.as_ref().map(|k| k.reader.stats([])).transpose();
        status::of(self, &in_force, stats.map_err(unreadable)?.as_ref())
    }

    fn counts(&self) -> Result<Counts, ApiError> {
        let in_force = self.in_force.load_full();
        let mut counts = match &in_force.kernel {
            Some(kernel) => kernel.counts().map_err(unreadable)?,
            None => Counts::default(),
        };
        counts.add(&in_force.proxy);
        Ok(counts)
    }

    fn flows(&self, query: &FlowQuery) -> Result<Vec<FlowRow>, ApiError> {
        super::flows::list(&self.in_force.load_full(), query)
    }

    fn vips(&self) -> Vec<(SocketAddr, Protocol, Id)> {
        self.in_force.load().kernel.as_ref().map(|k| k.vips.to_vec()).unwrap_or_default()
    }

    fn obstacles(&self) -> BTreeMap<IpAddr, String> {
        self.in_force.load().obstacles.clone()
    }

    fn troubles(&self) -> Troubles {
        let in_force = self.in_force.load_full();
        let mut troubles = Troubles::of(&in_force.snapshot, &in_force.off);
        in_force.proxy.add_troubles(&in_force.snapshot, &mut troubles);
        troubles
    }

    fn explain_http(&self, query: &ExplainHttpQuery) -> Result<ExplainedHttp, ApiError> {
        let in_force = self.in_force.load_full();
        explain::http(&in_force.proxy, &in_force.snapshot, query)
    }

    fn metrics(&self) -> Result<String, ApiError> {
        let counts = self.counts()?;
        let scrape = Scrape {
            snapshot: &self.snapshot(),
            counts: &counts,
            proxy: &self.in_force.load().proxy,
            health: &self.checks,
            reloads: self.reloads(),
            events: self.events.counts(),
            providers: &self.in_force.load().sources,
            started: self.started.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs()),
        };
        metrics::render(&scrape).map_err(|e| ApiError::Unavailable(format!("metrics: {e}")))
    }

    fn events(&self) -> &Arc<Hub> {
        &self.events
    }
    fn registry(&self) -> Option<registry::View> {
        self.in_force.load().registry.clone()
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Relaxed)
    }

    fn commands(&self) -> &mpsc::Sender<Command> {
        &self.commands
    }
}

impl InKernel {
    fn counts(&self) -> kernel::Result<Counts> {
        let stats = self.reader.stats(self.backends.keys().copied())?;
        let backends = stats.backends.iter().filter_map(|(id, c)| {
            Some((
                self.backends.get(id)?.clone(),
                BackendCount { stats: c.total, active: c.active, ..BackendCount::default() },
            ))
        });
        Ok(Counts {
            backends: backends.collect(),
            drops: stats.drops.iter().map(|(_, n)| *n).collect(),
            events: stats.events.iter().map(|(_, n)| *n).collect(),
            flows: stats.established + stats.half_open,
            ..Counts::default()
        })
    }
}

/// The kernel could not be asked.
pub(crate) fn unreadable(error: kernel::KernelError) -> ApiError {
    ApiError::Unavailable(error.to_string())
}
