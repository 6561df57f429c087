//! Follows `providers.file` by inotify, with a slow look of its own beside it for what that misses
//! (network file systems, lost events).

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _,
    event::{AccessKind, AccessMode, ModifyKind},
};
use tokio::{
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    time::{Instant, sleep_until},
};

use super::fingerprint::{Fingerprint, Trail};
use crate::model::FileProvider;

/// Without change before a file counts as whole.
const REST: Duration = Duration::from_millis(100);
/// Between looks without events.
const LOOK: Duration = Duration::from_secs(2);

/// Tells when the files have changed and come to rest.
pub(super) struct Watcher {
    settings: FileProvider,
    throttle: Duration,
    /// `None` where the kernel grants no more watches: looking must do.
    notify: Option<RecommendedWatcher>,
    events: UnboundedReceiver<notify::Result<Event>>,
    folders: BTreeSet<PathBuf>,
    trail: Trail,
    /// Written to and not closed yet.
    open: BTreeSet<PathBuf>,
    /// When what has changed is to be told.
    due: Option<Instant>,
    /// When it was told last.
    told: Option<Instant>,
    next_look: Instant,
    /// As read last.
    read: Fingerprint,
    /// As looked at last.
    seen: Fingerprint,
}

impl Watcher {
    /// Begins with [`Watcher::follow`].
    pub(super) fn new(settings: FileProvider, throttle: Duration) -> Self {
        let (sender, events) = unbounded_channel();
        // The receiver's end is the watcher's end: nobody is left to be told.
        let handler = move |event| drop(sender.send(event));
        let notify = notify::recommended_watcher(handler)
            .inspect_err(|error| tracing::warn!(%error, "no inotify: looking for changes instead"))
            .ok();
        Self {
            settings,
            throttle,
            notify,
            events,
            folders: BTreeSet::new(),
            trail: Trail::default(),
            open: BTreeSet::new(),
            due: None,
            told: None,
            next_look: now(),
            read: Fingerprint::default(),
            seen: Fingerprint::default(),
        }
    }

    /// Watches the folders that count now. To be called before the files are read, so that no
    /// change is lost in between.
    pub(super) fn follow(&mut self) {
        self.trail = Trail::of(&self.settings);
        let folders = self.trail.folders();
        if let Some(notify) = &mut self.notify {
            for folder in self.folders.difference(&folders) {
                // It may be gone already, and its watch with it.
                let _ = notify.unwatch(folder);
            }
            // All of them: a folder removed and made anew has lost its watch.
            for folder in &folders {
                if let Err(error) = notify.watch(folder, RecursiveMode::NonRecursive) {
                    tracing::warn!(folder = %folder.display(), %error, "can't watch");
                }
            }
        }
        self.folders = folders;
        self.read = Fingerprint::take(&self.settings);
        self.seen = self.read.clone();
    }

    /// Whether a file as configured is being written.
    pub(super) fn is_open(&self, file: &Path) -> bool {
        self.trail.ends.get(file).is_some_and(|end| self.open.contains(end))
    }

    /// Resolves when something has changed and come to rest. Dropping the future loses nothing.
    pub(super) async fn changed(&mut self) {
        loop {
            let wake = self.due.map_or(self.next_look, |due| due.min(self.next_look));
            tokio::select! {
                Some(event) = self.events.recv() => self.note(event),
                () = sleep_until(wake) => {}
            }
            if self.next_look <= now() {
                self.look();
            }
            if self.due.is_some_and(|due| due <= now()) {
                self.due = None;
                self.told = Some(now());
                return;
            }
        }
    }

    fn note(&mut self, event: notify::Result<Event>) {
        let Ok(event) = event else {
            self.touch();
            return;
        };
        if event.need_rescan() || event.paths.is_empty() {
            self.open.clear();
            self.touch();
            return;
        }
        for path in event.paths {
            if !self.trail.concerns(&path) {
                continue;
            }
            match event.kind {
                EventKind::Access(AccessKind::Close(AccessMode::Write)) => {
                    self.open.remove(&path);
                    self.touch();
                }
                EventKind::Access(_) => {}
                EventKind::Modify(ModifyKind::Data(_)) => {
                    self.open.insert(path);
                }
                _ => {
                    self.open.remove(&path);
                    self.touch();
                }
            }
        }
    }

    /// Looks for itself: what differs from what was read, and hasn't changed since the last look,
    /// is told.
    fn look(&mut self) {
        self.next_look = now() + LOOK;
        let state = Fingerprint::take(&self.settings);
        if state != self.read && state == self.seen && self.due.is_none() && self.open.is_empty() {
            self.due = Some(self.earliest(now()));
        }
        self.seen = state;
    }

    fn touch(&mut self) {
        self.due = Some(self.earliest(now() + REST));
    }

    /// Not before the throttle allows.
    fn earliest(&self, at: Instant) -> Instant {
        self.told.map_or(at, |told| at.max(told + self.throttle))
    }
}

fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests;
