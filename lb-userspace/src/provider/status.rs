//! How a provider's source is doing: for `lb status`, the API and the metrics.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use super::discovery::{Reason, Skipped};
use crate::api::types::{ProviderStatus, SkippedInstance};

/// Of one provider, kept by its [`super::Link`].
#[derive(Debug)]
pub struct Status {
    name: &'static str,
    endpoint: String,
    seen: Mutex<Seen>,
}

/// What has been seen until now.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// Unix time; `None` while there is no connection.
    pub(crate) connected_since: Option<u64>,
    /// The latest, and when.
    pub(crate) error: Option<(u64, String)>,
    /// Failures since the start.
    pub(crate) failures: u64,
    /// States taken since the start, and when the latest was.
    pub(crate) updates: u64,
    pub(crate) updated: Option<u64>,
    /// Whether what applies is of an earlier run: the source hasn't answered in this one.
    pub(crate) is_kept: bool,
    /// Instances that serve; of a key-value store keys.
    pub(crate) serving: usize,
    /// Instances that don't.
    pub(crate) skipped: Vec<Skipped>,
}

impl Status {
    pub(super) fn new(name: &'static str, endpoint: String) -> Self {
        Self { name, endpoint, seen: Mutex::default() }
    }

    /// The provider's name.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    pub(super) fn change(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn connected(&self) {
        let mut seen = self.change();
        seen.connected_since.get_or_insert_with(now);
    }

    pub(super) fn failed(&self, error: &str) {
        self.troubled(error, true);
    }

    /// A part fails, or the whole.
    pub(super) fn troubled(&self, error: &str, is_lost: bool) {
        let mut seen = self.change();
        if is_lost {
            seen.connected_since = None;
        }
        seen.failures += 1;
        seen.error = Some((now(), error.to_owned()));
    }

    /// Until now.
    pub(crate) fn seen(&self) -> Seen {
        self.change().clone()
    }

    /// Instances that serve nothing, by reason.
    pub(crate) fn skipped(&self) -> BTreeMap<Reason, usize> {
        let mut counts = BTreeMap::new();
        for skipped in &self.change().skipped {
            *counts.entry(skipped.reason).or_default() += 1;
        }
        counts
    }

    /// As `lb status` shows it.
    pub(crate) fn row(&self) -> ProviderStatus {
        let seen = self.seen();
        let skipped = seen.skipped.into_iter().map(|skipped| SkippedInstance {
            instance: skipped.instance,
            reason: skipped.reason.label().to_owned(),
            detail: skipped.detail,
        });
        ProviderStatus {
            name: self.name.to_owned(),
            source: self.endpoint.clone(),
            follows: true,
            connected_since: seen.connected_since,
            last_error: seen.error.map(|(_, error)| error),
            failures: seen.failures,
            updates: seen.updates,
            last_update: seen.updated,
            kept: seen.is_kept,
            serving: seen.serving,
            skipped: skipped.collect(),
        }
    }
}

pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
