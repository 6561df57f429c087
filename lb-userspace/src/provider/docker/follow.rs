//! The list of containers, then events; all over again now and then, and when the connection is
//! lost.

use std::{
    collections::{BTreeMap, HashMap},
    convert::Infallible,
    time::{Duration, Instant},
};

use bollard::{
    Docker,
    errors::Error,
    models::{EventMessage, EventMessageTypeEnum},
    query_parameters::{EventsOptionsBuilder, InspectContainerOptions, ListContainersOptions},
};
use futures_util::{FutureExt as _, StreamExt as _, stream};

use super::{
    super::{
        discovery::{Instance, Instances},
        link::Outlet,
    },
    connect::{connect, is_there, within},
    container,
};
use crate::model::{self, Shared};

/// Between full lists: what events should have missed, and whether the daemon still answers.
const RESYNC: Duration = Duration::from_secs(15);
/// Containers asked about at a time.
const AT_ONCE: usize = 8;
/// Events taken before what they came to is published.
const BURST: usize = 256;
/// Signals that end a container, beside its own `STOPSIGNAL`: INT, QUIT, KILL, TERM.
const ENDING: [&str; 4] = ["2", "3", "9", "15"];
/// How long after such a signal a container that still runs counts again.
const SURVIVED: Duration = Duration::from_secs(60);

/// Follows the daemon until that fails.
pub(super) async fn follow(
    settings: &model::Docker,
    outlet: &Outlet<Instances>,
) -> Result<Infallible, String> {
    let docker = connect(settings).await?;
    let mut follower =
        Follower { docker, settings, containers: BTreeMap::new(), leaving: HashMap::new() };
    // Events are told from a time of the daemon's own clock on, so that none is missed between the
    // list and them.
    let info = within(settings.timeout, follower.docker.info()).await?;
    follower.list().await?;
    outlet.publish(follower.state());
    if !settings.watch {
        return std::future::pending().await;
    }
    let since = info.system_time.and_then(|time| unix(&time));
    follower.events(since, outlet).await
}

struct Follower<'a> {
    docker: Docker,
    settings: &'a model::Docker,
    containers: BTreeMap<String, Shared<Instance>>,
    /// Told to stop, and when.
    leaving: HashMap<String, Instant>,
}

impl Follower<'_> {
    /// Containers in force, those that are being stopped marked so.
    fn state(&self) -> Instances {
        let mark = |instance: &Shared<Instance>| {
            let mut marked = instance.clone();
            if self.leaving.contains_key(&instance.id) {
                marked.leaving = true;
            }
            marked
        };
        self.containers.values().map(mark).collect()
    }

    async fn list(&mut self) -> Result<(), String> {
        let options = ListContainersOptions::default();
        let listed = self.docker.list_containers(Some(options));
        let listed = within(self.settings.timeout, listed).await?;
        let ids: Vec<String> = listed.into_iter().filter_map(|one| one.id).collect();
        let this = &*self;
        let mut asked = stream::iter(ids)
            .map(|id| async move { this.inspect(&id).await })
            .buffer_unordered(AT_ONCE);
        let mut found = BTreeMap::new();
        while let Some(instance) = asked.next().await {
            found.extend(instance?.map(|instance| (instance.id.clone(), instance.into())));
        }
        drop(asked);
        self.containers = found;
        let containers = &self.containers;
        self.leaving.retain(|id, since| containers.contains_key(id) && since.elapsed() < SURVIVED);
        Ok(())
    }

    /// A container as it is now; `None` where it is gone or doesn't run.
    async fn inspect(&self, id: &str) -> Result<Option<Instance>, String> {
        let Some(found) = self.ask(id).await? else { return Ok(None) };
        let network_of = match container::shares_network_of(&found) {
            Some(other) => self.ask(other).await?,
            None => None,
        };
        Ok(container::instance(&found, network_of.as_ref(), self.settings))
    }

    async fn ask(
        &self,
        id: &str,
    ) -> Result<Option<bollard::models::ContainerInspectResponse>, String> {
        let asked = self.docker.inspect_container(id, None::<InspectContainerOptions>);
        let asked = asked.map(|answer| match answer {
            Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
            answer => answer.map(Some),
        });
        within(self.settings.timeout, asked).await
    }

    async fn events(
        &mut self,
        since: Option<i64>,
        outlet: &Outlet<Instances>,
    ) -> Result<Infallible, String> {
        let kinds = vec!["container".to_owned(), "network".to_owned()];
        let mut options =
            EventsOptionsBuilder::new().filters(&HashMap::from([("type".to_owned(), kinds)]));
        if let Some(since) = since {
            options = options.since(&since.to_string());
        }
        let docker = self.docker.clone();
        let mut events = Box::pin(docker.events(Some(options.build())));
        let mut resync = tokio::time::interval(RESYNC);
        resync.reset();
        loop {
            tokio::select! {
                event = events.next() => {
                    self.event(event).await?;
                    for _ in 1..BURST {
                        let Some(event) = events.next().now_or_never() else { break };
                        self.event(event).await?;
                    }
                }
                _ = resync.tick() => {
                    is_there(self.settings).await?;
                    self.list().await?;
                }
            }
            outlet.publish(self.state());
        }
    }

    async fn event(&mut self, event: Option<Result<EventMessage, Error>>) -> Result<(), String> {
        let event =
            event.ok_or("the stream of events ended")?.map_err(|error| error.to_string())?;
        let actor = event.actor.unwrap_or_default();
        let attributes = actor.attributes.unwrap_or_default();
        let action = event.action.unwrap_or_default();
        let id = match event.typ {
            Some(EventMessageTypeEnum::CONTAINER) => actor.id.unwrap_or_default(),
            // A container came into a network, or left it.
            _ => attributes.get("container").cloned().unwrap_or_default(),
        };
        if id.is_empty() || action.starts_with("exec_") {
            return Ok(());
        }
        match action.as_str() {
            "die" | "destroy" => {
                self.containers.remove(&id);
                self.leaving.remove(&id);
            }
            "kill" => {
                if self.is_ending(&id, attributes.get("signal"))
                    && self.containers.contains_key(&id)
                {
                    self.leaving.insert(id, Instant::now());
                }
            }
            _ => match self.inspect(&id).await? {
                Some(instance) => drop(self.containers.insert(id, instance.into())),
                None => drop(self.containers.remove(&id)),
            },
        }
        Ok(())
    }

    /// Whether a signal ends the container.
    fn is_ending(&self, _id: &str, signal: Option<&String>) -> bool {
        signal.is_none_or(|signal| ENDING.contains(&signal.as_str()))
    }
}

/// Seconds since the epoch of a time such as `2024-05-01T10:20:30.5Z`.
fn unix(time: &str) -> Option<i64> {
    let number = |range: std::ops::Range<usize>| time.get(range)?.parse::<i64>().ok();
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    // Days from civil (Howard Hinnant), the year beginning in March.
    let (y, m) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let era = y.div_euclid(400);
    let year_of_era = y - era * 400;
    let day_of_year = (153 * m + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = era * 146_097 + day_of_era - 719_468;
    Some(days * 86_400 + hour * 3600 + minute * 60 + second)
}
