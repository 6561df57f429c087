//! What a source said last, on disk for the next start.

use std::{
    io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde::{Serialize, de::DeserializeOwned};
use tokio::{sync::Notify, time::sleep};

use crate::state;

/// Between writes while a source goes on changing.
const REST: Duration = Duration::from_secs(1);
/// Writing takes one part in so many of the time.
const SHARE: u32 = 50;

/// What can write down the state that it holds.
pub(super) trait Keep: Send + Sync {
    /// Writes the state if it isn't on disk yet.
    fn write(&self);
}

/// The last good state of one source.
pub(super) struct Kept<S> {
    name: &'static str,
    /// None keeps nothing.
    path: Option<PathBuf>,
    /// Held while it is written, so that an older state never replaces a newer one.
    unwritten: Mutex<Option<Arc<S>>>,
    came: Notify,
}

impl<S> Kept<S> {
    pub(super) fn new(name: &'static str, path: Option<PathBuf>) -> Self {
        Self { name, path, unwritten: Mutex::default(), came: Notify::new() }
    }

    /// This state is to be written within [`REST`].
    pub(super) fn hold(&self, state: Arc<S>) {
        *self.unwritten.lock().unwrap_or_else(PoisonError::into_inner) = Some(state);
        self.came.notify_one();
    }
}

impl<S: DeserializeOwned> Kept<S> {
    /// What the last run kept.
    ///
    /// # Errors
    /// It can't be read.
    pub(super) fn recall(&self) -> io::Result<Option<S>> {
        self.path.as_ref().map_or(Ok(None), |path| state::load(path))
    }
}

impl<S: Serialize + Send + Sync> Keep for Kept<S> {
    fn write(&self) {
        let Some(path) = &self.path else { return };
        let mut unwritten = self.unwritten.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(state) = unwritten.take()
            && let Err(error) = state::store(path, &state)
        {
            tracing::warn!(%error, provider = self.name, "can't be kept for the next start");
        }
    }
}

impl<S: Serialize + Send + Sync + 'static> Kept<S> {
    /// Writes what comes, one state a [`REST`] at most; whoever ends it calls [`Keep::write`].
    pub(super) async fn written(self: Arc<Self>) {
        loop {
            self.came.notified().await;
            let (kept, begun) = (Arc::clone(&self), Instant::now());
            // A panic of the writer is told by its hook; the next state is tried again.
            let _ = tokio::task::spawn_blocking(move || kept.write()).await;
            sleep(REST.max(begun.elapsed() * SHARE)).await;
        }
    }
}
