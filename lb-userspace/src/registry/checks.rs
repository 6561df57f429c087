//! Runs the checks: a task for each that asks something, and one that looks after time.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::{
    task::AbortHandle,
    time::{MissedTickBehavior, interval, sleep, timeout},
};

use super::{
    change::Wish,
    hub::Hub,
    probe::Prober,
    types::{Check, Kind, Status},
};

/// How often TTLs and critical instances are looked at.
const LOOK: Duration = Duration::from_millis(200);

/// The checks that run, and the time of those that wait for reports.
pub(crate) struct Checks {
    hub: Arc<Hub>,
    prober: Arc<Prober>,
    running: HashMap<String, Running>,
    seen: u64,
    reported: Arc<Reports>,
}

/// When each TTL check was last reported on.
#[derive(Debug, Default)]
pub(crate) struct Reports(Mutex<HashMap<String, Instant>>);

struct Running {
    check: Check,
    task: AbortHandle,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Reports {
    /// A client has reported, or registered, just now.
    pub(crate) fn note(&self, check: &str) {
        self.map().insert(check.to_owned(), Instant::now());
    }

    fn map(&self) -> std::sync::MutexGuard<'_, HashMap<String, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Checks {
    pub(crate) fn new(hub: Arc<Hub>, prober: Arc<Prober>, reported: Arc<Reports>) -> Self {
        Self { hub, prober, running: HashMap::new(), seen: 0, reported }
    }

    /// Follows the registry until dropped.
    pub(crate) async fn run(mut self) {
        let mut latest = self.hub.watch();
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.follow();
        loop {
            tokio::select! {
                changed = latest.changed() => match changed {
                    Ok(()) => self.follow(),
                    Err(_) => return,
                },
                _ = look.tick() => self.look().await,
            }
        }
    }

    /// Starts, changes and ends tasks as the registry has checks.
    fn follow(&mut self) {
        let state = self.hub.read();
        if state.catalog == self.seen && !self.running.is_empty() {
            return;
        }
        self.seen = state.catalog;
        self.running.retain(|id, _| state.checks.contains_key(id));
        let is_asked = |check: &&Check| !matches!(check.kind, Kind::Fixed | Kind::Ttl(_));
        for check in state.checks.values().filter(is_asked) {
            match self.running.get(&check.id) {
                Some(running) if is_same(&running.check, check) => {}
                _ => {
                    let task = run(check.clone(), self.hub.clone(), self.prober.clone());
                    let task = tokio::spawn(task).abort_handle();
                    self.running.insert(check.id.clone(), Running { check: check.clone(), task });
                }
            }
        }
    }

    /// TTLs that ran out, and instances that have been critical for too long.
    async fn look(&self) {
        let mut wishes = Vec::new();
        {
            let state = self.hub.read();
            let now = Instant::now();
            let mut reported = self.reported.map();
            reported.retain(|id, _| state.checks.contains_key(id));
            for check in state.checks.values() {
                let Kind::Ttl(ttl) = check.kind else { continue };
                // After a start, everybody has the whole time again.
                let last = *reported.entry(check.id.clone()).or_insert(now);
                if check.status != Status::Critical && now.duration_since(last) > ttl {
                    wishes.push(Wish::Found {
                        check: check.id.clone(),
                        created: check.created,
                        status: Status::Critical,
                        output: format!("TTL expired: no report within {} s", ttl.as_secs_f64()),
                    });
                }
            }
            for (id, since) in &state.critical {
                let Some(check) = state.checks.get(id) else { continue };
                let after = check.deregister_after.filter(|_| !check.instance.is_empty());
                if after.is_some_and(|after| now.duration_since(*since) > after) {
                    tracing::info!(
                        "registry: {} was critical for too long and goes",
                        check.instance
                    );
                    wishes.push(Wish::Deregister { id: check.instance.clone() });
                }
            }
        }
        for wish in wishes {
            self.hub.tell(wish).await;
        }
    }
}

/// Whether a running check needs no new task.
fn is_same(old: &Check, new: &Check) -> bool {
    let times = |check: &Check| (check.interval, check.timeout, check.rise, check.fall);
    old.kind == new.kind
        && times(old) == times(new)
        && (old.created, old.fall_to_warning) == (new.created, new.fall_to_warning)
}

/// Asks again and again.
async fn run(check: Check, hub: Arc<Hub>, prober: Arc<Prober>) {
    let mut streak = Streak::default();
    // The first comes soon, and not with those of all the others.
    sleep(spread(check.interval.min(Duration::from_millis(250)))).await;
    loop {
        let asked = prober.ask(&check);
        let asked = timeout(check.timeout, asked).await;
        let (status, output) = asked.unwrap_or_else(|_| {
            let after = check.timeout.as_secs_f64();
            (Status::Critical, format!("timed out after {after} s"))
        });
        if let Some(status) = streak.judge(&check, status) {
            let created = check.created;
            hub.tell(Wish::Found { check: check.id.clone(), created, status, output }).await;
        }
        sleep(check.interval).await;
    }
}

fn spread(most: Duration) -> Duration {
    most.mul_f64(fastrand::f64())
}

/// Results of one kind in a row.
#[derive(Debug, Default)]
struct Streak {
    good: u32,
    bad: u32,
}

impl Streak {
    /// The verdict, once there are enough of a kind.
    fn judge(&mut self, check: &Check, status: Status) -> Option<Status> {
        if status == Status::Critical {
            (self.good, self.bad) = (0, self.bad.saturating_add(1));
            let warns = check.fall_to_warning > 0 && self.bad >= check.fall_to_warning;
            return match () {
                () if self.bad >= check.fall.max(1) => Some(Status::Critical),
                () if warns => Some(Status::Warning),
                () => None,
            };
        }
        (self.good, self.bad) = (self.good.saturating_add(1), 0);
        (self.good >= check.rise.max(1)).then_some(status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_wants_as_many_in_a_row_as_the_check_says() {
        let check = Check { rise: 2, fall: 3, fall_to_warning: 2, ..Check::default() };
        let mut streak = Streak::default();
        let (bad, good) = (Status::Critical, Status::Passing);
        let judged: Vec<_> =
            [bad, bad, bad, good, good, bad].map(|s| streak.judge(&check, s)).into();
        let warning = Some(Status::Warning);
        assert_eq!(judged, [None, warning, Some(bad), None, Some(good), None]);
    }

    #[test]
    fn one_is_enough_where_the_check_says_nothing() {
        let mut streak = Streak::default();
        for status in [Status::Critical, Status::Passing, Status::Warning] {
            assert_eq!(streak.judge(&Check::default(), status), Some(status));
        }
    }
}
