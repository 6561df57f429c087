//! Lists of services and tasks: every so often, soon after each event, and often for a while after
//! one that changes a service, whose tasks follow it without a word on other nodes.

use std::{
    collections::{BTreeMap, HashMap},
    convert::Infallible,
    time::{Duration, Instant},
};

use bollard::{
    Docker,
    errors::Error,
    models::{EventMessage, EventMessageTypeEnum, LocalNodeState, Service},
    query_parameters::{
        EventsOptionsBuilder, ListNetworksOptions, ListNodesOptions, ListServicesOptions,
    },
};
use futures_util::StreamExt as _;
use tokio::time::{sleep, sleep_until};

use super::{
    super::{
        client::Client,
        discovery::Instances,
        docker::connect::{connect, is_there, within},
        link::Outlet,
    },
    task::{Swarm, Task},
};
use crate::model::{self, ClientTls, Shared};

/// What a burst of events may take.
const REST: Duration = Duration::from_millis(50);
/// Between lists while tasks are on their way.
const SOON: Duration = Duration::from_millis(500);
/// How long that goes on after a service has changed.
const ON_THEIR_WAY: Duration = Duration::from_secs(30);

/// Follows the manager until that fails.
pub(super) async fn follow(
    settings: &model::Swarm,
    outlet: &Outlet<Instances>,
) -> Result<Infallible, String> {
    let docker = connect(&settings.docker).await?;
    let info = within(settings.docker.timeout, docker.info()).await?;
    let swarm = info.swarm.unwrap_or_default();
    if swarm.local_node_state != Some(LocalNodeState::ACTIVE)
        || swarm.control_available != Some(true)
    {
        return Err("this Docker is no manager of a swarm".to_owned());
    }
    let none = ClientTls::default();
    let tls = settings.docker.tls.as_ref();
    let url = match (settings.docker.endpoint.split_once("://"), tls) {
        (Some(("tcp", rest)), Some(_)) => format!("https://{rest}"),
        (Some(("tcp", rest)), None) => format!("http://{rest}"),
        _ => settings.docker.endpoint.clone(),
    };
    let follower =
        Follower { client: Client::new(&url, tls.unwrap_or(&none), None)?, docker, settings };
    outlet.publish(follower.list().await?);
    if !settings.docker.watch {
        return std::future::pending().await;
    }
    follower.run(outlet).await
}

struct Follower<'a> {
    docker: Docker,
    /// For tasks: the library knows nothing of their networks.
    client: Client,
    settings: &'a model::Swarm,
}

impl Follower<'_> {
    async fn run(&self, outlet: &Outlet<Instances>) -> Result<Infallible, String> {
        let kinds = ["service", "node", "container", "network"].map(str::to_owned);
        let filters = HashMap::from([("type".to_owned(), kinds.to_vec())]);
        let options = EventsOptionsBuilder::new().filters(&filters).build();
        let mut events = Box::pin(self.docker.events(Some(options)));
        // Whatever happened before that.
        let mut next = Instant::now();
        let mut moving_until = Instant::now();
        loop {
            tokio::select! {
                event = events.next() => {
                    let Some(of_service) = relevant(event)? else { continue };
                    if of_service {
                        moving_until = Instant::now() + ON_THEIR_WAY;
                    }
                    next = next.min(Instant::now() + REST);
                }
                () = sleep_until(next.into()) => {
                    let begun = Instant::now();
                    is_there(&self.settings.docker).await?;
                    outlet.publish(self.list().await?);
                    let pause = if begun < moving_until { SOON } else { self.settings.refresh };
                    // One that is slow, or never rests, leaves room for all else.
                    sleep(begun.elapsed().min(SOON)).await;
                    next = Instant::now() + pause.min(self.settings.refresh);
                }
            }
        }
    }

    async fn list(&self) -> Result<Instances, String> {
        let time = self.settings.docker.timeout;
        let (services, networks, nodes, tasks) = tokio::try_join!(
            within(time, self.docker.list_services(None::<ListServicesOptions>)),
            within(time, self.docker.list_networks(None::<ListNetworksOptions>)),
            within(time, self.docker.list_nodes(None::<ListNodesOptions>)),
            self.tasks(),
        )?;
        let names = networks.into_iter().filter_map(|one| Some((one.id?, one.name?)));
        let addresses = nodes.into_iter().filter_map(|node| Some((node.id?, node.status?.addr?)));
        let services: BTreeMap<String, Service> =
            services.into_iter().filter_map(|one| Some((one.id.clone()?, one))).collect();
        let swarm = Swarm {
            networks: names.collect(),
            nodes: addresses.collect(),
            settings: &self.settings.docker,
        };
        Ok(swarm.instances(&services, &tasks).into_iter().map(Shared::from).collect())
    }

    async fn tasks(&self) -> Result<Vec<Task>, String> {
        let answer = self.client.get("/tasks", Duration::ZERO).await?;
        serde_json::from_slice(&answer.body).map_err(|e| format!("its tasks can't be read: {e}"))
    }
}

/// Whether the event changes anything, and whether it is a service's.
fn relevant(event: Option<Result<EventMessage, Error>>) -> Result<Option<bool>, String> {
    let event = event.ok_or("the stream of events ended")?.map_err(|error| error.to_string())?;
    let action = event.action.unwrap_or_default();
    if action.starts_with("exec_") {
        return Ok(None);
    }
    let attributes = event.actor.and_then(|actor| actor.attributes).unwrap_or_default();
    Ok(match event.typ {
        Some(EventMessageTypeEnum::CONTAINER) => {
            attributes.contains_key("com.docker.swarm.task.id").then_some(false)
        }
        Some(EventMessageTypeEnum::SERVICE | EventMessageTypeEnum::NODE) => Some(true),
        _ => Some(false),
    })
}
