//! `retry`: asks the forwarder to try again, within a budget, so that retries can't multiply an
//! outage.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Kind, Surroundings,
    parts::{self, StatusRanges},
    reasons,
    rolling::Rolling,
    streams::whole,
};
use crate::{
    config::{
        decode::{At, Cx, Decode, object},
        tree::Node,
        values::{Whole, number},
    },
    model::Fault,
    proxy::{
        Body, Exchange, Filter, Outcome, Reply, Retry as Wanted, RetryBudget, RetryWhen, Step,
        forward::is_idempotent,
    },
};

object! {
    /// Its keys.
    pub(crate) struct Raw {
        attempts: Whole<1, 100> = "attempts",
        initial_interval: Duration = "initialInterval",
        timeout: Duration = "timeout",
        max_body: Whole<-1, { i64::MAX }> = "maxRequestBodyBytes",
        status: Vec<At<StatusRanges>> = "status",
        no_network_error: bool = "disableRetryOnNetworkError",
        any_method: bool = "retryNonIdempotentMethod",
        budget: RawBudget = "budget",
    }
}

object! {
    /// `retry.budget`.
    pub(crate) struct RawBudget {
        ratio: Ratio = "ratio",
        min_per_second: Whole<0, 1_000_000> = "minPerSecond",
    }
}

/// From 0 to 1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ratio(f64);

impl Decode for Ratio {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        let ratio = number(node).filter(|ratio| (0.0..=1.0).contains(ratio));
        if ratio.is_none() {
            cx.expected(node, "a ratio from 0 to 1");
        }
        ratio.map(Self)
    }
}

/// Its settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Retry {
    attempts: u32,
    initial_interval: Duration,
    timeout: Option<Duration>,
    max_body: Option<u64>,
    when: When,
    any_method: bool,
    ratio: f64,
    min_per_second: u32,
}

/// Larger bodies are sent once.
const MAX_BODY: u64 = 2 << 20;
/// Retries that requests bring, and those that are always allowed.
pub(super) const BUDGET: (f64, u32) = (0.2, 10);

impl Kind for Retry {
    type Raw = Raw;

    fn check(raw: &At<Raw>, faults: &mut Vec<Fault>) -> Option<Self> {
        let Raw { no_network_error, status, budget, .. } = &raw.value;
        let attempts = raw.value.attempts.required("attempts", &raw.spot, faults);
        let statuses = parts::statuses(status);
        if let Some(at) = no_network_error.at().filter(|at| at.value && statuses.is_empty()) {
            let message = "with neither network errors nor a `status` there is nothing to retry on";
            faults.push(at.spot.fault(message));
        }
        let budget = budget.get();
        let ratio = budget.and_then(|budget| budget.ratio.get());
        let least = budget.and_then(|budget| budget.min_per_second.get());
        Some(Self {
            attempts: attempts?.value.u32(),
            initial_interval: raw.value.initial_interval.or_default(),
            timeout: raw.value.timeout.get().copied().filter(|timeout| !timeout.is_zero()),
            max_body: match raw.value.max_body.get() {
                Some(bytes) => u64::try_from(bytes.0).ok(),
                None => Some(MAX_BODY),
            },
            when: When { on_network_error: !no_network_error.or_default(), statuses },
            any_method: raw.value.any_method.or_default(),
            ratio: ratio.map_or(BUDGET.0, |ratio| ratio.0),
            min_per_second: least.map_or(BUDGET.1, |n| n.u32()),
        })
    }

    fn filter(&self, _: &Surroundings<'_>) -> Result<Arc<dyn Filter>, String> {
        let budget = Budget::new(self.ratio, self.min_per_second);
        Ok(Arc::new(Retrier(Wanted {
            attempts: self.attempts,
            initial_interval: self.initial_interval,
            timeout: self.timeout,
            max_body: self.max_body,
            when: Arc::new(self.when.clone()),
            any_method: self.any_method,
            budget: Arc::new(budget),
        })))
    }
}

/// `status` and `disableRetryOnNetworkError`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct When {
    on_network_error: bool,
    statuses: Vec<parts::StatusRange>,
}

impl RetryWhen for When {
    fn wants(&self, _: u32, status: Option<u16>) -> bool {
        status.map_or(self.on_network_error, |status| parts::has_status(&self.statuses, status))
    }
}

struct Retrier(Wanted);

impl Filter for Retrier {
    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Step<'a> {
        exchange.retry = Some(self.0.clone());
        if !self.keeps(exchange) {
            return Step::Next;
        }
        Step::Wait(Box::pin(async move {
            match exchange.body.collect(u64::MAX).await {
                Ok((bytes, trailers)) => {
                    exchange.body = whole(bytes, trailers);
                    Outcome::Next
                }
                Err(_) => {
                    let text = "Bad Request: the body broke off";
                    Outcome::Reply(Reply::text(400, reasons::BODY_BROKE_OFF, text))
                }
            }
        }))
    }
}

impl Retrier {
    /// Whether the body is kept in memory, so that it can be sent again: where the request may be
    /// repeated at all, and the body says that it isn't too long.
    fn keeps(&self, exchange: &Exchange) -> bool {
        let is_short = |length| self.0.max_body.is_none_or(|most| length <= most);
        matches!(exchange.body, Body::Stream(_))
            && exchange.body.length().is_some_and(is_short)
            && self.0.attempts > 1
            && (self.0.any_method || is_idempotent(exchange.request.method()))
    }
}

/// Seconds that a budget looks back.
const WINDOW: usize = 10;

/// Of the requests of the last seconds, a share may be tried again, and a few more.
#[derive(Debug)]
pub(super) struct Budget {
    ratio: f64,
    /// In the whole window.
    least: u64,
    start: Instant,
    requests: Rolling<WINDOW>,
    retries: Rolling<WINDOW>,
}

impl Budget {
    /// What requests bring, and what is allowed without any.
    pub(super) fn new(ratio: f64, min_per_second: u32) -> Self {
        Self {
            ratio,
            least: u64::from(min_per_second) * WINDOW as u64,
            start: Instant::now(),
            requests: Rolling::default(),
            retries: Rolling::default(),
        }
    }

    fn second(&self) -> u32 {
        u32::try_from(self.start.elapsed().as_secs()).unwrap_or(u32::MAX)
    }

    fn withdraw_at(&self, second: u32) -> bool {
        let share = (self.requests.sum(second) as f64 * self.ratio) as u64;
        let room = self.retries.sum(second) < self.least + share;
        if room {
            self.retries.add(second);
        }
        room
    }
}

impl RetryBudget for Budget {
    fn deposit(&self) {
        self.requests.add(self.second());
    }

    fn withdraw(&self) -> bool {
        self.withdraw_at(self.second())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::testing::{block_on, fault, filter, request};
    use super::*;
    use crate::proxy::{BodyError, Frame, body::Source};

    fn wanted(keys: &str) -> Wanted {
        let mut exchange = Exchange::made_up("GET /");
        assert!(request(&*filter(&format!("retry: {{ {keys} }}")), &mut exchange).is_none());
        exchange.retry.expect("retries")
    }

    #[test]
    fn it_says_what_is_to_be_tried_again() {
        let plain = wanted("attempts: '3', initialinterval: 100ms");
        assert_eq!((plain.attempts, plain.initial_interval), (3, Duration::from_millis(100)));
        assert_eq!((plain.timeout, plain.max_body), (None, Some(2 << 20)));
        assert!(plain.when.wants(1, None) && !plain.when.wants(1, Some(503)) && !plain.any_method);
        let all = wanted(
            "attempts: 4, timeout: 60s, maxRequestBodyBytes: -1, status: ['400', 500-599], \
             disableRetryOnNetworkError: true, retryNonIdempotentMethod: true",
        );
        assert_eq!((all.timeout, all.max_body), (Some(Duration::from_secs(60)), None));
        assert!(!all.when.wants(1, None) && all.any_method);
        let tried = [400, 401, 499, 500, 599].map(|status| all.when.wants(1, Some(status)));
        assert_eq!(tried, [true, false, false, true, true]);
    }

    #[test]
    fn bodies_are_kept_that_may_be_sent_again() {
        struct Known(Option<&'static [u8]>);
        impl Source for Known {
            fn poll_frame(
                &mut self,
                _: &mut std::task::Context<'_>,
            ) -> std::task::Poll<Option<Result<Frame, BodyError>>> {
                let bytes = self.0.take().map(Bytes::from_static);
                std::task::Poll::Ready(bytes.map(|bytes| Ok(Frame::Data(bytes))))
            }

            fn length(&self) -> Option<u64> {
                self.0.map(|bytes| bytes.len() as u64)
            }
        }
        for (keys, method, kept) in [
            ("attempts: 2", "PUT", true),
            ("attempts: 2", "POST", false),
            ("attempts: 2, retryNonIdempotentMethod: true", "POST", true),
            ("attempts: 2, maxRequestBodyBytes: 4", "PUT", true),
            ("attempts: 2, maxRequestBodyBytes: 3", "PUT", false),
            ("attempts: 2, maxRequestBodyBytes: -1", "PUT", true),
            ("attempts: 1", "PUT", false),
        ] {
            let mut exchange = Exchange::made_up(&format!("{method} /"));
            exchange.body = Body::Stream(Box::new(Known(Some(b"body"))));
            assert!(request(&*filter(&format!("retry: {{ {keys} }}")), &mut exchange).is_none());
            assert_eq!(matches!(exchange.body, Body::Full(_)), kept, "{keys} {method}");
            assert_eq!(&block_on(exchange.body.collect(9)).unwrap().0[..], b"body");
        }
    }

    #[test]
    fn a_budget_is_a_share_of_the_requests_and_a_few_more() {
        let budget = Budget::new(0.5, 1);
        (0..20).for_each(|_| budget.requests.add(0));
        let withdrawn = |second| (0..100).filter(|_| budget.withdraw_at(second)).count();
        assert_eq!(withdrawn(0), 20, "half of 20, and one for each of ten seconds");
        assert_eq!(withdrawn(5), 0);
        assert_eq!(withdrawn(10), 10, "requests and retries of long ago don't count");
    }

    #[test]
    fn a_budget_may_be_configured_or_shut() {
        let none = wanted("attempts: 2, budget: { ratio: 0, minPerSecond: 0 }");
        none.budget.deposit();
        assert!(!none.budget.withdraw());
        let default = wanted("attempts: 2");
        assert!((0..100).all(|_| default.budget.withdraw()), "ten for each of ten seconds");
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        assert_eq!(fault("retry: {}"), "retry: \"attempts\" is missing");
        let told = fault("retry: { attempts: 2, disableRetryOnNetworkError: true }");
        assert!(told.contains("nothing to retry on"), "{told}");
        assert!(fault("retry: { attempts: 2, budget: { ratio: 2 } }").contains("from 0 to 1"));
    }
}
