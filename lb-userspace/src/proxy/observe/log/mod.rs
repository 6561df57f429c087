//! The access log: workers collect lines, a thread of its own writes them. No request ever waits
//! for it: where too many lines wait to be written, further ones are counted and left out.

mod file;
mod line;
#[cfg(test)]
mod tests;
mod text;

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
        mpsc,
    },
    time::{Duration, SystemTime},
};

use line::{Facts, Kept};

use super::{
    Entry, Exchange, Route, Worker,
    batch::{Batch, Taker},
};
use crate::{model::AccessLog, proxy::table::Target};

/// A log that is open.
#[derive(Debug)]
pub(crate) struct Log {
    settings: Arc<AccessLog>,
    kept: Kept,
    counts: Arc<Counts>,
    orders: mpsc::Sender<Order>,
}

/// What outlives changes of the settings.
#[derive(Debug, Default)]
struct Counts {
    /// Lines made, those left out included.
    lines: AtomicU64,
    /// Lines left out.
    dropped: AtomicU64,
    /// Lines that wait to be written.
    waiting: AtomicUsize,
}

/// What the writing thread is told.
enum Order {
    /// So many lines.
    Lines(Vec<u8>, usize),
    /// The file was moved away: go on in a new one.
    Reopen,
    /// Say when all before this is written.
    Sync(mpsc::SyncSender<()>),
}

impl Log {
    /// Opens the file and starts the thread. `old`: the one whose counts go on.
    ///
    /// # Errors
    /// The file can't be opened, or there can be no thread.
    pub(crate) fn start(settings: &Arc<AccessLog>, old: Option<&Self>) -> io::Result<Self> {
        let out = file::Out::open(settings.file.as_deref())?;
        let (orders, inbox) = mpsc::channel();
        let counts = old.map(|old| Arc::clone(&old.counts)).unwrap_or_default();
        let kept = Kept::new(settings);
        let of_thread = Arc::clone(&counts);
        std::thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || write(out, &inbox, &of_thread))?;
        Ok(Self { settings: Arc::clone(settings), kept, counts, orders })
    }

    /// What it was made from.
    pub(crate) fn settings(&self) -> &Arc<AccessLog> {
        &self.settings
    }

    /// Goes on in a file of the same name, where the old one was moved away.
    pub(crate) fn reopen(&self) {
        let _ended = self.orders.send(Order::Reopen);
    }

    /// Waits until what was handed over is written, for `patience` at most.
    pub(crate) fn sync(&self, patience: Duration) {
        let (done, written) = mpsc::sync_channel(1);
        if self.orders.send(Order::Sync(done)).is_ok() {
            let _late = written.recv_timeout(patience);
        }
    }

    /// Lines that were left out.
    pub(crate) fn dropped(&self) -> u64 {
        self.counts.dropped.load(Relaxed)
    }

    /// Whether the filters let an exchange through: one of those that are set has to.
    fn wants(&self, exchange: &Exchange, took: Duration) -> bool {
        let AccessLog { status_codes, retry_attempts, min_duration, .. } = &*self.settings;
        if status_codes.is_empty() && !retry_attempts && min_duration.is_zero() {
            return true;
        }
        let status = exchange.answer.head.status();
        status_codes.iter().any(|(first, last)| (*first..=*last).contains(&status))
            || *retry_attempts && exchange.retries > 0
            || !min_duration.is_zero() && took >= *min_duration
    }

    /// Whether there is room for a line beside `lines` that a worker has collected already. What
    /// other workers have collected and not handed over is not looked at: each has an eighth of the
    /// buffer at most.
    fn admits(&self, lines: usize) -> bool {
        let waiting = self.counts.waiting.load(Relaxed) + lines;
        let is_admitted = waiting < self.settings.buffering as usize;
        if !is_admitted {
            self.counts.dropped.fetch_add(1, Relaxed);
        }
        is_admitted
    }
}

impl Taker for Log {
    fn take(&self, bytes: Vec<u8>, lines: usize) {
        self.counts.waiting.fetch_add(lines, Relaxed);
        let _ended = self.orders.send(Order::Lines(bytes, lines));
    }
}

/// Lines that a worker has collected.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    batch: Batch<Log>,
    stamp: text::Stamp,
}

impl Lines {
    fn add(&mut self, log: &Arc<Log>, mut facts: Facts<'_>) {
        if !log.wants(facts.exchange, facts.took) {
            return;
        }
        self.batch.turn_to(log);
        facts.count = log.counts.lines.fetch_add(1, Relaxed) + 1;
        if !log.admits(self.batch.count) {
            return;
        }
        line::write(&mut self.batch.bytes, &log.settings, &log.kept, &facts, &mut self.stamp);
        self.batch.put(1, (log.settings.buffering as usize).div_ceil(8));
    }

    /// Hands over what there is.
    pub(crate) fn flush(&mut self) {
        self.batch.flush();
    }
}

/// Logs an exchange that is over.
pub(super) fn line(
    worker: &Worker,
    log: &Arc<Log>,
    entry: &Entry,
    route: Option<&Route>,
    exchange: &Exchange,
    took: Duration,
) {
    let is_internal = route.is_some_and(|route| matches!(route.target, Target::Internal(_)));
    if is_internal && !log.settings.internals {
        return;
    }
    let facts = Facts {
        exchange,
        entry_point: &entry.name,
        router: route.map(|route| &route.id),
        service: match &exchange.service {
            Some(service) => Some(service.id()),
            None => route.map(|route| &route.service),
        },
        took,
        now: SystemTime::now(),
        count: 0,
    };
    worker.lines.borrow_mut().add(log, facts);
}

/// Writes until nobody is left who hands over.
fn write(mut out: file::Out, inbox: &mpsc::Receiver<Order>, counts: &Counts) {
    while let Ok(order) = inbox.recv() {
        match order {
            Order::Lines(bytes, lines) => {
                if let Err(error) = out.write(&bytes) {
                    tracing::warn!("{} lines of the access log are lost: {error}", lines);
                    counts.dropped.fetch_add(lines as u64, Relaxed);
                }
                counts.waiting.fetch_sub(lines, Relaxed);
            }
            Order::Reopen => {
                if let Err(error) = out.reopen() {
                    tracing::error!("the access log goes on in the old file: {error}");
                }
            }
            Order::Sync(done) => drop(done.send(())),
        }
    }
}
