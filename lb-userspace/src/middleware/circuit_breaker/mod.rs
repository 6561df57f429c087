//! `circuitBreaker`: spares a service that fails, and comes back to it little by little.

mod histogram;
mod meters;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use meters::{Measure, Meters};

use super::{Kind, Surroundings, expression::Expression, reasons};
use crate::{
    config::{
        decode::{At, object},
        values::Whole,
    },
    model::{Fault, Id},
    proxy::{Exchange, Filter, Reply, Step},
};

object! {
    /// Its keys.
    pub(crate) struct Raw {
        expression: String = "expression",
        check_period: Duration = "checkPeriod",
        fallback_duration: Duration = "fallbackDuration",
        recovery_duration: Duration = "recoveryDuration",
        response_code: Whole<200, 599> = "responseCode",
    }
}

/// Its settings.
#[derive(Clone, Debug, PartialEq)]
pub struct CircuitBreaker {
    expression: Expression<Measure>,
    check_period: Duration,
    fallback: Duration,
    recovery: Duration,
    status: u16,
}

const CHECK_PERIOD: Duration = Duration::from_millis(100);
const TEN_SECONDS: Duration = Duration::from_secs(10);

impl Kind for CircuitBreaker {
    type Raw = Raw;

    fn check(raw: &At<Raw>, faults: &mut Vec<Fault>) -> Option<Self> {
        let at = raw.value.expression.required("expression", &raw.spot, faults)?;
        let expression =
            Expression::parse(&at.value).map_err(|why| faults.push(at.spot.fault(why)));
        Some(Self {
            expression: expression.ok()?,
            check_period: raw.value.check_period.or(CHECK_PERIOD),
            fallback: raw.value.fallback_duration.or(TEN_SECONDS),
            recovery: raw.value.recovery_duration.or(TEN_SECONDS),
            status: raw.value.response_code.get().map_or(503, |status| status.u16()),
        })
    }

    fn filter(&self, surroundings: &Surroundings<'_>) -> Result<Arc<dyn Filter>, String> {
        let names = (surroundings.router.clone(), surroundings.id.clone());
        Ok(Arc::new(Breaker::new(self.clone(), names)))
    }
}

/// How often a circuit changed its state, by router, middleware and the state that it came to:
/// `open`, `recovering` or `closed`.
pub fn circuit_changes() -> BTreeMap<(Id, Id, &'static str), u64> {
    CHANGES.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Written where a state changes, which is rare, and never on the way of a request otherwise.
static CHANGES: Mutex<BTreeMap<(Id, Id, &'static str), u64>> = Mutex::new(BTreeMap::new());

/// A state and when it began, in one word: microseconds, and two bits for the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// All pass.
    Closed,
    /// None pass.
    Open,
    /// Ever more pass.
    Recovering,
}

impl State {
    const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::Recovering => "recovering",
        }
    }

    fn pack(self, since: u64) -> u64 {
        since << 2 | self as u64
    }

    fn unpack(word: u64) -> (Self, u64) {
        let state = match word & 3 {
            0 => Self::Closed,
            1 => Self::Open,
            _ => Self::Recovering,
        };
        (state, word >> 2)
    }
}

struct Breaker {
    settings: CircuitBreaker,
    names: (Id, Id),
    start: Instant,
    state: AtomicU64,
    meters: Meters,
    /// Microseconds; of the last look at the meters.
    checked: AtomicU64,
    /// While recovering.
    passed: AtomicU64,
    refused: AtomicU64,
}

impl Filter for Breaker {
    fn request<'a>(&'a self, _: &'a mut Exchange) -> Step<'a> {
        if State::unpack(self.state.load(Relaxed)).0 == State::Closed || self.passes(self.now()) {
            return Step::Next;
        }
        let text = "Service Unavailable: the circuit is open";
        Step::Reply(Reply::text(self.settings.status, reasons::CIRCUIT_OPEN, text))
    }

    fn done(&self, exchange: &Exchange) {
        if exchange.answer.reason != Some(reasons::CIRCUIT_OPEN) {
            let now = self.now();
            self.note(exchange, now);
            self.look(now);
        }
    }
}

impl Breaker {
    fn new(settings: CircuitBreaker, names: (Id, Id)) -> Self {
        Self {
            meters: Meters::new(&settings.expression),
            settings,
            names,
            start: Instant::now(),
            state: AtomicU64::new(State::Closed.pack(0)),
            checked: AtomicU64::new(0),
            passed: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    /// Microseconds since the start.
    fn now(&self) -> u64 {
        micros(self.start.elapsed())
    }

    /// Whether a request passes while the circuit isn't closed.
    fn passes(&self, now: u64) -> bool {
        let word = self.state.load(Relaxed);
        match State::unpack(word) {
            (State::Closed, _) => true,
            (State::Open, since) => {
                let over = now.saturating_sub(since) >= micros(self.settings.fallback);
                over && {
                    self.change(word, State::Recovering, now);
                    self.passes(now)
                }
            }
            (State::Recovering, since) => {
                let (elapsed, whole) = (now.saturating_sub(since), micros(self.settings.recovery));
                if elapsed >= whole {
                    self.change(word, State::Closed, now);
                    return true;
                }
                self.recovers(elapsed as f64 / whole as f64)
            }
        }
    }

    /// Lets as many pass as keep their share below `share` of all.
    fn recovers(&self, share: f64) -> bool {
        let (passed, refused) = (self.passed.load(Relaxed), self.refused.load(Relaxed));
        let fits = ((passed + 1) as f64) < share * (passed + refused + 1) as f64;
        let count = if fits { &self.passed } else { &self.refused };
        count.fetch_add(1, Relaxed);
        fits
    }

    fn note(&self, exchange: &Exchange, now: u64) {
        if State::unpack(self.state.load(Relaxed)).0 != State::Open {
            self.meters.note(exchange, now / 1_000_000);
        }
    }

    /// Looks at the meters where that is due, and opens the circuit where the expression holds.
    fn look(&self, now: u64) {
        let word = self.state.load(Relaxed);
        let checked = self.checked.load(Relaxed);
        let is_due = now.saturating_sub(checked) >= micros(self.settings.check_period);
        if State::unpack(word).0 == State::Open
            || !is_due
            || self.checked.compare_exchange(checked, now, Relaxed, Relaxed).is_err()
        {
            return;
        }
        let second = now / 1_000_000;
        if self.settings.expression.holds(&|measure| self.meters.value(measure, second)) {
            self.change(word, State::Open, now);
        }
    }

    /// Changes the state, once whoever sees that it is time.
    fn change(&self, from: u64, to: State, now: u64) {
        if self.state.compare_exchange(from, to.pack(now), Relaxed, Relaxed).is_err() {
            return;
        }
        if to != State::Recovering {
            self.meters.clear();
        }
        self.passed.store(0, Relaxed);
        self.refused.store(0, Relaxed);
        let (router, id) = &self.names;
        tracing::info!("{id} of {router}: the circuit is {}", to.name());
        let mut changes = CHANGES.lock().unwrap_or_else(PoisonError::into_inner);
        *changes.entry((router.clone(), id.clone(), to.name())).or_default() += 1;
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX >> 2)
}

#[cfg(test)]
mod tests;
