//! The one writer of the registry: grants wishes in the order in which they come, puts what they
//! change on disk, many at a time, and only then tells those who asked and those who watch.

use std::{
    io,
    path::Path,
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

use tokio::sync::{mpsc, oneshot, watch};

use super::{
    change::{Change, Refusal, Wish, decide},
    log::{Log, Replay},
    state::State,
};

/// Wishes that may wait.
const QUEUE: usize = 4096;
/// Wishes that one write to disk takes.
const AT_ONCE: usize = 1024;

type Reply = oneshot::Sender<Result<bool, Refusal>>;

/// Where wishes go and what is known is read.
#[derive(Debug)]
pub(crate) struct Hub {
    state: Arc<RwLock<State>>,
    wishes: mpsc::Sender<(Wish, Option<Reply>)>,
    latest: watch::Receiver<u64>,
    unwritten: Arc<AtomicU64>,
    closed: Arc<AtomicBool>,
}

/// What the writer's thread has.
struct Writer {
    state: Arc<RwLock<State>>,
    log: Log,
    latest: watch::Sender<u64>,
    unwritten: Arc<AtomicU64>,
    closed: Arc<AtomicBool>,
}

fn read(state: &RwLock<State>) -> RwLockReadGuard<'_, State> {
    state.read().unwrap_or_else(PoisonError::into_inner)
}

impl Hub {
    /// Opens the log; its notices come along. The writer ends with the last hub.
    ///
    /// # Errors
    /// The log can't be read or written.
    pub(crate) fn open(path: &Path) -> io::Result<(Self, Vec<String>)> {
        let (log, Replay { state, notices }) = Log::open(path)?;
        let (sender, latest) = watch::channel(state.index);
        let state = Arc::new(RwLock::new(state));
        let (wishes, queue) = mpsc::channel(QUEUE);
        let unwritten = Arc::<AtomicU64>::default();
        let closed = Arc::<AtomicBool>::default();
        let hub = Self {
            state: state.clone(),
            wishes,
            latest,
            unwritten: unwritten.clone(),
            closed: closed.clone(),
        };
        let writer = Writer { state, log, latest: sender, unwritten, closed };
        std::thread::Builder::new().name("registry".to_owned()).spawn(|| writer.run(queue))?;
        Ok((hub, notices))
    }

    /// Writes nothing any more: the log belongs to somebody else.
    pub(crate) fn close(&self) {
        self.closed.store(true, Relaxed);
    }

    /// What is known now.
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, State> {
        read(&self.state)
    }

    /// Asks for a change and waits until it is on disk. Says whether its `cas` held.
    pub(crate) async fn wish(&self, wish: Wish) -> Result<bool, Refusal> {
        let (reply, answer) = oneshot::channel();
        let ended = || Refusal::Disk("the registry is ending".to_owned());
        self.wishes.send((wish, Some(reply))).await.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }

    /// Asks for a change and doesn't wait.
    pub(crate) async fn tell(&self, wish: Wish) {
        let _ending = self.wishes.send((wish, None)).await;
    }

    /// The latest index, to be waited upon.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.latest.clone()
    }

    /// Changes that were refused because the disk didn't take them.
    pub(crate) fn unwritten(&self) -> u64 {
        self.unwritten.load(Relaxed)
    }
}

impl Writer {
    fn run(mut self, mut queue: mpsc::Receiver<(Wish, Option<Reply>)>) {
        let mut batch = Vec::new();
        while queue.blocking_recv_many(&mut batch, AT_ONCE) > 0 {
            self.grant(batch.drain(..));
        }
    }

    fn grant(&mut self, batch: impl Iterator<Item = (Wish, Option<Reply>)>) {
        if self.closed.load(Relaxed) {
            // Whoever waits for a reply learns that there is none.
            return drop(batch);
        }
        let now = Instant::now();
        let (mut changes, mut replies) = (Vec::new(), Vec::new());
        for (wish, reply) in batch {
            let decision = decide(&self.read(), &wish);
            let result = decision.map(|decision| {
                self.apply(decision.changes, now, &mut changes);
                decision.holds
            });
            replies.extend(reply.map(|reply| (reply, result)));
        }
        let failed = self.put(&changes).err();
        for (reply, result) in replies {
            let result = match &failed {
                Some(why) => Err(Refusal::Disk(why.clone())),
                None => result,
            };
            let _gone = reply.send(result);
        }
        if !changes.is_empty() {
            self.latest.send_replace(self.read().index);
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        read(&self.state)
    }

    fn apply(&self, wanted: Vec<Change>, now: Instant, done: &mut Vec<(u64, Change)>) {
        if wanted.is_empty() {
            return;
        }
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        for change in wanted {
            let index = state.index.max(1) + 1;
            state.apply(index, change.clone(), now);
            done.push((index, change));
        }
    }

    /// Puts changes on disk. What the disk doesn't take is undone.
    fn put(&mut self, changes: &[(u64, Change)]) -> Result<(), String> {
        if changes.is_empty() {
            return Ok(());
        }
        let Err(error) = self.log.append(changes) else {
            if let Err(error) = self.log.tighten(&read(&self.state)) {
                tracing::warn!("the registry's log can't be rewritten: {error}");
            }
            return Ok(());
        };
        tracing::error!("the registry's log can't be written: {error}");
        self.unwritten.fetch_add(changes.len() as u64, Relaxed);
        if let Ok(mut before) = self.log.reread() {
            let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
            before.index = state.index;
            *state = before;
        }
        Err(error.to_string())
    }
}
