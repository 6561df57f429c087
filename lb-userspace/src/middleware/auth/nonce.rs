//! Nonces of `digestAuth`: signed, so that handing them out costs no memory; their counts are kept
//! for those that were used by somebody who knows a password.

use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use aws_lc_rs::{hmac, rand::SystemRandom};

use super::hex;

/// How long one lasts.
const LIFETIME: Duration = Duration::from_secs(300);
/// Nonces whose counts are kept at most.
const MOST: usize = 10_000;

/// What the use of a nonce comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// It is ours and this count of it is new.
    First,
    /// Not ours, too old, or used already.
    Stale,
}

/// Those of one filter.
pub(super) struct Nonces {
    key: hmac::Key,
    start: Instant,
    /// Microseconds of the last one handed out: no two are alike.
    last: AtomicU64,
    used: Mutex<Used>,
}

#[derive(Default)]
struct Used {
    /// Nonces of before are stale: their counts aren't known any more.
    floor: u64,
    counts: HashMap<u64, Counts>,
}

/// Requests on several connections overtake each other: a count is new if it wasn't seen among
/// the last 64.
#[derive(Default)]
struct Counts {
    highest: u32,
    /// Bit n: `highest` - n was seen.
    seen: u64,
}

impl Nonces {
    pub(super) fn new() -> Result<Self, &'static str> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new());
        Ok(Self {
            key: key.map_err(|_| "no random numbers are to be had")?,
            start: Instant::now(),
            last: AtomicU64::new(0),
            used: Mutex::default(),
        })
    }

    /// A new one.
    pub(super) fn new_one(&self) -> String {
        let now = self.now();
        let next = |last: u64| Some(now.max(last + 1));
        let last = self.last.fetch_update(Relaxed, Relaxed, next).unwrap_or(now);
        self.signed(now.max(last + 1))
    }

    /// The same for all nonces of this filter.
    pub(super) fn opaque(&self) -> String {
        hex(&hmac::sign(&self.key, b"opaque").as_ref()[..16])
    }

    /// Uses a nonce for the `count`th time.
    pub(super) fn spend(&self, nonce: &str, count: u32) -> Use {
        self.spend_at(nonce, count, self.now())
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn signed(&self, made: u64) -> String {
        let tag = hmac::sign(&self.key, &made.to_be_bytes());
        format!("{made:016x}{}", hex(&tag.as_ref()[..16]))
    }

    fn spend_at(&self, nonce: &str, count: u32, now: u64) -> Use {
        let made = nonce.get(..16).and_then(|made| u64::from_str_radix(made, 16).ok());
        let Some(made) = made.filter(|made| self.signed(*made) == nonce) else { return Use::Stale };
        let oldest = now.saturating_sub(LIFETIME.as_micros() as u64);
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if made < oldest || made < used.floor {
            return Use::Stale;
        }
        if used.counts.len() >= MOST && !used.counts.contains_key(&made) {
            used.make_room(oldest);
        }
        let counts = used.counts.entry(made).or_default();
        if counts.is_new(count) { Use::First } else { Use::Stale }
    }
}

impl Used {
    /// Forgets those that are too old, or else the older half.
    fn make_room(&mut self, oldest: u64) {
        self.counts.retain(|made, _| *made >= oldest);
        if self.counts.len() >= MOST {
            let mut all: Vec<u64> = self.counts.keys().copied().collect();
            let (_, middle, _) = all.select_nth_unstable(MOST / 2);
            self.floor = *middle;
            self.counts.retain(|made, _| made >= middle);
        }
    }
}

impl Counts {
    fn is_new(&mut self, count: u32) -> bool {
        if count == 0 {
            return false;
        }
        if count > self.highest {
            let ahead = count - self.highest;
            self.seen = self.seen.checked_shl(ahead).unwrap_or(0) | 1;
            self.highest = count;
            return true;
        }
        let bit = 1_u64.checked_shl(self.highest - count).unwrap_or(0);
        let is_new = bit != 0 && self.seen & bit == 0;
        self.seen |= bit;
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_count_of_a_nonce_is_good_once_in_any_order() {
        let nonces = Nonces::new().unwrap();
        let (nonce, other) = (nonces.new_one(), nonces.new_one());
        assert_ne!(nonce, other);
        for (count, result) in [
            (1, Use::First),
            (1, Use::Stale),
            (3, Use::First),
            (2, Use::First),
            (2, Use::Stale),
            (0, Use::Stale),
            (200, Use::First),
            (137, Use::First),
            (136, Use::Stale),
            (4, Use::Stale),
        ] {
            assert_eq!(nonces.spend(&nonce, count), result, "{count}");
        }
        assert_eq!(nonces.spend(&other, 1), Use::First);
    }

    #[test]
    fn what_is_forged_or_old_is_stale() {
        let nonces = Nonces::new().unwrap();
        let nonce = nonces.new_one();
        for forged in
            ["", "é", &nonce[..20], &Nonces::new().unwrap().new_one(), &format!("{nonce}0")]
        {
            assert_eq!(nonces.spend(forged, 1), Use::Stale, "{forged}");
        }
        let late = nonces.now() + LIFETIME.as_micros() as u64 + 1;
        assert_eq!(nonces.spend_at(&nonce, 1, late), Use::Stale);
    }

    #[test]
    fn memory_is_bounded_and_nothing_that_was_forgotten_is_good_again() {
        let nonces = Nonces::new().unwrap();
        for made in 0..MOST as u64 + 10 {
            assert_eq!(nonces.spend_at(&nonces.signed(made), 1, 0), Use::First, "{made}");
            assert!(nonces.used.lock().unwrap().counts.len() <= MOST);
        }
        for made in [0, 1, MOST as u64 / 2 - 1, MOST as u64] {
            assert_eq!(nonces.spend_at(&nonces.signed(made), 1, 0), Use::Stale, "{made}");
        }
    }
}
