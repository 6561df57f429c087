//! A provider over a network: a task follows its source and keeps what that says last, in memory
//! and on disk, so that nothing is lost while the source is away.

use std::{
    convert::Infallible,
    future::Future,
    path::PathBuf,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use serde::{Serialize, de::DeserializeOwned};
use tokio::{sync::watch, task::JoinHandle, time::sleep};

use keep::{Keep, Kept};

use super::{
    Around, Content, Provider, Reading, Text,
    backoff::Backoff,
    discovery::Skipped,
    status::{Status, now},
};
use crate::{config::build::Parsed, model::Fault};

/// What a burst of changes may take before it is read.
const REST: Duration = Duration::from_millis(10);

/// A future of a source's.
pub(crate) type Following<'a> =
    Pin<Box<dyn Future<Output = Result<Infallible, String>> + Send + 'a>>;
/// Makes a document of a state.
pub(crate) type Reader<S> = Box<dyn FnMut(&S) -> Outcome + Send>;

/// Something over a network that says what there is.
pub(crate) trait Source: Send + Sync + 'static {
    /// All that it says, kept on disk.
    type State: Clone + PartialEq + Serialize + DeserializeOwned + Send + Sync + 'static;

    /// What stands behind the `@` of its objects, and its key under `providers`.
    fn name(&self) -> &'static str;

    /// Where it is, without secrets: for `lb status`.
    fn endpoint(&self) -> String;

    /// Connects and publishes whole states until that fails. Nothing here may hang: an answer that
    /// doesn't come is a failure.
    fn follow<'a>(&'a self, outlet: &'a Outlet<Self::State>) -> Following<'a>;

    /// Reads states; it may remember what it read before.
    fn reader(&self) -> Reader<Self::State>;
}

/// What a state comes to.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Its document. With faults the state is refused whole and the last good one stays.
    pub(crate) parsed: Parsed,
    /// Faults of parts that are out alone; all else applies.
    pub(crate) out: Vec<Fault>,
    /// How many instances (or keys) serve.
    pub(crate) serving: usize,
    /// Instances that don't.
    pub(crate) skipped: Vec<Skipped>,
}

/// A state that was read: what a [`Link`] hands over.
#[derive(Debug)]
pub(crate) struct Part {
    /// Differs from one to the next: a state that is said again is none.
    pub(super) stamp: u64,
    pub(super) parsed: Parsed,
    pub(super) out: Vec<Fault>,
}

/// Where a source's states go.
pub(crate) struct Outlet<S> {
    states: watch::Sender<Option<Arc<S>>>,
    status: Arc<Status>,
    backoff: Arc<Mutex<Backoff>>,
}

impl<S: PartialEq> Outlet<S> {
    /// The source answers.
    pub(crate) fn connected(&self) {
        self.status.connected();
        self.backoff.lock().unwrap_or_else(PoisonError::into_inner).reset();
    }

    /// This is all there is now; it replaces what was said before.
    pub(crate) fn publish(&self, state: S) {
        self.connected();
        self.states.send_if_modified(|last| {
            if last.as_deref() == Some(&state) {
                return false;
            }
            *last = Some(Arc::new(state));
            true
        });
        self.status.change().is_kept = false;
    }

    /// What was said last, in the last run where nothing was yet in this one.
    pub(crate) fn last(&self) -> Option<S>
    where
        S: Clone,
    {
        self.states.borrow().as_deref().cloned()
    }

    /// A part of the source doesn't answer, or all of it, while what follows goes on.
    pub(crate) fn trouble(&self, why: &str, is_all: bool) {
        self.status.troubled(why, is_all);
    }
}

/// The provider of a source.
pub(crate) struct Link {
    name: &'static str,
    status: Arc<Status>,
    latest: watch::Receiver<Option<Arc<Part>>>,
    /// The task, until it has begun.
    begin: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    task: Option<JoinHandle<()>>,
    kept: Arc<dyn Keep>,
    /// When the latest part was told of, until whoever takes it waits for the next.
    told: Option<Instant>,
    /// How long that was, in microseconds.
    pass: Arc<AtomicU64>,
}

impl Link {
    /// Begins with what the last run kept; the source is followed once somebody waits for changes.
    pub(crate) fn provider<S: Source>(source: S, around: &Around) -> Box<dyn Provider> {
        let name = source.name();
        let status = Arc::new(Status::new(name, source.endpoint()));
        let (parts, latest) = watch::channel(None);
        let path = around.state.as_ref().map(|state| state.join(format!("providers/{name}.json")));
        let kept = Arc::new(Kept::new(name, path));
        let pass = Arc::new(AtomicU64::new(0));
        let mut task = Task {
            reader: source.reader(),
            source,
            status: Arc::clone(&status),
            parts,
            kept: Arc::clone(&kept),
            throttle: around.throttle,
            pass: Arc::clone(&pass),
            last: None,
        };
        task.recall();
        let begin: Option<Pin<Box<dyn Future<Output = ()> + Send>>> = match around.follows {
            true => Some(Box::pin(task.run())),
            false => None,
        };
        Box::new(Self { name, status, latest, begin, task: None, kept, told: None, pass })
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
        self.kept.write();
    }
}

impl Provider for Link {
    fn name(&self) -> &'static str {
        self.name
    }

    fn read(&mut self, _all: bool) -> Reading {
        let part = self.latest.borrow_and_update().clone();
        let text = |part| Text { file: PathBuf::from(self.name), content: Content::Read(part) };
        Reading { texts: part.map(text).into_iter().collect(), failed: None }
    }

    fn changed(&mut self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        if let Some(begin) = self.begin.take() {
            self.task = Some(tokio::spawn(begin));
        }
        if let Some(told) = self.told.take() {
            let micros = u64::try_from(told.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.pass.store(micros, Relaxed);
        }
        Box::pin(async {
            if self.latest.changed().await.is_err() {
                std::future::pending().await
            }
            self.told = Some(Instant::now());
        })
    }

    fn keep(&self) {
        self.kept.write();
    }

    fn status(&self) -> Option<Arc<Status>> {
        Some(Arc::clone(&self.status))
    }
}

/// What runs beside the writer.
struct Task<S: Source> {
    source: S,
    reader: Reader<S::State>,
    status: Arc<Status>,
    parts: watch::Sender<Option<Arc<Part>>>,
    kept: Arc<Kept<S::State>>,
    throttle: Duration,
    /// What it takes to bring a part into force: [`Link::pass`].
    pass: Arc<AtomicU64>,
    /// Read last.
    last: Option<Arc<S::State>>,
}

impl<S: Source> Task<S> {
    /// Reads what the last run kept.
    fn recall(&mut self) {
        match self.kept.recall() {
            Ok(Some(state)) => {
                self.status.change().is_kept = true;
                digest(
                    Arc::new(state),
                    &mut self.reader,
                    &self.status,
                    &self.parts,
                    &mut self.last,
                );
            }
            Ok(None) => {}
            // It only ever helps while the source is away.
            Err(error) => {
                tracing::warn!(%error, provider = self.source.name(), "kept state is lost")
            }
        }
    }

    async fn run(self) {
        let Self { source, mut reader, status, parts, kept, throttle, pass, mut last } = self;
        let (states_in, mut states) = watch::channel(last.clone());
        let backoff = Arc::new(Mutex::new(Backoff::new()));
        let outlet = Outlet {
            states: states_in,
            status: Arc::clone(&status),
            backoff: Arc::clone(&backoff),
        };
        let following = async {
            loop {
                let Err(error) = source.follow(&outlet).await;
                let pause = backoff.lock().unwrap_or_else(PoisonError::into_inner).next();
                tracing::warn!(provider = source.name(), %error, "lost: trying again in {pause:?}");
                status.failed(&error);
                sleep(pause).await;
            }
        };
        let reading = async {
            while states.changed().await.is_ok() {
                sleep(REST).await;
                let Some(state) = states.borrow_and_update().clone() else { continue };
                let begun = Instant::now();
                if tokio::task::block_in_place(|| {
                    digest(Arc::clone(&state), &mut reader, &status, &parts, &mut last)
                }) {
                    kept.hold(state);
                }
                // A source that floods leaves room for all else.
                let pass = Duration::from_micros(pass.load(Relaxed));
                sleep(throttle.max(begun.elapsed() * 2).max(pass)).await;
            }
        };
        tokio::join!(following, reading, Arc::clone(&kept).written());
    }
}

/// Reads a state and hands it over; whether it is to be kept.
fn digest<S: PartialEq>(
    state: Arc<S>,
    reader: &mut Reader<S>,
    status: &Status,
    parts: &watch::Sender<Option<Arc<Part>>>,
    last: &mut Option<Arc<S>>,
) -> bool {
    if last.as_ref() == Some(&state) {
        return false;
    }
    let Outcome { parsed, out, serving, skipped } = reader(&state);
    let is_sound = parsed.faults.is_empty();
    *last = Some(state);
    parts.send_replace(Some(Arc::new(Part { stamp: fastrand::u64(..), parsed, out })));
    let mut seen = status.change();
    seen.updates += 1;
    seen.updated = Some(now());
    if is_sound {
        (seen.serving, seen.skipped) = (serving, skipped);
    }
    is_sound
}

mod keep;
#[cfg(test)]
mod tests;
