//! What waits to be sent, and what became of it.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::sync::mpsc;

use super::{context, export::Exporter};
use crate::{
    model::Tracing,
    proxy::observe::batch::{self, Taker},
};

/// Bytes of spans that may wait: as many as ten thousand requests have, or more.
const QUEUE: usize = 8 << 20;

/// How many [`Spans`] there are: while there is none, a request looks at this and no further.
static LIVE: AtomicUsize = AtomicUsize::new(0);

/// Whether any request may have to become a span.
pub(super) fn is_any() -> bool {
    LIVE.load(Relaxed) > 0
}

/// Where spans go, and which.
#[derive(Debug)]
pub(crate) struct Spans {
    settings: Arc<Tracing>,
    /// Of [`context::bound`].
    pub(super) bound: u64,
    counts: Arc<Counts>,
    trouble: Arc<Trouble>,
    orders: mpsc::UnboundedSender<Order>,
}

/// What the thread that sends is told.
pub(super) enum Order {
    /// So many spans, encoded.
    Spans(Vec<u8>, u64),
    /// Say when all before this is sent.
    Sync(std::sync::mpsc::SyncSender<()>),
}

/// Why a span reaches nobody.
#[derive(Clone, Copy, Debug)]
pub(super) enum Dropped {
    /// Too many wait already.
    QueueFull,
    /// The collector doesn't take it.
    Refused,
    /// `tracing` was changed or lb ended while the collector was away.
    Ended,
}

impl Dropped {
    const ALL: [(Self, &'static str); 3] =
        [(Self::QueueFull, "queue_full"), (Self::Refused, "refused"), (Self::Ended, "ended")];
}

/// What outlives changes of the settings.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) exported: AtomicU64,
    /// Attempts to send.
    pub(super) failures: AtomicU64,
    dropped: [AtomicU64; Dropped::ALL.len()],
    /// Bytes.
    waiting: AtomicUsize,
}

impl Counts {
    pub(super) fn drop_spans(&self, why: Dropped, count: u64) {
        self.dropped[why as usize].fetch_add(count, Relaxed);
    }

    /// So many bytes wait no longer.
    pub(super) fn done(&self, bytes: usize) {
        self.waiting.fetch_sub(bytes, Relaxed);
    }

    /// Whether there is room, which is taken.
    fn admits(&self, bytes: usize) -> bool {
        let is_admitted = self.waiting.fetch_add(bytes, Relaxed) + bytes <= QUEUE;
        if !is_admitted {
            self.done(bytes);
        }
        is_admitted
    }
}

/// Why the latest attempt failed, if it did.
#[derive(Debug, Default)]
pub(super) struct Trouble(Mutex<Option<String>>);

impl Trouble {
    pub(super) fn set(&self, why: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }
}

/// What became of spans.
pub(crate) struct Reading {
    pub(crate) exported: u64,
    /// By reason.
    pub(crate) dropped: [(&'static str, u64); Dropped::ALL.len()],
    /// Attempts to send that came to nothing.
    pub(crate) failures: u64,
}

impl Spans {
    /// Starts the thread that sends them. `old`: the one whose counts go on.
    ///
    /// # Errors
    /// A file that TLS needs can't be read, or there can be no thread.
    pub(crate) fn start(settings: &Arc<Tracing>, old: Option<&Self>) -> io::Result<Self> {
        let (orders, inbox) = mpsc::unbounded_channel();
        let counts = old.map(|old| Arc::clone(&old.counts)).unwrap_or_default();
        let trouble = Arc::<Trouble>::default();
        Exporter::start(settings, inbox, Arc::clone(&counts), Arc::clone(&trouble))?;
        LIVE.fetch_add(1, Relaxed);
        let bound = context::bound(settings.sample_rate);
        Ok(Self { settings: Arc::clone(settings), bound, counts, trouble, orders })
    }

    /// What it was made from.
    pub(crate) fn settings(&self) -> &Arc<Tracing> {
        &self.settings
    }

    /// Waits until what was handed over is sent, for `patience` at most.
    pub(crate) fn sync(&self, patience: Duration) {
        let (done, sent) = std::sync::mpsc::sync_channel(1);
        if self.orders.send(Order::Sync(done)).is_ok() {
            let _late = sent.recv_timeout(patience);
        }
    }

    /// Until now.
    pub(crate) fn reading(&self) -> Reading {
        let counts = &self.counts;
        Reading {
            exported: counts.exported.load(Relaxed),
            dropped: Dropped::ALL
                .map(|(why, label)| (label, counts.dropped[why as usize].load(Relaxed))),
            failures: counts.failures.load(Relaxed),
        }
    }

    /// Why spans don't reach the collector now, if they don't.
    pub(crate) fn trouble(&self) -> Option<String> {
        let why = self.trouble.0.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        let Reading { failures, dropped, .. } = self.reading();
        let dropped: u64 = dropped.iter().map(|(_, count)| count).sum();
        Some(format!(
            "tracing: spans don't reach the collector: {why} ({failures} attempts failed, {dropped} \
             spans dropped until now)"
        ))
    }
}

impl Drop for Spans {
    fn drop(&mut self) {
        LIVE.fetch_sub(1, Relaxed);
    }
}

impl Taker for Spans {
    fn take(&self, bytes: Vec<u8>, count: usize) {
        let (length, count) = (bytes.len(), count as u64);
        if self.orders.send(Order::Spans(bytes, count)).is_err() {
            self.counts.done(length);
            self.counts.drop_spans(Dropped::Ended, count);
        }
    }
}

/// Spans that a worker has collected.
pub(crate) type Batch = batch::Batch<Spans>;

impl Batch {
    /// Takes spans of one request, encoded.
    pub(super) fn add(&mut self, spans: &Arc<Spans>, bytes: &[u8], count: usize) {
        if !spans.counts.admits(bytes.len()) {
            return spans.counts.drop_spans(Dropped::QueueFull, count as u64);
        }
        self.turn_to(spans);
        self.bytes.extend_from_slice(bytes);
        self.put(count, usize::MAX);
    }
}
