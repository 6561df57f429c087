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
use crate::model::Tracing;

/// Bytes of spans that may wait: as many as ten thousand requests have, or more.
const QUEUE: usize = 8 << 20;
/// Bytes that a worker collects before it hands them over; what is less goes at the next tick.
const BATCH: usize = 32 * 1024;

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

/// Spans that a worker has collected.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Whose they are.
    spans: Option<Arc<Spans>>,
    bytes: Vec<u8>,
    count: u64,
}

impl Batch {
    /// Takes spans of one request, encoded.
    pub(super) fn add(&mut self, spans: &Arc<Spans>, bytes: &[u8], count: u64) {
        if !spans.counts.admits(bytes.len()) {
            return spans.counts.drop_spans(Dropped::QueueFull, count);
        }
        if self.spans.as_ref().is_none_or(|other| !Arc::ptr_eq(other, spans)) {
            self.flush();
            self.spans = Some(Arc::clone(spans));
        }
        self.bytes.extend_from_slice(bytes);
        self.count += count;
        if self.bytes.len() >= BATCH {
            self.flush();
        }
    }

    /// Hands over what there is.
    pub(crate) fn flush(&mut self) {
        if self.count == 0 {
            // Those that are no longer in force are not to be kept by an idle worker.
            if self.spans.as_ref().is_some_and(|spans| Arc::strong_count(spans) == 1) {
                self.spans = None;
            }
            return;
        }
        let Some(spans) = &self.spans else { return };
        let (bytes, count) = (std::mem::take(&mut self.bytes), std::mem::take(&mut self.count));
        let length = bytes.len();
        if spans.orders.send(Order::Spans(bytes, count)).is_err() {
            spans.counts.done(length);
            spans.counts.drop_spans(Dropped::Ended, count);
        }
    }
}
