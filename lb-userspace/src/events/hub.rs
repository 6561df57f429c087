//! The ring of the latest events, and its readers.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use tokio::sync::watch;

use super::{Event, What};

/// Events that the ring keeps unless the configuration says otherwise.
const CAPACITY: usize = 16_384;

/// Where events go, and whence they are read.
#[derive(Debug)]
pub struct Hub {
    /// Tells this run's events from those of others.
    run: String,
    ring: Mutex<Ring>,
    /// The number of the latest event; readers wait on it.
    latest: watch::Sender<u64>,
    told: Vec<AtomicU64>,
    lost: [AtomicU64; Loss::ALL.len()],
}

#[derive(Debug)]
struct Ring {
    node: String,
    events: VecDeque<Arc<Event>>,
    capacity: usize,
    /// Of the next event.
    next: u64,
    is_closed: bool,
}

/// Why somebody didn't get an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// A reader of `/api/events` was slower than the ring.
    SlowReader,
    /// NATS was away for longer than the ring lasts.
    NatsAway,
    /// More happened at once than the ring holds, while NATS took what it could.
    BufferFull,
    /// NATS refused it: its stream is full, or takes no such messages.
    NatsRefused,
}

impl Loss {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::SlowReader, Self::NatsAway, Self::BufferFull, Self::NatsRefused];

    /// The label of `lb_events_dropped_total`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SlowReader => "slow_reader",
            Self::NatsAway => "nats_away",
            Self::BufferFull => "buffer_full",
            Self::NatsRefused => "nats_refused",
        }
    }
}

/// How many there were since the daemon's start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// By type.
    pub told: BTreeMap<&'static str, u64>,
    /// By [`Loss::name`].
    pub lost: BTreeMap<&'static str, u64>,
}

/// Where a reader begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place<'a> {
    /// With what happens from now on.
    Now,
    /// With the oldest that the ring has.
    Oldest,
    /// Behind the event of this id; one of another run stands before all of this one.
    Behind(&'a str),
}

/// What a reader gets.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// The next event.
    Event(Arc<Event>),
    /// So many are lost, because it was too slow.
    Lost(u64),
    /// The daemon ends.
    End,
}

impl Default for Hub {
    fn default() -> Self {
        Self::new("lb")
    }
}

impl Hub {
    /// An empty one of this node.
    pub fn new(node: &str) -> Self {
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos());
        let ring = Ring {
            node: node.to_owned(),
            events: VecDeque::new(),
            capacity: CAPACITY,
            next: 1,
            is_closed: false,
        };
        Self {
            run: format!("{nanos:x}"),
            ring: Mutex::new(ring),
            latest: watch::Sender::new(0),
            told: What::TYPES.iter().map(|_| AtomicU64::new(0)).collect(),
            lost: Default::default(),
        }
    }

    /// Whose events these are from now on, and how many are kept.
    pub fn follow(&self, node: &str, capacity: Option<usize>) {
        let mut ring = self.ring();
        node.clone_into(&mut ring.node);
        ring.capacity = capacity.unwrap_or(CAPACITY);
        ring.trim();
    }

    /// Tells what happened.
    pub fn tell(&self, what: &What) {
        let kind = What::TYPES.iter().position(|name| *name == what.name());
        if let Some(count) = kind.and_then(|kind| self.told.get(kind)) {
            count.fetch_add(1, Relaxed);
        }
        let mut ring = self.ring();
        let seq = ring.next;
        let event = Event::new(&self.run, seq, &ring.node, what, SystemTime::now());
        ring.events.push_back(Arc::new(event));
        ring.next += 1;
        ring.trim();
        drop(ring);
        self.latest.send_replace(seq);
    }

    /// No more will come: readers end when they have read what there is.
    pub fn close(&self) {
        self.ring().is_closed = true;
        // Wakes them.
        self.latest.send_modify(|_| ());
    }

    /// A reader.
    pub fn reader(self: &Arc<Self>, place: Place<'_>) -> Reader {
        let ring = self.ring();
        let next = match place {
            Place::Now => ring.next,
            Place::Oldest => ring.oldest(),
            Place::Behind(id) => match self.number(id) {
                Some(seq) => (seq + 1).min(ring.next),
                None => ring.oldest(),
            },
        };
        Reader { hub: Arc::clone(self), next, latest: self.latest.subscribe() }
    }

    /// The number of an event of this run.
    fn number(&self, id: &str) -> Option<u64> {
        let (run, seq) = id.trim().rsplit_once('-')?;
        seq.parse().ok().filter(|_| run == self.run)
    }

    /// Counts events that somebody didn't get.
    pub fn lose(&self, why: Loss, count: u64) {
        self.lost[why as usize].fetch_add(count, Relaxed);
    }

    /// What was counted.
    pub fn counts(&self) -> Counts {
        let told = What::TYPES.iter().zip(&self.told);
        Counts {
            told: told.map(|(name, count)| (*name, count.load(Relaxed))).collect(),
            lost: Loss::ALL
                .iter()
                .map(|why| (why.name(), self.lost[*why as usize].load(Relaxed)))
                .collect(),
        }
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ring {
    fn oldest(&self) -> u64 {
        self.next - self.events.len() as u64
    }

    fn trim(&mut self) {
        let over = self.events.len().saturating_sub(self.capacity);
        self.events.drain(..over);
    }
}

/// Reads events one after the other.
#[derive(Debug)]
pub struct Reader {
    hub: Arc<Hub>,
    next: u64,
    latest: watch::Receiver<u64>,
}

impl Reader {
    /// The next one; waits for it. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Next {
        loop {
            // Before the look at the ring, so that nothing comes in between unseen.
            self.latest.borrow_and_update();
            if let Some(next) = self.take() {
                return next;
            }
            if self.latest.changed().await.is_err() {
                return Next::End;
            }
        }
    }

    /// What is there already; `None` when it would have to wait.
    pub fn at_once(&mut self) -> Option<Next> {
        self.take()
    }

    /// The number of the event that comes next.
    pub fn position(&self) -> u64 {
        self.next
    }

    /// Goes to an event, to read it again or to pass over others.
    pub fn seek(&mut self, next: u64) {
        self.next = next;
    }

    /// How many of those that would come next are lost by now, if any; they are passed over.
    pub fn lost(&mut self) -> Option<u64> {
        let oldest = self.hub.ring().oldest();
        let lost = oldest.checked_sub(self.next).filter(|lost| *lost > 0)?;
        self.next = oldest;
        Some(lost)
    }

    fn take(&mut self) -> Option<Next> {
        if let Some(lost) = self.lost() {
            return Some(Next::Lost(lost));
        }
        let ring = self.hub.ring();
        let oldest = ring.oldest();
        match self.next.checked_sub(oldest).and_then(|at| ring.events.get(at as usize)) {
            Some(event) => {
                self.next += 1;
                Some(Next::Event(Arc::clone(event)))
            }
            None => ring.is_closed.then_some(Next::End),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    fn told(count: u64, capacity: usize) -> Arc<Hub> {
        let hub = Arc::new(Hub::new("n"));
        hub.follow("n", Some(capacity));
        for generation in 0..count {
            hub.tell(&What::DaemonStarted { version: "0", generation });
        }
        hub
    }

    /// Numbers of events until nothing is left; lost ones negative.
    fn all(mut reader: Reader) -> Vec<i64> {
        reader.hub.close();
        let mut out = Vec::new();
        loop {
            match block(reader.next()) {
                Next::Event(event) => out.push(event.seq as i64),
                Next::Lost(count) => out.push(-(count as i64)),
                Next::End => return out,
            }
        }
    }

    #[test]
    fn reader_of_now_sees_what_comes_later() {
        let hub = told(3, 10);
        let reader = hub.reader(Place::Now);
        hub.tell(&What::DaemonStopping { reason: String::new() });
        assert_eq!(all(reader), [4]);
    }

    #[test]
    fn reader_goes_on_behind_an_event() {
        let hub = told(5, 10);
        let id = format!("{}-3", hub.run);
        assert_eq!(all(hub.reader(Place::Behind(&id))), [4, 5]);
    }

    #[test]
    fn id_of_another_run_stands_before_all() {
        for id in ["0-2", "", "nonsense", "x-y-z"] {
            assert_eq!(all(told(2, 10).reader(Place::Behind(id))), [1, 2], "{id}");
        }
    }

    #[test]
    fn id_that_is_still_to_come_waits_for_the_next() {
        let hub = told(2, 10);
        let id = format!("{}-99", hub.run);
        let reader = hub.reader(Place::Behind(&id));
        hub.tell(&What::DaemonStopping { reason: String::new() });
        assert_eq!(all(reader), [3]);
    }

    #[test]
    fn slow_reader_is_told_how_many_it_lost() {
        let hub = told(1, 4);
        let reader = hub.reader(Place::Oldest);
        for generation in 0..10 {
            hub.tell(&What::DaemonStarted { version: "0", generation });
        }
        assert_eq!(all(reader), [-7, 8, 9, 10, 11]);
    }

    #[test]
    fn event_that_was_not_dealt_with_comes_again() {
        let hub = told(2, 10);
        let mut reader = hub.reader(Place::Oldest);
        assert!(matches!(block(reader.next()), Next::Event(event) if event.seq == 1));
        reader.seek(1);
        assert_eq!(all(reader), [1, 2]);
    }

    #[test]
    fn smaller_ring_gives_up_the_oldest() {
        let hub = told(5, 10);
        hub.follow("n", Some(2));
        assert_eq!(all(hub.reader(Place::Oldest)), [4, 5]);
    }

    #[test]
    fn what_was_told_and_lost_is_counted() {
        let hub = told(3, 10);
        hub.lose(Loss::NatsAway, 7);
        let counts = hub.counts();
        assert_eq!(counts.told["lb.daemon.started"], 3);
        assert_eq!(counts.told["lb.health.changed"], 0);
        assert_eq!((counts.lost["nats_away"], counts.lost["slow_reader"]), (7, 0));
    }
}
