//! Buffers that a worker lends while bytes are there: an idle connection holds none.

use std::cell::RefCell;

/// Bytes of a buffer for heads and small bodies.
pub(crate) const SMALL: usize = 16 * 1024;
/// A buffer that has grown beyond this is let go.
const MOST: usize = 64 * 1024;
/// Buffers that are kept.
const KEPT: usize = 256;

/// A worker's buffers.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    small: RefCell<Vec<Vec<u8>>>,
}

impl Buffers {
    /// An empty buffer of at least [`SMALL`] bytes.
    pub(crate) fn small(&self) -> Vec<u8> {
        self.small.borrow_mut().pop().unwrap_or_else(|| Vec::with_capacity(SMALL))
    }

    /// Takes one back; one that has grown far is let go.
    pub(crate) fn give_back(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        if !(SMALL..=MOST).contains(&buffer.capacity()) {
            return;
        }
        let mut kept = self.small.borrow_mut();
        if kept.len() < KEPT {
            kept.push(buffer);
        }
    }
}
