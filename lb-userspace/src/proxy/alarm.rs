//! Time-outs without timers: each connection has one deadline, and its worker looks through all of
//! them ten times a second. Setting one is a store; tokio's timers take a lock and a place in a
//! wheel each time.

use std::{
    cell::{Cell, RefCell},
    future::{Future, poll_fn},
    pin::pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

/// Between two looks: what deadlines are exact to.
pub(crate) const TICK: Duration = Duration::from_millis(100);

/// Seconds that a deadline can be away; ticks are counted in 32 bits, and wrap around.
const LONGEST: u64 = u32::MAX as u64 / 40;

/// It has been too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Elapsed;

/// Slots kept for the next alarms at most: each stream of HTTP/2 has some of its own.
const SPARE: usize = 256;

/// All alarms of a worker.
#[derive(Debug, Default)]
pub(crate) struct Alarms {
    common: Rc<Common>,
    all: RefCell<Vec<Rc<Slot>>>,
}

#[derive(Debug, Default)]
struct Common {
    now: Cell<u32>,
    /// Those of alarms that are gone, not set.
    spare: RefCell<Vec<Rc<Slot>>>,
}

#[derive(Debug, Default)]
struct Slot {
    /// The tick at which it goes off; 0 for never.
    deadline: Cell<u32>,
    fired: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

/// One connection's alarm.
#[derive(Debug)]
pub(crate) struct Alarm {
    slot: Rc<Slot>,
    common: Rc<Common>,
}

impl Alarms {
    /// A new one, not set.
    pub(crate) fn alarm(&self) -> Alarm {
        let spare = self.common.spare.borrow_mut().pop();
        let slot = spare.unwrap_or_else(|| {
            let slot = Rc::<Slot>::default();
            self.all.borrow_mut().push(Rc::clone(&slot));
            slot
        });
        Alarm { slot, common: Rc::clone(&self.common) }
    }

    /// Wakes whoever waits, to look around: nothing has gone off.
    pub(crate) fn wake(&self) {
        for slot in self.all.borrow().iter() {
            if let Some(waker) = slot.waker.borrow().as_ref() {
                waker.wake_by_ref();
            }
        }
    }

    /// A tick has passed: wakes those whose time is up, and forgets those that are gone.
    pub(crate) fn tick(&self) {
        let now = self.common.now.get().wrapping_add(1).max(1);
        self.common.now.set(now);
        self.all.borrow_mut().retain(|slot| {
            if Rc::strong_count(slot) == 1 {
                return false;
            }
            let deadline = slot.deadline.get();
            if deadline != 0 && now.wrapping_sub(deadline) < u32::MAX / 2 {
                slot.deadline.set(0);
                slot.fired.set(true);
                if let Some(waker) = slot.waker.borrow().as_ref() {
                    waker.wake_by_ref();
                }
            }
            true
        });
    }
}

impl Alarm {
    /// Goes off after `after`, a tick later at the most; never for 0.
    pub(crate) fn set(&self, after: Duration) {
        self.slot.fired.set(false);
        if after.is_zero() {
            self.slot.deadline.set(0);
            return;
        }
        // In 64 bits: several alarms are set for each request, and a division in 128 is a call.
        let seconds = after.as_secs().min(LONGEST);
        let millis = seconds * 1000 + u64::from(after.subsec_millis());
        let ticks = millis.div_ceil(TICK.as_millis() as u64) as u32;
        self.slot.deadline.set(self.common.now.get().wrapping_add(ticks + 1).max(1));
    }

    /// Never goes off.
    pub(crate) fn clear(&self) {
        self.set(Duration::ZERO);
    }

    /// Whether it has gone off; else the task is woken when it does.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<Elapsed> {
        if self.slot.fired.get() {
            return Poll::Ready(Elapsed);
        }
        let mut waker = self.slot.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Waits for `future`, or for the alarm as it is set.
    ///
    /// # Errors
    /// The alarm was first.
    pub(crate) async fn guard<T>(&self, future: impl Future<Output = T>) -> Result<T, Elapsed> {
        let mut future = pin!(future);
        poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Ok(done)),
            Poll::Pending => self.poll(cx).map(Err),
        })
        .await
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.clear();
        self.slot.waker.take();
        let mut spare = self.common.spare.borrow_mut();
        if spare.len() < SPARE {
            spare.push(Rc::clone(&self.slot));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has_gone_off(alarm: &Alarm) -> bool {
        alarm.poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn it_goes_off_a_tick_after_its_time_and_not_before() {
        let alarms = Alarms::default();
        let alarm = alarms.alarm();
        alarm.set(Duration::from_millis(250));
        for tick in 1..=4 {
            assert!(!has_gone_off(&alarm), "{tick}");
            alarms.tick();
        }
        assert!(has_gone_off(&alarm));
    }

    #[test]
    fn one_that_is_cleared_or_set_anew_is_silent() {
        let alarms = Alarms::default();
        let alarm = alarms.alarm();
        alarm.set(Duration::from_millis(100));
        alarms.tick();
        alarm.clear();
        (0..5).for_each(|_| alarms.tick());
        assert!(!has_gone_off(&alarm));
        alarm.set(Duration::from_millis(100));
        (0..5).for_each(|_| alarms.tick());
        assert!(has_gone_off(&alarm));
        alarm.set(Duration::from_secs(9));
        assert!(!has_gone_off(&alarm));
    }

    #[test]
    fn one_that_is_dropped_makes_way_for_the_next() {
        let alarms = Alarms::default();
        let kept = alarms.alarm();
        let other = alarms.alarm();
        other.set(Duration::from_millis(100));
        drop(other);
        let next = alarms.alarm();
        (0..5).for_each(|_| alarms.tick());
        assert!(!has_gone_off(&next));
        assert_eq!(alarms.all.borrow().len(), 2);
        drop(kept);
    }

    #[test]
    fn one_that_went_off_before_is_silent_in_its_next_use() {
        let alarms = Alarms::default();
        let first = alarms.alarm();
        first.set(Duration::from_millis(100));
        (0..5).for_each(|_| alarms.tick());
        assert!(has_gone_off(&first));
        drop(first);
        assert!(!has_gone_off(&alarms.alarm()));
    }

    #[test]
    fn many_that_are_dropped_are_forgotten() {
        let alarms = Alarms::default();
        drop((0..2 * SPARE).map(|_| alarms.alarm()).collect::<Vec<_>>());
        alarms.tick();
        assert_eq!(alarms.all.borrow().len(), SPARE);
    }
}
