//! `inFlightReq`: so many requests of one source at a time.

use std::{
    collections::HashMap,
    hash::RandomState,
    sync::{Arc, Mutex, PoisonError},
};

use super::{
    Kind, Surroundings, reasons,
    source::{Criterion, RawCriterion},
};
use crate::{
    config::{
        decode::{At, object},
        values::Whole,
    },
    model::Fault,
    proxy::{Exchange, Filter, Reply, Step},
};

object! {
    /// Its keys.
    pub(crate) struct Raw {
        amount: Whole<1, 4_294_967_295> = "amount",
        source: RawCriterion = "sourceCriterion",
    }
}

/// Its settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InFlightReq {
    amount: u32,
    source: Criterion,
}

impl Kind for InFlightReq {
    type Raw = Raw;

    fn check(raw: &At<Raw>, faults: &mut Vec<Fault>) -> Option<Self> {
        let amount = raw.value.amount.required("amount", &raw.spot, faults);
        let source = Criterion::check(&raw.value.source, Criterion::Host, faults)?;
        Some(Self { amount: amount?.value.u32(), source })
    }

    fn filter(&self, _: &Surroundings<'_>) -> Result<Arc<dyn Filter>, String> {
        Ok(Arc::new(InFlight {
            settings: self.clone(),
            keys: RandomState::new(),
            counts: Counts::new(self.amount),
        }))
    }
}

struct InFlight {
    settings: InFlightReq,
    keys: RandomState,
    counts: Counts,
}

impl Filter for InFlight {
    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Step<'a> {
        let key = self.settings.source.key(exchange, &self.keys);
        match self.counts.take(key) {
            Some(guard) => {
                exchange.guards.push(Box::new(guard));
                Step::Next
            }
            None => {
                let text = "Too Many Requests";
                Step::Reply(Reply::text(429, reasons::TOO_MANY_IN_FLIGHT, text))
            }
        }
    }
}

/// How many things of each source there are at a time. Holds sources that have some alone.
pub(super) struct Counts {
    most: u32,
    /// By the key's low bits, so that workers seldom meet at one lock.
    shards: Arc<[Mutex<HashMap<u64, u32>>; SHARDS]>,
}

const SHARDS: usize = 64;

impl Counts {
    /// Up to `most` of each source.
    pub(super) fn new(most: u32) -> Self {
        Self { most, shards: Arc::new(std::array::from_fn(|_| Mutex::default())) }
    }

    /// Counts one more until the guard is dropped; `None` where there are as many as may be.
    pub(super) fn take(&self, key: u64) -> Option<Guard> {
        let mut shard = lock(&self.shards, key);
        let count = shard.entry(key).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Guard { key, shards: Arc::clone(&self.shards) })
    }
}

/// One of those that are counted.
pub(super) struct Guard {
    key: u64,
    shards: Arc<[Mutex<HashMap<u64, u32>>; SHARDS]>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let mut shard = lock(&self.shards, self.key);
        if let Some(count) = shard.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                shard.remove(&self.key);
            }
        }
    }
}

fn lock(
    shards: &[Mutex<HashMap<u64, u32>>; SHARDS],
    key: u64,
) -> std::sync::MutexGuard<'_, HashMap<u64, u32>> {
    shards[key as usize % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fault, filter, request, told};
    use super::*;

    const REFUSED: Option<(u16, &str)> = Some((429, "too_many_in_flight"));

    #[test]
    fn a_source_has_so_many_at_a_time() {
        let filter = filter("inFlightReq: { amount: 2 }");
        let mut exchanges: Vec<Exchange> =
            (0..4).map(|_| Exchange::made_up("GET /\nHost: a.example")).collect();
        let mut ask = |i: usize| told(request(&*filter, &mut exchanges[i]).as_ref());
        assert_eq!([ask(0), ask(1), ask(2)], [None, None, REFUSED]);
        let mut other = Exchange::made_up("GET /\nHost: b.example");
        assert!(request(&*filter, &mut other).is_none(), "another host counts for itself");
        exchanges.remove(0);
        assert_eq!(told(request(&*filter, &mut exchanges[2]).as_ref()), None);
        assert_eq!(told(request(&*filter, &mut exchanges[1]).as_ref()), REFUSED);
    }

    #[test]
    fn sources_are_told_apart_as_configured() {
        let filter =
            filter("inFlightReq: { amount: 1, sourceCriterion: { requestHeaderName: X-Tenant } }");
        let mut first = Exchange::made_up("GET /\nHost: a\nX-Tenant: 1");
        let mut same = Exchange::made_up("GET /\nHost: b\nX-Tenant: 1");
        let mut other = Exchange::made_up("GET /\nHost: a\nX-Tenant: 2");
        assert_eq!(told(request(&*filter, &mut first).as_ref()), None);
        assert_eq!(told(request(&*filter, &mut same).as_ref()), REFUSED);
        assert_eq!(told(request(&*filter, &mut other).as_ref()), None);
    }

    #[test]
    fn counts_of_many_threads_are_exact_and_leave_nothing() {
        let counts = Arc::new(Counts::new(10));
        let threads: Vec<_> = (0..4_u64)
            .map(|thread| {
                let counts = Arc::clone(&counts);
                std::thread::spawn(move || {
                    for i in 0..10_000 {
                        let guards: Vec<_> =
                            (0..2).map(|_| counts.take((i + thread) % 8)).collect();
                        assert!(guards.iter().all(Option::is_some), "4 threads hold 8 at most");
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().expect("the thread"));
        assert!(counts.shards.iter().all(|shard| shard.lock().unwrap().is_empty()));
    }

    #[test]
    fn keys_are_checked() {
        assert_eq!(fault("inFlightReq: {}"), "inFlightReq: \"amount\" is missing");
        let told = fault(
            "inFlightReq: { amount: 1, sourceCriterion: { requestHost: true, ipStrategy: { depth: 1 } } }",
        );
        assert!(told.contains("told apart by one thing"), "{told}");
    }
}
