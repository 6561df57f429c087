//! Requests by code, method and protocol, with their durations: few combinations occur, so they
//! stand in a small table that is filled by compare-and-swap and counted in without a lock.

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

#[derive(Debug)]
struct Slot {
    count: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    micros: AtomicU64,
    /// By the first bound that a duration fits.
    fits: Box<[AtomicU64]>,
}

impl Series {
    /// Counts a request.
    pub(crate) fn count(
        &self,
        bounds: &Arc<Bounds>,
        key: Key,
        took: Duration,
        traffic: (u64, u64),
    ) {
        let table = self.0.load();
        match &*table {
            Some(table) if Arc::ptr_eq(&table.bounds, bounds) => table.count(key, took, traffic),
            _ => {
                let fresh = Arc::new(Table::new(Arc::clone(bounds)));
                // Where another thread was faster its table is as good.
                self.0.compare_and_swap(&table, Some(fresh));
                if let Some(table) = &*self.0.load() {
                    table.count(key, took, traffic);
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
        slots.fold((0, 0), |(count, micros), slot| {
            (count + slot.count.load(Relaxed), micros + slot.micros.load(Relaxed))
        })
    }
}

impl Table {
    fn new(bounds: Arc<Bounds>) -> Self {
        Self { bounds, keys: Default::default(), slots: Default::default() }
    }

    fn count(&self, key: Key, took: Duration, (bytes_in, bytes_out): (u64, u64)) {
        let slot = self.slots[self.at(key)].get_or_init(|| Box::new(Slot::new(&self.bounds)));
        let micros = took.as_micros() as u64;
        slot.count.fetch_add(1, Relaxed);
        slot.micros.fetch_add(micros, Relaxed);
        if bytes_in > 0 {
            slot.bytes_in.fetch_add(bytes_in, Relaxed);
        }
        if bytes_out > 0 {
            slot.bytes_out.fetch_add(bytes_out, Relaxed);
        }
        let bucket = self.bounds.0.iter().position(|bound| micros <= *bound);
        if let Some(fits) = bucket.and_then(|bucket| slot.fits.get(bucket)) {
            fits.fetch_add(1, Relaxed);
        }
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

impl Slot {
    fn new(bounds: &Bounds) -> Self {
        Self {
            count: AtomicU64::default(),
            bytes_in: AtomicU64::default(),
            bytes_out: AtomicU64::default(),
            micros: AtomicU64::default(),
            fits: bounds.0.iter().map(|_| AtomicU64::default()).collect(),
        }
    }

    fn read(&self, bounds: &Bounds) -> Reading {
        let mut sum = 0;
        let buckets = bounds.0.iter().zip(&self.fits).map(|(bound, fits)| {
            sum += fits.load(Relaxed);
            (*bound, sum)
        });
        Reading {
            buckets: buckets.collect(),
            count: self.count.load(Relaxed),
            bytes: (self.bytes_in.load(Relaxed), self.bytes_out.load(Relaxed)),
            micros: self.micros.load(Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(code: u16, name: &str) -> Key {
        Key { code, method: method(name), protocol: 0 }
    }

    fn bounds() -> Arc<Bounds> {
        Arc::new(Bounds::new(&[0.001, 0.005, 10.0]))
    }

    #[test]
    fn requests_are_counted_by_code_and_method() {
        let (series, bounds) = (Series::default(), bounds());
        for _ in 0..3 {
            series.count(&bounds, key(200, "GET"), Duration::from_millis(2), (0, 5));
        }
        series.count(&bounds, key(200, "POST"), Duration::from_secs(20), (7, 0));
        series.count(&bounds, key(404, "BREW"), Duration::ZERO, (0, 0));
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
            series.count(&bounds, key(code, "GET"), Duration::ZERO, (0, 0));
        }
        let read = series.read();
        assert_eq!(read.len(), SLOTS);
        assert_eq!(read.iter().map(|(_, reading)| reading.count).sum::<u64>(), 100);
        assert_eq!((read[0].0.code, read[0].1.count), (0, 100 - (SLOTS as u64 - 1)));
    }

    #[test]
    fn threads_that_meet_the_same_key_share_a_slot() {
        let (series, bounds) = (Series::default(), bounds());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for n in 0..1000 {
                        series.count(&bounds, key(200 + n % 20, "GET"), Duration::ZERO, (0, 0));
                    }
                });
            }
        });
        let read = series.read();
        assert_eq!(read.len(), 20);
        assert!(read.iter().all(|(_, reading)| reading.count == 200));
    }

    #[test]
    fn other_bounds_begin_anew() {
        let series = Series::default();
        series.count(&bounds(), key(200, "GET"), Duration::ZERO, (0, 0));
        let other = Arc::new(Bounds::new(&[0.5]));
        series.count(&other, key(200, "GET"), Duration::from_millis(400), (0, 0));
        assert_eq!(series.read()[0].1.buckets, [(500_000, 1)]);
    }
}
