//! What is counted and logged of exchanges and connections.

mod series;

use std::{
    sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

pub(crate) use series::{Key, Series};

use super::{
    Exchange,
    head::Version,
    table::{Entry, Route},
    worker::Worker,
};

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

/// Counters of a router, a service or a server.
#[derive(Debug, Default)]
pub(crate) struct RouteStats {
    /// Of its requests.
    pub(crate) requests: Series,
    /// Attempts beyond the first.
    pub(crate) retries: AtomicU64,
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
pub(crate) fn finished(worker: &Worker, entry: &Entry, route: Option<&Route>, exchange: &Exchange) {
    let took = exchange.started.elapsed();
    let key = key(exchange);
    let traffic = (exchange.bytes_in, exchange.bytes_out);
    entry.stats.requests.count(key, took, traffic);
    if let Some(route) = route {
        route.stats.requests.count(key, took, traffic);
        if exchange.retries > 0 {
            route.stats.retries.fetch_add(u64::from(exchange.retries), Relaxed);
        }
    }
    if let Some(reason) = exchange.answer.reason {
        entry.stats.replies.count(reason);
    }
    if let Some(reason) = exchange.broke {
        entry.stats.replies.count(reason);
    }
    log(worker, entry, route, exchange, took);
}

fn log(_: &Worker, _: &Entry, _: Option<&Route>, _: &Exchange, _: Duration) {}

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
