//! Requests by code, method and protocol, with their durations: few combinations occur, so they
//! stand in a small table that is filled by compare-and-swap. Each worker counts in words of its
//! own, which nobody else writes: no lock, no atomic read-modify-write, no line that moves between
//! CPUs. Who reads adds them up.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;

/// Combinations that are told apart; what comes beyond is counted under code 0.
const SLOTS: usize = 32;
/// Methods that are told apart (RFC 9110 §9.3, RFC 5789); others are `EXTENSION_METHOD`, as
/// Traefik has it.
const METHODS: [&str; 9] =
    ["GET", "POST", "PUT", "HEAD", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"];
const PROTOCOLS: [&str; 3] = ["http", "http2", "websocket"];

/// Upper bounds of the buckets of durations, in microseconds, rising.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bounds(Box<[u64]>);

impl Bounds {
    /// From seconds, rising.
    pub(crate) fn new(seconds: &[f64]) -> Self {
        Self(seconds.iter().map(|bound| (bound * 1e6).round() as u64).collect())
    }
}

/// A combination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    /// The answer's status.
    pub(crate) code: u16,
    /// Of [`method`].
    pub(crate) method: u8,
    /// 0 for HTTP/1, 1 for HTTP/2, 2 for an upgraded connection.
    pub(crate) protocol: u8,
}

/// The number of a method.
pub(crate) fn method(name: &str) -> u8 {
    METHODS.iter().position(|method| *method == name).unwrap_or(METHODS.len()) as u8
}

/// Whether a method is one of those.
#[cfg(feature = "otel")]
pub(crate) fn is_known(method: &str) -> bool {
    METHODS.contains(&method)
}

impl Key {
    /// Never 0, which is an empty slot.
    fn word(self) -> u32 {
        u32::from(self.code)
            | u32::from(self.method) << 16
            | u32::from(self.protocol) << 24
            | 1 << 31
    }

    fn from_word(word: u32) -> Self {
        Self { code: word as u16, method: (word >> 16) as u8, protocol: (word >> 24) as u8 & 0x7f }
    }

    /// The label.
    pub(crate) fn method_name(self) -> &'static str {
        METHODS.get(usize::from(self.method)).copied().unwrap_or("EXTENSION_METHOD")
    }

    /// The label.
    pub(crate) fn protocol_name(self) -> &'static str {
        PROTOCOLS.get(usize::from(self.protocol)).copied().unwrap_or("http")
    }
}

/// A request that is over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted {
    pub(crate) key: Key,
    pub(crate) took: Duration,
    /// Bytes of its bodies, in and out.
    pub(crate) bytes: (u64, u64),
    /// The number of the worker that counts it: of no two at a time.
    pub(crate) worker: usize,
}

/// What was counted under one key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reading {
    /// Requests.
    pub(crate) count: u64,
    /// Bytes of their bodies, in and out.
    pub(crate) bytes: (u64, u64),
    /// Their durations added up, in microseconds.
    pub(crate) micros: u64,
    /// Bounds in microseconds, and how many requests took no longer.
    pub(crate) buckets: Vec<(u64, u64)>,
}

/// The counters; they take no memory until the first request, and begin anew when the bounds
/// change.
#[derive(Debug, Default)]
pub(crate) struct Series(ArcSwapOption<Table>);

#[derive(Debug)]
struct Table {
    bounds: Arc<Bounds>,
    keys: [AtomicU32; SLOTS],
    slots: [OnceLock<Box<Slot>>; SLOTS],
}

/// What was counted under one key, by worker. Level `n` has room for `1 << n` workers, made when
/// the first of them comes.
#[derive(Debug, Default)]
struct Slot([OnceLock<Box<[OnceLock<Shard>]>>; LEVELS]);

/// Levels: enough for 65,535 workers.
const LEVELS: usize = 16;

/// What one worker has counted: microseconds, bytes in, bytes out, and how many requests by the
/// first bound that their duration fits; the last for those that fit none.
type Shard = Box<[AtomicU64]>;

const MICROS: usize = 0;
const BYTES_IN: usize = 1;
const BYTES_OUT: usize = 2;
const FITS: usize = 3;

impl Series {
    /// Counts a request.
    pub(crate) fn count(&self, bounds: &Arc<Bounds>, request: &Counted) {
        let table = self.0.load();
        match &*table {
            Some(table) if Arc::ptr_eq(&table.bounds, bounds) => table.count(request),
            _ => {
                let fresh = Arc::new(Table::new(Arc::clone(bounds)));
                // Where another thread was faster its table is as good.
                self.0.compare_and_swap(&table, Some(fresh));
                if let Some(table) = &*self.0.load() {
                    table.count(request);
                }
            }
        }
    }

    /// What was counted so far.
    pub(crate) fn read(&self) -> Vec<(Key, Reading)> {
        let mut all = Vec::new();
        if let Some(table) = &*self.0.load() {
            let used = table.keys.iter().zip(&table.slots);
            all.extend(used.filter_map(|(key, slot)| {
                let key = Some(key.load(Relaxed)).filter(|word| *word != 0)?;
                Some((Key::from_word(key), slot.get()?.read(&table.bounds)))
            }));
        }
        all.sort_by_key(|(key, _)| *key);
        all
    }

    /// Requests, and the microseconds that they took.
    pub(crate) fn total(&self) -> (u64, u64) {
        let table = self.0.load();
        let slots = table.iter().flat_map(|table| &table.slots).filter_map(OnceLock::get);
        slots.flat_map(|slot| slot.shards()).fold((0, 0), |(count, micros), shard| {
            let fits = shard[FITS..].iter().map(|fits| fits.load(Relaxed));
            (count + fits.sum::<u64>(), micros + shard[MICROS].load(Relaxed))
        })
    }
}

impl Table {
    fn new(bounds: Arc<Bounds>) -> Self {
        Self { bounds, keys: Default::default(), slots: Default::default() }
    }

    fn count(&self, request: &Counted) {
        let bounds = &self.bounds.0;
        let slot = self.slots[self.at(request.key)].get_or_init(Box::default);
        let shard = slot.shard(request.worker, FITS + bounds.len() + 1);
        let micros = request.took.as_micros() as u64;
        let fits = bounds.iter().position(|bound| micros <= *bound).unwrap_or(bounds.len());
        add(&shard[MICROS], micros);
        add(&shard[BYTES_IN], request.bytes.0);
        add(&shard[BYTES_OUT], request.bytes.1);
        add(&shard[FITS + fits], 1);
    }

    fn at(&self, key: Key) -> usize {
        let word = key.word();
        let start = usize::from(key.code) + usize::from(key.method) * 7;
        for probe in 0..SLOTS - 1 {
            // The last one is for all that find no room.
            let at = (start + probe) % (SLOTS - 1);
            let there = self.keys[at].load(Relaxed);
            let free = there == 0
                && match self.keys[at].compare_exchange(0, word, Relaxed, Relaxed) {
                    Ok(_) => true,
                    Err(other) => other == word,
                };
            if there == word || free {
                return at;
            }
        }
        self.keys[SLOTS - 1].store(Key::default().word(), Relaxed);
        SLOTS - 1
    }
}

/// Adds to a word that no other thread writes.
fn add(word: &AtomicU64, by: u64) {
    word.store(word.load(Relaxed) + by, Relaxed);
}

impl Slot {
    /// A worker's words, of which there are `words`.
    fn shard(&self, worker: usize, words: usize) -> &Shard {
        let number = worker + 1;
        let level = (number.ilog2() as usize).min(LEVELS - 1);
        let new_level = || (0..1usize << level).map(|_| OnceLock::new()).collect();
        let shards = self.0[level].get_or_init(new_level);
        let new_shard = || (0..words).map(|_| AtomicU64::default()).collect();
        shards[number % shards.len()].get_or_init(new_shard)
    }

    fn shards(&self) -> impl Iterator<Item = &Shard> {
        let levels = self.0.iter().filter_map(OnceLock::get);
        levels.flat_map(|level| level.iter().filter_map(OnceLock::get))
    }

    fn read(&self, bounds: &Bounds) -> Reading {
        let word = |at: usize| self.shards().map(|shard| shard[at].load(Relaxed)).sum::<u64>();
        let mut count = 0;
        let mut up_to = |at: usize| {
            count += word(FITS + at);
            count
        };
        let buckets = bounds.0.iter().enumerate();
        let buckets = buckets.map(|(at, bound)| (*bound, up_to(at))).collect();
        up_to(bounds.0.len());
        Reading { buckets, count, bytes: (word(BYTES_IN), word(BYTES_OUT)), micros: word(MICROS) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(code: u16, name: &str) -> Key {
        Key { code, method: method(name), protocol: 0 }
    }

    fn one(key: Key, took: Duration, bytes: (u64, u64)) -> Counted {
        Counted { key, took, bytes, worker: 0 }
    }

    fn bounds() -> Arc<Bounds> {
        Arc::new(Bounds::new(&[0.001, 0.005, 10.0]))
    }

    #[test]
    fn requests_are_counted_by_code_and_method() {
        let (series, bounds) = (Series::default(), bounds());
        for _ in 0..3 {
            series.count(&bounds, &one(key(200, "GET"), Duration::from_millis(2), (0, 5)));
        }
        series.count(&bounds, &one(key(200, "POST"), Duration::from_secs(20), (7, 0)));
        series.count(&bounds, &one(key(404, "BREW"), Duration::ZERO, (0, 0)));
        let read = series.read();
        assert_eq!(read.len(), 3);
        assert_eq!(
            (read[0].0.method_name(), read[0].1.count, read[0].1.bytes),
            ("GET", 3, (0, 15))
        );
        assert_eq!(read[0].1.buckets, [(1_000, 0), (5_000, 3), (10_000_000, 3)]);
        assert!(read[1].1.buckets.iter().all(|(_, n)| *n == 0), "longer than all of them");
        assert_eq!((read[1].1.micros, read[1].1.bytes), (20_000_000, (7, 0)));
        assert_eq!(read[2].0.method_name(), "EXTENSION_METHOD");
        assert_eq!(series.total(), (5, 20_006_000));
    }

    #[test]
    fn what_finds_no_room_is_counted_together() {
        let (series, bounds) = (Series::default(), bounds());
        for code in 200..300 {
            series.count(&bounds, &one(key(code, "GET"), Duration::ZERO, (0, 0)));
        }
        let read = series.read();
        assert_eq!(read.len(), SLOTS);
        assert_eq!(read.iter().map(|(_, reading)| reading.count).sum::<u64>(), 100);
        assert_eq!((read[0].0.code, read[0].1.count), (0, 100 - (SLOTS as u64 - 1)));
    }

    #[test]
    fn workers_count_side_by_side_and_are_added_up() {
        let (series, bounds) = (Series::default(), bounds());
        let numbers = [0, 1, 2, 3, 62, 63];
        std::thread::scope(|scope| {
            for worker in numbers {
                let (series, bounds) = (&series, &bounds);
                scope.spawn(move || {
                    for n in 0..1000 {
                        let request =
                            one(key(200 + n % 20, "GET"), Duration::from_micros(2), (1, 2));
                        series.count(bounds, &Counted { worker, ..request });
                    }
                });
            }
        });
        let read = series.read();
        assert_eq!(read.len(), 20);
        let each = 50 * numbers.len() as u64;
        for (_, reading) in read {
            assert_eq!((reading.count, reading.bytes), (each, (each, 2 * each)));
            assert_eq!((reading.micros, reading.buckets[0].1), (2 * each, each));
        }
        assert_eq!(series.total(), (20 * each, 40 * each));
    }

    #[test]
    fn other_bounds_begin_anew() {
        let series = Series::default();
        series.count(&bounds(), &one(key(200, "GET"), Duration::ZERO, (0, 0)));
        let other = Arc::new(Bounds::new(&[0.5]));
        series.count(&other, &one(key(200, "GET"), Duration::from_millis(400), (0, 0)));
        assert_eq!(series.read()[0].1.buckets, [(500_000, 1)]);
    }
}
