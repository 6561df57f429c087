//! `rateLimit`: a token bucket for each source.

mod buckets;

use std::{
    hash::RandomState,
    sync::Arc,
    time::{Duration, Instant},
};

use buckets::Buckets;

use super::{
    Kind, Surroundings, parts, reasons,
    source::{Criterion, RawCriterion, Strategy},
};
use crate::{
    config::{
        decode::{At, object},
        values::Whole,
    },
    model::Fault,
    proxy::{Exchange, Filter, Outcome, Reply, Step},
};

object! {
    /// Its keys.
    pub(crate) struct Raw {
        average: Whole<0, { i64::MAX }> = "average",
        period: Duration = "period",
        burst: Whole<0, { i64::MAX }> = "burst",
        source: RawCriterion = "sourceCriterion",
    }
    refused {
        "redis" => "lb counts by itself: buckets shared by several hosts aren't done",
    }
}

/// Its settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Requests in `period`; 0 for no limit.
    average: u64,
    period: Duration,
    burst: u64,
    source: Criterion,
}

impl Kind for RateLimit {
    type Raw = Raw;

    fn check(raw: &At<Raw>, faults: &mut Vec<Fault>) -> Option<Self> {
        let default = Criterion::Ip(Strategy::default());
        let source = Criterion::check(&raw.value.source, default, faults)?;
        let whole = |n: Option<i64>| n.and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
        let period = raw.value.period.or_default();
        Some(Self {
            average: whole(raw.value.average.get().map(|n| n.0)),
            period: if period.is_zero() { Duration::from_secs(1) } else { period },
            burst: whole(raw.value.burst.get().map(|n| n.0)).max(1),
            source,
        })
    }

    fn filter(&self, _: &Surroundings<'_>) -> Result<Arc<dyn Filter>, String> {
        Ok(Arc::new(Limiter {
            settings: self.clone(),
            keys: RandomState::new(),
            start: Instant::now(),
            buckets: (self.average > 0).then(|| self.buckets()),
        }))
    }
}

impl RateLimit {
    fn buckets(&self) -> Buckets {
        let interval = self.period.as_nanos() / u128::from(self.average);
        let per_second = 1_000_000_000 / interval.max(1);
        // A request that comes a little early waits; no longer than half a turn, as in Traefik.
        let longest = match per_second {
            0 => Duration::from_millis(500),
            _ => Duration::from_secs(1) / u32::try_from(per_second * 2).unwrap_or(u32::MAX),
        };
        let interval = u64::try_from(interval.max(1)).unwrap_or(u64::MAX);
        Buckets::new(interval, self.burst, longest)
    }
}

struct Limiter {
    settings: RateLimit,
    keys: RandomState,
    start: Instant,
    /// `None` where nothing is limited.
    buckets: Option<Buckets>,
}

impl Filter for Limiter {
    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Step<'a> {
        let Some(buckets) = &self.buckets else { return Step::Next };
        let key = self.settings.source.key(exchange, &self.keys);
        let now = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        match buckets.take(key, now) {
            Ok(Duration::ZERO) => Step::Next,
            Ok(delay) => Step::Wait(Box::pin(async move {
                tokio::time::sleep(delay).await;
                Outcome::Next
            })),
            Err(delay) => Step::Reply(refusal(delay)),
        }
    }
}

fn refusal(delay: Duration) -> Reply {
    let mut reply = Reply::text(429, reasons::RATE_LIMITED, "Too Many Requests");
    let seconds = delay.as_nanos().div_ceil(1_000_000_000);
    reply.head.add("Retry-After", seconds.to_string());
    reply.head.add("X-Retry-In", parts::go_duration(delay));
    reply
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fault, filter, read, request, told};
    use super::*;

    const REFUSED: Option<(u16, &str)> = Some((429, "rate_limited"));

    #[test]
    fn a_burst_passes_and_no_more() {
        let filter = filter("rateLimit: { average: 1, period: 1h, burst: 3 }");
        let ask = |lines: &str| told(request(&*filter, &mut Exchange::made_up(lines)).as_ref());
        let a = "GET /";
        assert_eq!([ask(a), ask(a), ask(a), ask(a)], [None, None, None, REFUSED]);
    }

    #[test]
    fn a_refusal_says_when_to_come_back() {
        let filter = filter("rateLimit: { average: 1, period: 1h }");
        assert!(request(&*filter, &mut Exchange::made_up("GET /")).is_none());
        let reply = request(&*filter, &mut Exchange::made_up("GET /")).expect("a refusal");
        let after: u64 = reply.head.text_of("Retry-After").unwrap().parse().unwrap();
        assert!((3_000..=3_600).contains(&after), "{after}");
        assert!(reply.head.text_of("X-Retry-In").unwrap().contains('m'));
        assert_eq!(&reply.body[..], b"Too Many Requests\n");
    }

    #[test]
    fn sources_have_buckets_of_their_own() {
        let keys = "average: 1, period: 1h, sourceCriterion: { requestHeaderName: X-Tenant }";
        let filter = filter(&format!("rateLimit: {{ {keys} }}"));
        let ask = |lines: &str| told(request(&*filter, &mut Exchange::made_up(lines)).as_ref());
        assert_eq!(ask("GET /\nX-Tenant: a"), None);
        assert_eq!(ask("GET /\nX-Tenant: b"), None);
        assert_eq!(ask("GET /\nX-Tenant: a"), REFUSED);
    }

    #[test]
    fn no_average_is_no_limit() {
        let filter = filter("rateLimit: {}");
        for _ in 0..100 {
            assert!(request(&*filter, &mut Exchange::made_up("GET /")).is_none());
        }
    }

    #[test]
    fn numbers_may_be_text_as_labels_have_them() {
        let labels = read("ratelimit: { average: '100', burst: '200', period: 1s }");
        assert_eq!(labels, read("rateLimit: { average: 100, burst: 200 }"));
        assert!(fault("rateLimit: { redis: {} }").contains("lb counts by itself"));
    }
}
