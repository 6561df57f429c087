//! One backend's checks, one after the other, as long as it is configured.

use std::{
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, Ordering::Relaxed},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::{
    sync::{Semaphore, mpsc, watch},
    time::{Instant, sleep_until, timeout},
};

use super::{
    CheckResult, Counters,
    damping::Damping,
    outputs::{Budget, Outputs},
    probe::{self, Failure, Host, Probe, Span, Target},
};
use crate::{
    model::{BackendId, BackendState, Health, HealthCheck},
    reconcile::Event,
};

/// What is checked and how; replaced when the configuration changes.
pub(crate) struct Plan {
    pub(crate) check: HealthCheck,
    pub(crate) target: Target,
    probe: Box<dyn Probe>,
}

impl Plan {
    pub(crate) fn new(check: HealthCheck, target: Target) -> Self {
        let probe = probe::of(&check.kind, &target);
        Self { check, target, probe }
    }
}

/// What all tasks share.
pub(crate) struct Shared {
    pub(crate) host: Host,
    pub(crate) counters: Arc<Counters>,
    /// Checks that may hold a socket at once.
    pub(crate) sockets: Semaphore,
    /// Events that bring no more than new words.
    pub(crate) budget: Budget,
    pub(crate) events: mpsc::Sender<Event>,
}

/// What the monitor sees of a running task.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    /// State of the last event sent.
    state: AtomicU8,
    /// The snapshot says otherwise: send again.
    resend: AtomicBool,
}

impl Shown {
    /// Asks for the verdict to be sent again when `seen` isn't what was sent last.
    pub(crate) fn compare(&self, seen: BackendState) {
        if self.state.load(Relaxed) != seen as u8 {
            self.resend.store(true, Relaxed);
        }
    }
}

/// A backend under check.
pub(crate) struct Task {
    id: BackendId,
    shared: Arc<Shared>,
    shown: Arc<Shown>,
    plan: watch::Receiver<Arc<Plan>>,
    damping: Damping,
    health: Health,
    outputs: Outputs,
}

impl Task {
    /// A backend whose verdict so far is `start`.
    pub(crate) fn new(
        id: BackendId,
        shared: Arc<Shared>,
        plan: watch::Receiver<Arc<Plan>>,
        start: Health,
    ) -> Self {
        let (rise, fall) = {
            let plan = plan.borrow();
            (plan.check.rise, plan.check.fall)
        };
        let damping = Damping::new(rise, fall, start.state);
        let health = Health { state: damping.state(), ..start };
        let shown = Arc::new(Shown::default());
        shown.state.store(health.state as u8, Relaxed);
        Self { id, shared, shown, plan, damping, health, outputs: Outputs::default() }
    }

    /// The monitor's view of it.
    pub(crate) fn shown(&self) -> Arc<Shown> {
        Arc::clone(&self.shown)
    }

    /// Checks until the plan's sender or the events' receiver is gone.
    /// The first check comes after `wait`.
    pub(crate) async fn run(mut self, wait: Duration) {
        if self.shown.resend.swap(false, Relaxed) && self.send().await.is_break() {
            return;
        }
        let mut next = Instant::now() + wait;
        while self.pause(next).await.is_continue() {
            let plan = Arc::clone(&self.plan.borrow());
            let started = Instant::now();
            let mut changes = self.plan.clone();
            let result = tokio::select! {
                result = checked(&plan, &self.shared) => result,
                // What the old check would say no longer matters.
                _ = changes.changed() => continue,
            };
            if self.conclude(result).await.is_break() {
                return;
            }
            next = started + jittered(self.interval(&plan.check));
        }
    }

    /// How long until the next check, by the verdict so far.
    fn interval(&self, check: &HealthCheck) -> Duration {
        match self.health.state {
            BackendState::Down => check.unhealthy_interval.unwrap_or(check.interval),
            _ => check.interval,
        }
    }

    /// Waits for the next check, or for a changed one, which comes at once.
    async fn pause(&mut self, next: Instant) -> ControlFlow<()> {
        tokio::select! {
            biased;
            changed = self.plan.changed() => {
                if changed.is_err() {
                    return ControlFlow::Break(());
                }
                let check = &self.plan.borrow_and_update().check;
                self.damping.retarget(check.rise, check.fall);
                ControlFlow::Continue(())
            }
            () = sleep_until(next) => ControlFlow::Continue(()),
        }
    }

    /// Counts a result and tells what has changed.
    async fn conclude(&mut self, result: Result<Passed, Failure>) -> ControlFlow<()> {
        let kind = kind_of(&result);
        self.shared.counters.count_check(kind);
        let (key, output) = match result {
            Ok(Passed { what, took }) => (what.clone(), format!("{what} in {}", Span(took))),
            Err(failure) => (failure.to_string(), failure.to_string()),
        };
        let verdict = match kind {
            CheckResult::Error => None,
            kind => self.damping.observe(kind == CheckResult::Pass),
        };
        if let Some(state) = verdict {
            self.turn(state, &output);
        }
        let resend = self.shown.resend.swap(false, Relaxed);
        let told = verdict.is_some() || resend;
        if self.outputs.admit(&key, told, Instant::now(), &self.shared.budget) {
            self.health.last_output = output;
            return self.send().await;
        }
        ControlFlow::Continue(())
    }

    /// Takes a new verdict. The first one of a backend is no transition.
    fn turn(&mut self, state: BackendState, output: &str) {
        self.shared.counters.count_verdict(state == BackendState::Up);
        self.health.transitions += u64::from(self.health.state != BackendState::Pending);
        self.health.state = state;
        self.health.since =
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let (address, service) = (self.id.address, &self.id.service);
        match state {
            BackendState::Up => tracing::info!("backend {address} of {service} is up: {output}"),
            _ => tracing::warn!("backend {address} of {service} is {}: {output}", state.name()),
        }
    }

    async fn send(&mut self) -> ControlFlow<()> {
        self.shown.state.store(self.health.state as u8, Relaxed);
        let event = Event::Health { backend: self.id.clone(), health: self.health.clone() };
        match self.shared.events.send(event).await {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }
}

/// What passed, and how long it took.
struct Passed {
    what: String,
    took: Duration,
}

/// One check within its time. Waiting for a socket is not the server's time.
async fn checked(plan: &Plan, shared: &Shared) -> Result<Passed, Failure> {
    let Ok(_socket) = shared.sockets.acquire().await else {
        return Err(Failure::Local("could not check: the daemon ends".into()));
    };
    let started = Instant::now();
    let limit = plan.check.timeout;
    match timeout(limit, plan.probe.check(&plan.target, &shared.host)).await {
        Ok(result) => result.map(|what| Passed { what, took: started.elapsed() }),
        Err(_) => Err(Failure::Timeout(limit)),
    }
}

fn kind_of(result: &Result<Passed, Failure>) -> CheckResult {
    match result {
        Ok(_) => CheckResult::Pass,
        Err(Failure::Server(_)) => CheckResult::Fail,
        Err(Failure::Timeout(_)) => CheckResult::Timeout,
        Err(Failure::Local(_)) => CheckResult::Error,
    }
}

/// The interval ±10%, so that checks of many backends don't fall into step.
fn jittered(interval: Duration) -> Duration {
    interval.mul_f64(0.9 + 0.2 * fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_stays_within_a_tenth() {
        for _ in 0..10_000 {
            let pause = jittered(Duration::from_secs(10));
            assert!((9_000..=11_000).contains(&pause.as_millis()), "{pause:?}");
        }
    }

    #[test]
    fn jitter_spreads() {
        let pauses: Vec<_> = (0..1000).map(|_| jittered(Duration::from_secs(10))).collect();
        assert!(pauses.iter().any(|p| p.as_millis() < 9_500));
        assert!(pauses.iter().any(|p| p.as_millis() > 10_500));
    }
}
