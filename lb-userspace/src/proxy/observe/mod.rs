//! What is counted and logged of exchanges and connections.

mod batch;
pub(crate) mod log;
mod rate;
mod series;
#[cfg(feature = "otel")]
pub(crate) mod spans;
#[cfg(not(feature = "otel"))]
#[path = "no_spans.rs"]
pub(crate) mod spans;

use std::{
    collections::HashMap,
    hash::BuildHasherDefault,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    },
};

pub(crate) use rate::Rate;
pub(crate) use series::{Bounds, Counted, Key, Reading, Series};

use super::{
    Exchange,
    head::Version,
    table::{Entry, EntryTable, Route},
    upstream::ByWord,
    worker::Worker,
};
use crate::{
    balance::Group,
    model::{MetricsSettings, Observability},
};

/// What the settings ask for; the same for all entry points, swapped when it changes.
#[derive(Debug)]
pub(crate) struct Observing {
    pub(crate) metrics: MetricsSettings,
    pub(crate) bounds: Arc<Bounds>,
    pub(crate) log: Option<Arc<log::Log>>,
    pub(crate) spans: Option<Arc<spans::Spans>>,
}

impl Observing {
    pub(crate) fn new(
        metrics: MetricsSettings,
        log: Option<Arc<log::Log>>,
        spans: Option<Arc<spans::Spans>>,
    ) -> Self {
        Self { bounds: Arc::new(Bounds::new(&metrics.buckets)), metrics, log, spans }
    }
}

impl Default for Observing {
    fn default() -> Self {
        Self::new(MetricsSettings::default(), None, None)
    }
}

/// Counters of an entry point.
#[derive(Debug, Default)]
pub(crate) struct EntryStats {
    /// Of its requests.
    pub(crate) requests: Series,
    /// Connections that are open now.
    pub(crate) open: AtomicI64,
    /// Connections accepted.
    pub(crate) accepted: AtomicU64,
    refused: Reasons,
    replies: Reasons,
}

impl EntryStats {
    /// What came and was no request, by reason.
    pub(crate) fn refused(&self) -> Vec<(&'static str, u64)> {
        self.refused.read()
    }

    /// Answers of lb's own, by reason.
    pub(crate) fn replies(&self) -> Vec<(&'static str, u64)> {
        self.replies.read()
    }
}

/// Counters of a router.
#[derive(Debug, Default)]
pub(crate) struct RouteStats {
    /// Of its requests, where the settings ask for it.
    pub(crate) requests: Series,
}

/// Counters of a service and of its servers.
#[derive(Debug, Default)]
pub(crate) struct ServiceStats {
    /// Of its requests, those included that no server got.
    pub(crate) requests: Series,
    pub(crate) rate: Rate,
    /// Attempts beyond the first.
    pub(crate) retries: AtomicU64,
}

/// Counters of a server.
#[derive(Debug, Default)]
pub(crate) struct ServerStats {
    /// Of the requests that it was asked last.
    pub(crate) requests: Series,
    pub(crate) rate: Rate,
}

/// Counters of a service's servers, by the servers' ids.
pub(crate) type Servers = HashMap<u64, Arc<ServerStats>, BuildHasherDefault<ByWord>>;

/// Counters of a group's servers; those that were there go on.
pub(crate) fn servers(group: &Group, old: Option<&Servers>) -> Servers {
    let of = |id| old.and_then(|old| old.get(&id)).cloned().unwrap_or_default();
    group.servers().iter().map(|server| (server.id(), of(server.id()))).collect()
}

/// Counts by reasons, of which there are few: a lock is taken on paths that end badly alone.
#[derive(Debug, Default)]
struct Reasons(std::sync::Mutex<Vec<(&'static str, u64)>>);

impl Reasons {
    fn count(&self, reason: &'static str) {
        let mut all = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match all.iter_mut().find(|(other, _)| *other == reason) {
            Some((_, count)) => *count += 1,
            None => all.push((reason, 1)),
        }
    }

    fn read(&self) -> Vec<(&'static str, u64)> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}

/// An exchange is over.
pub(crate) fn finished(
    worker: &Worker,
    entry: &Entry,
    table: &EntryTable,
    route: Option<&Route>,
    exchange: &Exchange,
) {
    let took = exchange.started.elapsed();
    let request = Counted {
        key: key(exchange),
        took,
        bytes: (exchange.bytes_in, exchange.bytes_out),
        worker: worker.number,
    };
    let observing = entry.observing.load();
    let of_entry = table.options.observability;
    let of_route = route.map_or(Observability::default(), |route| route.observability);
    let (logs, counts, _) = of_route.over(&of_entry);
    if of_entry.metrics.unwrap_or(true) {
        entry.stats.requests.count(&observing.bounds, &request);
    }
    if let Some(route) = route.filter(|_| counts) {
        if observing.metrics.routers {
            route.stats.requests.count(&observing.bounds, &request);
        }
        if let Some(service) = &exchange.service {
            service.stats.requests.count(&observing.bounds, &request);
            if exchange.retries > 0 {
                service.stats.retries.fetch_add(u64::from(exchange.retries), Relaxed);
            }
            let server = exchange.server.as_ref();
            if let Some(stats) = server.and_then(|server| service.servers.get(&server.id())) {
                stats.requests.count(&observing.bounds, &request);
            }
        }
    }
    if let Some(reason) = exchange.answer.reason {
        entry.stats.replies.count(reason);
    }
    if let Some(reason) = exchange.broke {
        entry.stats.replies.count(reason);
    }
    if let Some(log) = observing.log.as_ref().filter(|_| logs) {
        log::line(worker, log, entry, route, exchange, took);
    }
    spans::finished(worker, route, exchange);
}

/// What came was no request.
pub(crate) fn refused(entry: &Entry, reason: &'static str) {
    entry.stats.refused.count(reason);
}

fn key(exchange: &Exchange) -> Key {
    let is_upgrade = exchange.answer.head.status() == 101;
    Key {
        code: exchange.answer.head.status(),
        method: series::method(exchange.request.method()),
        protocol: match (is_upgrade, exchange.request.version()) {
            (true, _) => 2,
            (false, Version::Http2) => 1,
            (false, _) => 0,
        },
    }
}
