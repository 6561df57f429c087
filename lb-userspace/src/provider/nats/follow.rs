//! Following a bucket over one connection.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use async_nats::jetstream::{
    self,
    kv::{Entry, Operation, Watch},
};
use futures_util::{FutureExt, StreamExt};

use super::state::State;
use crate::{
    model::NatsProvider,
    nats::{
        AGREED, Agreed,
        bucket::bucket,
        link::{Link, chain},
    },
    provider::link::Outlet,
};

/// Entries that are taken in before a state is made of them.
const BURST: usize = 10_000;
/// How long it may take to open the bucket, all questions together.
const OPENING: Duration = Duration::from_secs(10);

/// When the connection was lost last: who was alive then could not renew since.
#[derive(Debug, Default)]
pub(super) struct Outage(Mutex<Option<SystemTime>>);

impl Outage {
    fn began(&self) {
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        since.get_or_insert_with(SystemTime::now);
    }

    fn over(&self) -> Option<SystemTime> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Publishes states until the connection breaks.
pub(super) async fn follow(
    settings: &NatsProvider,
    outage: &Outage,
    agreed: &Agreed,
    outlet: &Outlet<State>,
) -> Result<Infallible, String> {
    let mut link = Link::open(&settings.server, "lb providers.nats").await?;
    let context = jetstream::new(link.client.clone());
    let opened = async {
        let bucket = bucket(&context, &settings.bucket, 1).await?;
        agreed.join(&bucket).await?;
        let told = |e: &dyn std::error::Error| format!("bucket: {}", chain(e));
        let status = bucket.status().await.map_err(|e| told(&e))?;
        let watch = bucket.watch_with_history(">").await.map_err(|e| told(&e))?;
        Ok::<_, String>((status.values(), watch))
    };
    let (values, watch) = tokio::select! {
        opened = tokio::time::timeout(OPENING, opened) => {
            opened.map_err(|_| "the bucket doesn't answer".to_owned())??
        }
        why = link.broken() => return Err(why),
    };
    let mut following = Following {
        root: root(&settings.root),
        state: State::default(),
        deadlines: BTreeMap::new(),
        is_whole: values == 0,
        lost: outage.over(),
        begun: SystemTime::now(),
        agreed,
    };
    if following.is_whole {
        outlet.publish(following.state.clone());
    }
    let why = tokio::select! {
        why = link.broken() => why,
        why = following.run(watch, outlet) => why,
    };
    outage.began();
    Err(why)
}

/// What keys begin with, its slash included.
fn root(written: &str) -> String {
    match written.trim_matches('/') {
        "" => String::new(),
        root => format!("{root}/"),
    }
}

struct Following<'a> {
    root: String,
    state: State,
    /// When keys go that aren't renewed.
    deadlines: BTreeMap<String, SystemTime>,
    /// Whether all that was there at the beginning has been read.
    is_whole: bool,
    /// When the connection before this one was lost.
    lost: Option<SystemTime>,
    begun: SystemTime,
    agreed: &'a Agreed,
}

impl Following<'_> {
    async fn run(&mut self, mut watch: Watch, outlet: &Outlet<State>) -> String {
        loop {
            let next = self.deadlines.values().min().copied();
            let entry = tokio::select! {
                entry = watch.next() => entry,
                () = until(next) => {
                    self.expire();
                    outlet.publish(self.state.clone());
                    continue;
                }
            };
            let mut entry = entry;
            for _ in 0..BURST {
                match entry {
                    Some(Ok(one)) => self.take(&one),
                    Some(Err(error)) => return format!("bucket: {}", chain(&error)),
                    None => return "bucket: the watch ended".to_owned(),
                }
                match watch.next().now_or_never() {
                    Some(more) => entry = more,
                    None => break,
                }
            }
            if self.is_whole {
                self.expire();
                outlet.publish(self.state.clone());
            }
        }
    }

    fn take(&mut self, entry: &Entry) {
        self.is_whole |= entry.seen_current || entry.delta == 0;
        if entry.key == AGREED && entry.operation == Operation::Put {
            return self.agreed.tell(&entry.value);
        }
        let Some(key) = entry.key.strip_prefix(&self.root) else { return };
        self.deadlines.remove(key);
        match entry.operation {
            Operation::Put => {
                let ttl = self.state.put(key, &entry.value, entry.revision);
                if let Some(ttl) = ttl {
                    let created = SystemTime::from(entry.created);
                    self.deadlines.insert(key.to_owned(), self.deadline(created, ttl));
                }
            }
            Operation::Delete | Operation::Purge => self.state.remove(key),
        }
    }

    /// The time of the revision and the TTL, but for those that were alive when the connection was
    /// lost: they have had no chance to renew.
    fn deadline(&self, created: SystemTime, ttl: Duration) -> SystemTime {
        let deadline = created + ttl;
        match self.lost {
            Some(lost) if deadline >= lost => deadline.max(self.begun + ttl),
            _ => deadline,
        }
    }

    fn expire(&mut self) {
        let now = SystemTime::now();
        let state = &mut self.state;
        self.deadlines.retain(|key, deadline| {
            let stays = *deadline > now;
            if !stays {
                state.remove(key);
            }
            stays
        });
    }
}

async fn until(time: Option<SystemTime>) {
    match time {
        Some(time) => {
            let rest = time.duration_since(SystemTime::now()).unwrap_or_default();
            tokio::time::sleep(rest).await;
        }
        None => std::future::pending().await,
    }
}
