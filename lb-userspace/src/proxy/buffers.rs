//! Buffers that a worker lends while bytes are there: an idle connection holds none.

use std::cell::{Cell, RefCell};

/// Bytes of a buffer for heads and small bodies.
pub(crate) const SMALL: usize = 16 * 1024;
/// Bytes of a buffer for relaying.
pub(crate) const LARGE: usize = 64 * 1024;
/// Buffers that are kept of each kind.
const KEPT: usize = 256;

/// A worker's buffers.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    small: RefCell<Vec<Vec<u8>>>,
    large: RefCell<Vec<Vec<u8>>>,
    lent: Cell<usize>,
}

impl Buffers {
    /// An empty buffer of at least [`SMALL`] bytes.
    pub(crate) fn small(&self) -> Vec<u8> {
        self.lent.set(self.lent.get() + 1);
        self.small.borrow_mut().pop().unwrap_or_else(|| Vec::with_capacity(SMALL))
    }

    /// An empty buffer of at least [`LARGE`] bytes.
    pub(crate) fn large(&self) -> Vec<u8> {
        self.lent.set(self.lent.get() + 1);
        self.large.borrow_mut().pop().unwrap_or_else(|| Vec::with_capacity(LARGE))
    }

    /// Takes one back; one that has grown far is let go.
    pub(crate) fn give_back(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        let kept = match buffer.capacity() {
            SMALL..LARGE => &self.small,
            LARGE..=0x4_0000 => &self.large,
            _ => return,
        };
        let mut kept = kept.borrow_mut();
        if kept.len() < KEPT {
            kept.push(buffer);
        }
    }
}
