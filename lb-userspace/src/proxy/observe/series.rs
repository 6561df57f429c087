//! Requests by code, method and protocol, with their durations: few combinations occur, so they
//! stand in a small table that is filled by compare-and-swap and counted in without a lock.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

/// Combinations that are told apart; what comes beyond is counted under code 0.
const SLOTS: usize = 32;
/// Bounds of the buckets of durations that can be read, in microseconds: whichever of them are
/// configured.
pub(crate) const BUCKETS: [u64; 12] = [
    1_000, 5_000, 10_000, 50_000, 100_000, 300_000, 500_000, 1_000_000, 1_200_000, 2_500_000,
    5_000_000, 10_000_000,
];
/// Methods that are told apart (RFC 9110 §9.3, RFC 5789); others are `EXTENSION_METHOD`, as
/// Traefik has it.
const METHODS: [&str; 9] =
    ["GET", "POST", "PUT", "HEAD", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"];
const PROTOCOLS: [&str; 3] = ["http", "http2", "websocket"];

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
    /// How many took no longer than each of [`BUCKETS`].
    pub(crate) buckets: [u64; BUCKETS.len()],
}

#[derive(Debug, Default)]
struct Slot {
    key: AtomicU32,
    count: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    micros: AtomicU64,
    /// By the first of [`BUCKETS`] that a duration fits.
    fits: [AtomicU64; BUCKETS.len()],
}

/// The table; takes no memory until the first request.
#[derive(Debug, Default)]
pub(crate) struct Series {
    slots: OnceLock<Box<[Slot; SLOTS]>>,
}

impl Series {
    /// Counts a request.
    pub(crate) fn count(&self, key: Key, took: Duration, (bytes_in, bytes_out): (u64, u64)) {
        let slot = self.slot(key);
        let micros = took.as_micros() as u64;
        slot.count.fetch_add(1, Relaxed);
        slot.micros.fetch_add(micros, Relaxed);
        if bytes_in > 0 {
            slot.bytes_in.fetch_add(bytes_in, Relaxed);
        }
        if bytes_out > 0 {
            slot.bytes_out.fetch_add(bytes_out, Relaxed);
        }
        let bucket = BUCKETS.iter().position(|bound| micros <= *bound);
        if let Some(fits) = bucket.and_then(|bucket| slot.fits.get(bucket)) {
            fits.fetch_add(1, Relaxed);
        }
    }

    /// What was counted so far.
    pub(crate) fn read(&self) -> Vec<(Key, Reading)> {
        let slots = self.slots.get().into_iter().flat_map(|slots| slots.iter());
        let used = slots.filter(|slot| slot.key.load(Relaxed) != 0);
        let mut all: Vec<_> = used.map(Slot::read).collect();
        all.sort_by_key(|(key, _)| *key);
        all
    }

    fn slot(&self, key: Key) -> &Slot {
        let slots = self.slots.get_or_init(Box::default);
        let word = key.word();
        let start = usize::from(key.code) + usize::from(key.method) * 7;
        for probe in 0..SLOTS - 1 {
            // The last one is for all that find no room.
            let slot = &slots[(start + probe) % (SLOTS - 1)];
            let there = slot.key.load(Relaxed);
            let free = there == 0
                && match slot.key.compare_exchange(0, word, Relaxed, Relaxed) {
                    Ok(_) => true,
                    Err(other) => other == word,
                };
            if there == word || free {
                return slot;
            }
        }
        let rest = &slots[SLOTS - 1];
        rest.key.store(Key::default().word(), Relaxed);
        rest
    }
}

impl Slot {
    fn read(&self) -> (Key, Reading) {
        let mut buckets = [0; BUCKETS.len()];
        let mut sum = 0;
        for (bucket, fits) in buckets.iter_mut().zip(&self.fits) {
            sum += fits.load(Relaxed);
            *bucket = sum;
        }
        let reading = Reading {
            count: self.count.load(Relaxed),
            bytes: (self.bytes_in.load(Relaxed), self.bytes_out.load(Relaxed)),
            micros: self.micros.load(Relaxed),
            buckets,
        };
        (Key::from_word(self.key.load(Relaxed)), reading)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(code: u16, name: &str) -> Key {
        Key { code, method: method(name), protocol: 0 }
    }

    #[test]
    fn requests_are_counted_by_code_and_method() {
        let series = Series::default();
        for _ in 0..3 {
            series.count(key(200, "GET"), Duration::from_millis(2), (0, 5));
        }
        series.count(key(200, "POST"), Duration::from_secs(20), (7, 0));
        series.count(key(404, "BREW"), Duration::ZERO, (0, 0));
        let read = series.read();
        assert_eq!(read.len(), 3);
        assert_eq!(
            (read[0].0.method_name(), read[0].1.count, read[0].1.bytes),
            ("GET", 3, (0, 15))
        );
        assert_eq!(read[0].1.buckets[..2], [0, 3]);
        assert_eq!(read[1].1.buckets, [0; BUCKETS.len()], "longer than all of them");
        assert_eq!((read[1].1.micros, read[1].1.bytes), (20_000_000, (7, 0)));
        assert_eq!(read[2].0.method_name(), "EXTENSION_METHOD");
    }

    #[test]
    fn what_finds_no_room_is_counted_together() {
        let series = Series::default();
        for code in 200..300 {
            series.count(key(code, "GET"), Duration::ZERO, (0, 0));
        }
        let read = series.read();
        assert_eq!(read.len(), SLOTS);
        assert_eq!(read.iter().map(|(_, reading)| reading.count).sum::<u64>(), 100);
        assert_eq!((read[0].0.code, read[0].1.count), (0, 100 - (SLOTS as u64 - 1)));
    }

    #[test]
    fn threads_that_meet_the_same_key_share_a_slot() {
        let series = Series::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for n in 0..1000 {
                        series.count(key(200 + n % 20, "GET"), Duration::ZERO, (0, 0));
                    }
                });
            }
        });
        let read = series.read();
        assert_eq!(read.len(), 20);
        assert!(read.iter().all(|(_, reading)| reading.count == 200));
    }
}
