//! From the command line to the running writer, and its end.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::timeout,
};

use super::{
    DetachError, Options,
    input::Inputs,
    kernel::KernelSide,
    leaving::Leaving,
    listeners::Listeners,
    log::Log,
    notify,
    proxy::ProxySide,
    registry::RegistrySide,
    shared::Shared,
    shift::ShiftSide,
    takeover::{self, Inherited},
    writer::{Ending, Faults, Writer},
};
use crate::{
    api::{self, Daemon},
    events::{Watched, What},
    health::{Monitor, Names},
    kernel::{Datapath, InstanceLock, KernelError},
    model::{Fault, Settings},
    nats,
    provider::{Reload, Sources, consul::register::Registrar},
    reconcile::{Event, Reconciler},
    state::{Memory, Overrides, Shifts},
};

/// Worker threads: the daemon does little, the kernel forwards.
const WORKERS: usize = 2;
/// How long the end waits for answers to be read.
const LAST_ANSWERS: Duration = Duration::from_secs(1);
/// Inputs that may wait for the writer.
const QUEUE: usize = 4096;

/// Why the daemon did not start, or failed.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The main file is at fault.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Config(Vec<Fault>),
    /// Another daemon runs the instance, or the host can't carry the kernel path.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// The socket, the state folder, the runtime.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The first snapshot could not be brought into force.
    #[error("{0}")]
    Refused(String),
    /// `--detach-on-exit`.
    #[error(transparent)]
    Detach(#[from] DetachError),
}

/// Runs the daemon until a signal or `lb detach` ends it.
///
/// # Errors
/// See [`RunError`]; what runs in the kernel goes on.
pub fn run(options: &Options) -> Result<(), RunError> {
    let open = || Sources::open_with(&options.config, options.paths.state());
    let (mut sources, mut reload) = open().map_err(RunError::Config)?;
    let place = Place::take(options)?;
    // What sources said until a moment ago, which the daemon before this one has kept since.
    if let (Place::Inherited(_), Ok(again)) = (&place, open()) {
        (sources, reload) = again;
    }
    let log = Log::start(&settings(&reload).log);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build()?;
    // On a worker, for blocking sections leave only workers free to others.
    runtime.block_on(async {
        let options = options.clone();
        tokio::spawn(async move { serve(&options, place, sources, reload, log).await })
            .await
            .unwrap_or_else(|e| Err(RunError::Refused(format!("the writer failed: {e}"))))
    })
}

/// The instance, which is this process's alone or about to be.
enum Place {
    Free(InstanceLock),
    Inherited(Inherited),
}

impl Place {
    /// Where nobody runs the instance there is nobody to take over from.
    fn take(options: &Options) -> Result<Self, RunError> {
        if options.takeover && InstanceLock::holder(&options.paths)?.is_some() {
            return Ok(Self::Inherited(takeover::ask(&options.paths)?));
        }
        Ok(Self::Free(InstanceLock::take(&options.paths)?))
    }
}

/// The static part, which a first reading always has.
fn settings(reload: &Reload) -> Settings {
    let settings = reload.events.iter().find_map(|event| match event {
        Event::Static { settings, .. } => Some((**settings).clone()),
        _ => None,
    });
    settings.unwrap_or_default()
}

async fn serve(
    options: &Options,
    place: Place,
    sources: Sources,
    reload: Reload,
    log: Log,
) -> Result<(), RunError> {
    let (events_in, events) = mpsc::channel(QUEUE);
    let (commands_in, commands) = mpsc::channel(QUEUE);
    let (passes_in, passes) = mpsc::channel(1);
    let mut inputs = Inputs::new(events, commands, passes)?;
    let monitor = Monitor::new(events_in.clone());
    let names = Names::new(events_in.clone(), monitor.counters());
    let (paths, config) = (options.paths.clone(), options.config.clone());
    let shared = Arc::new(Shared::new(paths, config, monitor.counters(), commands_in));
    let overrides = Overrides::load(&options.paths.state())?;
    let memory = Memory::load(&options.paths.state())?;
    let nats = nats::Side::new(shared.nats.clone());
    let registrar = Registrar::new(shared.registration.clone());
    let (lock, inherited) = match place {
        Place::Free(lock) => (lock, None),
        Place::Inherited(inherited) => {
            let (lock, sockets, verdicts, predecessor) = inherited.into_parts();
            (lock, Some((sockets, verdicts, predecessor)))
        }
    };
    let mut api = Api::new(&shared);
    tokio::spawn(sources.agreed().clone().forward(events_in.clone()));
    let mut writer = Writer {
        lock,
        shared,
        sources,
        reconciler: Reconciler::new(),
        monitor,
        names,
        overrides,
        memory,
        clock: Instant::now(),
        log,
        adopted: None,
        network: None,
        kernel: None,
        listeners: Listeners::default(),
        registry: RegistrySide::default(),
        proxy: ProxySide::default(),
        passes: passes_in,
        leaving: Leaving::default(),
        last_reload: None,
        watched: Watched::default(),
        shifts: ShiftSide::new(Shifts::load(&options.paths.state())?),
        nats,
        registrar,
        inputs: events_in,
        faults: Faults::default(),
        in_force: Arc::default(),
        is_stale: false,
        is_unpublished: false,
    };
    match inherited {
        None => {
            api.open(options)?;
            writer.begin(reload).await?;
        }
        // The old daemon's socket answers until this one has something to say.
        Some((sockets, verdicts, predecessor)) => {
            writer.inherit(sockets, &verdicts);
            writer.begin(reload).await?;
            api.open(options)?;
            writer.lock.sign(&options.paths)?;
            if let Err(error) = predecessor.release() {
                tracing::warn!("the daemon before this one is gone already: {error}");
            }
        }
    }
    writer.resume_shifts().await;
    inputs.takeovers = Some(takeover::listen(&options.paths.takeover())?);
    notify::ready(&writer.in_force, !writer.faults.files.is_empty());
    let (writer, ending) = writer.run(inputs).await;
    let ended = end(writer, ending, options).await;
    api.close().await;
    ended
}

/// The API on its unix socket.
struct Api {
    shared: Arc<Shared>,
    serving: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Api {
    fn new(shared: &Arc<Shared>) -> Self {
        Self { shared: Arc::clone(shared), serving: None }
    }

    /// In place of whoever was there before.
    fn open(&mut self, options: &Options) -> io::Result<()> {
        let socket = api::bind_unix(&options.paths.socket())?;
        let (stop, stopped) = oneshot::channel::<()>();
        let stopped = async { drop(stopped.await) };
        let router = api::private(self.shared.clone());
        self.serving = Some((stop, tokio::spawn(api::serve_until(socket, router, stopped))));
        Ok(())
    }

    /// Once whoever has asked has his answer: `lb detach` is answered before the process ends.
    async fn close(self) {
        let Some((stop, serving)) = self.serving else { return };
        drop(stop);
        let _late = timeout(LAST_ANSWERS, serving).await;
    }
}

impl Writer {
    /// Brings the first snapshot into force: all that is known at once, so
    /// that nothing of what the kernel holds is taken for gone.
    async fn begin(&mut self, mut reload: Reload) -> Result<(), RunError> {
        if Datapath::is_pinned(&self.shared.paths) {
            let datapath = settings(&reload).datapath;
            let side =
                tokio::task::block_in_place(|| KernelSide::open(&self.shared.paths, &datapath))?;
            self.reconciler.adopt(side.adopted(self.memory.services()));
            self.adopted = Some(side);
        }
        let mut events = std::mem::take(&mut reload.events);
        events.extend(self.kept());
        self.handle(events);
        self.remember(&reload);
        self.bring_into_force().await;
        match &self.faults.apply {
            Some(why) => Err(RunError::Refused(why.clone())),
            None => Ok(()),
        }
    }

    /// What the last run left: runtime changes, and addresses of host names.
    fn kept(&self) -> Vec<Event> {
        let names = self.memory.names();
        let names =
            names.map(|(host, addresses)| Event::Resolved { host: host.to_owned(), addresses });
        let saved = self.overrides.saved().iter();
        let saved = saved.filter_map(|saved| Some((saved, saved.backend()?)));
        let changes = saved.flat_map(|(saved, backend)| {
            let drained = backend.clone();
            let drain = saved.drained.then_some(Event::Drain { backend: drained, drain: true });
            let weight = saved.weight.map(|w| Event::Weight { backend, weight: Some(w) });
            drain.into_iter().chain(weight)
        });
        let parts = self.overrides.parts().iter().filter_map(|saved| {
            let (service, part) = saved.ids()?;
            Some(Event::PartWeight { service, part, weight: Some(saved.weight) })
        });
        let agreed = self.memory.agreed().map(|key| Event::Agreed { key });
        names.chain(changes).chain(parts).chain(agreed).collect()
    }
}

async fn end(mut writer: Writer, ending: Ending, options: &Options) -> Result<(), RunError> {
    if ending == Ending::Succeeded {
        writer.let_go();
        writer.tell(&What::DaemonStopping { reason: "another process has taken over".to_owned() });
        writer.shared.events().close();
        writer.nats.end().await;
        let Writer { lock, monitor, names, mut proxy, in_force, .. } = writer;
        // The new daemon has the lock, and checks by itself.
        drop((lock, monitor, names));
        proxy.drain(&in_force).await;
        tracing::info!("ending; another process has taken over");
        return Ok(());
    }
    let detaches = ending == Ending::Detached || options.detach_on_exit;
    let rest = if detaches { "L4 ends, too" } else { "L4 goes on in the kernel" };
    notify::stopping(&format!("ending; {rest}"));
    tracing::info!("ending; {rest}");
    writer.tell(&What::DaemonStopping { reason: rest.to_owned() });
    let snapshot = writer.in_force.clone();
    // Whoever asks Consul comes here no more, before anybody is sent away.
    writer.registrar.end().await;
    writer.proxy.drain(&snapshot).await;
    writer.shared.events().close();
    writer.nats.end().await;
    if ending == Ending::Stop && options.detach_on_exit {
        writer.detach().await?;
    }
    // Sockets of a daemon that has ended would only mislead.
    let _gone = std::fs::remove_file(options.paths.socket());
    let _gone = std::fs::remove_file(options.paths.takeover());
    Ok(())
}
