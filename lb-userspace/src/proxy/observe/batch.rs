//! What a worker collects for a thread that writes or sends it, so that a request takes no lock for it
//! and makes no system call.

use std::sync::Arc;

/// Bytes that a worker collects before it hands them over; what is less goes at the next tick.
const ENOUGH: usize = 32 * 1024;

/// Who takes what was collected.
pub(crate) trait Taker {
    /// Takes so many lines or spans.
    fn take(&self, bytes: Vec<u8>, count: usize);
}

/// What was collected for one of them.
#[derive(Debug)]
pub(crate) struct Batch<T> {
    taker: Option<Arc<T>>,
    pub(super) bytes: Vec<u8>,
    /// Lines or spans.
    pub(super) count: usize,
}

impl<T: Taker> Batch<T> {
    /// What comes now is for this one: what another one gets is handed over.
    pub(super) fn turn_to(&mut self, taker: &Arc<T>) {
        if self.taker.as_ref().is_none_or(|other| !Arc::ptr_eq(other, taker)) {
            self.flush();
            self.taker = Some(Arc::clone(taker));
        }
    }

    /// Counts what was put behind `bytes`, and hands over if it is enough.
    pub(super) fn put(&mut self, count: usize, most: usize) {
        self.count += count;
        if self.bytes.len() >= ENOUGH || self.count >= most {
            self.flush();
        }
    }

    /// Hands over what there is.
    pub(crate) fn flush(&mut self) {
        if self.count == 0 {
            // One that is no longer in force is not to be kept open by an idle worker.
            if self.taker.as_ref().is_some_and(|taker| Arc::strong_count(taker) == 1) {
                self.taker = None;
            }
            return;
        }
        let Some(taker) = &self.taker else { return };
        let fresh = Vec::with_capacity(self.bytes.capacity());
        taker.take(std::mem::replace(&mut self.bytes, fresh), std::mem::take(&mut self.count));
    }
}

impl<T> Default for Batch<T> {
    fn default() -> Self {
        Self { taker: None, bytes: Vec::new(), count: 0 }
    }
}
