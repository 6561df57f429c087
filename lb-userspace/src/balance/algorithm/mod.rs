//! How one of several servers is chosen: each algorithm a file, and one line in [`algorithms!`] below.

pub(super) mod hashed;
mod least_conn;
mod least_time;
mod maglev;
mod p2c;
mod random;
mod round_robin;
mod source_hash;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use super::{Key, Server};
use crate::{model::Algorithm, plan::rotation};

/// An algorithm over servers that all take new requests, by their index.
pub(super) trait Choose: fmt::Debug + Send + Sync {
    /// One that `ask` accepts; `None` where this algorithm found none.
    fn choose(&self, servers: &[Arc<Server>], ask: &Ask<'_>) -> Option<usize>;
}

/// Who asks, and whom they don't want.
pub(super) struct Ask<'a> {
    pub(super) key: &'a Key<'a>,
    pub(super) avoid: &'a [u64],
    /// 0 where nothing depends on it.
    pub(super) now: u64,
}

impl Ask<'_> {
    /// Whether a server can be given.
    pub(super) fn accepts(&self, server: &Server) -> bool {
        !server.is_ejected_at(self.now) && !server.is_full() && !self.avoid.contains(&server.id())
    }
}

/// Declares the algorithms.
macro_rules! algorithms {
    ($($name:ident => $module:ident::$kind:ident,)+) => {
        /// The algorithm of a service over its servers.
        pub(super) fn of(algorithm: Algorithm, servers: &[Arc<Server>], cursor: &Arc<Cursor>) -> Box<dyn Choose> {
            let turns = Turns::new(servers, cursor);
            match algorithm {
                $(Algorithm::$name => Box::new($module::$kind::new(servers, turns)),)+
            }
        }
    };
}

algorithms! {
    RoundRobin => round_robin::RoundRobin,
    P2c => p2c::P2c,
    LeastConn => least_conn::LeastConn,
    LeastTime => least_time::LeastTime,
    SourceHash => source_hash::SourceHash,
    Maglev => maglev::Maglev,
    Random => random::Random,
}

/// How far a rotation has come; on a cache line of its own, as all workers move it.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(super) struct Cursor(AtomicUsize);

impl Cursor {
    /// The next of `count` positions; `count` is not 0.
    pub(super) fn next(&self, count: usize) -> usize {
        self.0.fetch_add(1, Relaxed) % count
    }
}

/// Turns by weight, spread as evenly as can be, shared by all workers: one way round is exact.
#[derive(Debug)]
pub(super) struct Turns {
    table: Box<[u16]>,
    cursor: Arc<Cursor>,
}

/// Slots of a rotation, as in the kernel.
const SLOTS: u32 = 65_537;
/// Turns that may be passed over before another way is taken.
const PASSES: usize = 256;

impl Turns {
    fn new(servers: &[Arc<Server>], cursor: &Arc<Cursor>) -> Self {
        let weights: Vec<u32> = servers.iter().map(|server| server.weight).collect();
        Self::of(&weights, cursor.clone())
    }

    /// `weights`: each at least 1, 65,535 of them at most.
    pub(super) fn of(weights: &[u32], cursor: Arc<Cursor>) -> Self {
        Self { table: rotation::table(weights, SLOTS).into(), cursor }
    }

    /// The next index that is fit, passing over others. Passing over takes their turns, so that the
    /// rest share them evenly.
    pub(super) fn next(&self, fits: impl Fn(usize) -> bool) -> Option<usize> {
        if self.table.is_empty() {
            return None;
        }
        let passes = self.table.len().min(PASSES);
        let mut turns =
            (0..passes).map(|_| usize::from(self.table[self.cursor.next(self.table.len())]));
        turns.find(|&index| fits(index))
    }

    /// An index at random, by weight.
    pub(super) fn draw(&self) -> Option<usize> {
        let at = fastrand::usize(..self.table.len().max(1));
        self.table.get(at).map(|&index| usize::from(index))
    }
}

/// The one with the least load that is accepted, among equals the next in turn.
fn least(
    servers: &[Arc<Server>],
    ask: &Ask<'_>,
    turns: &Turns,
    load: impl Fn(&Server) -> f64,
) -> Option<usize> {
    let accepted = |index: &usize| ask.accepts(&servers[*index]);
    let loads = (0..servers.len()).filter(accepted).map(|index| (index, load(&servers[index])));
    let (first, least) = loads.min_by(|(_, a), (_, b)| a.total_cmp(b))?;
    let is_least = |index: usize| load(&servers[index]) <= least && ask.accepts(&servers[index]);
    turns.next(is_least).or(Some(first))
}

/// The weight that counts now.
fn weight(server: &Server, now: u64) -> f64 {
    f64::from(server.weight) * server.share(now)
}

/// Any that is accepted, the one with the fewest requests first: where an algorithm found none.
pub(super) fn any(servers: &[Arc<Server>], ask: &Ask<'_>) -> Option<usize> {
    let accepted = (0..servers.len()).filter(|&index| ask.accepts(&servers[index]));
    accepted.min_by_key(|&index| servers[index].active())
}
