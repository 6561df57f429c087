//! Connections kept alive, by server; each worker has its own.

use std::{cell::RefCell, collections::HashMap, time::Instant};

use super::Conn;

/// Idle connections, the one used last taken first.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    idle: RefCell<HashMap<u64, Vec<Idle>, std::hash::BuildHasherDefault<ByWord>>>,
}

#[derive(Debug)]
struct Idle {
    conn: Conn,
    until: Instant,
}

/// Server ids are counted up: they hash to themselves.
#[derive(Debug, Default)]
pub(crate) struct ByWord(u64);

impl std::hash::Hasher for ByWord {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.wrapping_mul(31).wrapping_add(u64::from(*byte));
        }
    }
    fn write_u64(&mut self, word: u64) {
        self.0 = word.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

impl Pool {
    /// One that is still alive.
    pub(crate) fn take(&self, server: u64) -> Option<Conn> {
        let mut idle = self.idle.borrow_mut();
        let kept = idle.get_mut(&server)?;
        while let Some(Idle { mut conn, .. }) = kept.pop() {
            if conn.is_alive() {
                return Some(conn);
            }
        }
        None
    }

    /// Keeps one until then, unless there are `most` of that server.
    pub(crate) fn keep(&self, server: u64, conn: Conn, most: u32, until: Instant) {
        let mut all = self.idle.borrow_mut();
        let kept = all.entry(server).or_default();
        if kept.len() < most as usize {
            kept.push(Idle { conn, until });
        }
    }

    /// Closes those that have been idle for too long or whose server is gone.
    pub(crate) fn sweep(&self, exists: impl Fn(u64) -> bool) {
        let now = Instant::now();
        self.idle.borrow_mut().retain(|server, kept| {
            match exists(*server) {
                true => kept.retain_mut(|idle| idle.until > now && idle.conn.is_alive()),
                false => kept.clear(),
            }
            !kept.is_empty()
        });
    }
}
