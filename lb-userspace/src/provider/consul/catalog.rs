//! `providers.consulCatalog`: two queries wait, one for services and one for checks; what they say
//! has changed is asked for on a few connections. So thousands of services need no connection each.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::Deserialize;

use super::{client, entry};
use crate::{
    model::{ConsulCatalog, Settings, Shared},
    provider::{
        Asked,
        client::{Answer, Client, encoded},
        discovery::{Assembler, Instances, Rules},
        docker::instances,
        link::{Following, Link, Outlet, Reader, Source},
    },
};

/// Services asked about at a time.
const AT_ONCE: usize = 8;

/// The provider, where `settings` asks for it.
pub(in super::super) fn asked_for(settings: &Settings) -> Option<Asked> {
    let catalog = settings.consul_catalog.clone()?;
    let key = ("consulCatalog", catalog.clone(), settings.throttle);
    Some(Asked::new(&key, move |around| Link::provider(Catalog(catalog), around)))
}

struct Catalog(ConsulCatalog);

impl Source for Catalog {
    type State = Instances;

    fn name(&self) -> &'static str {
        "consulCatalog"
    }

    fn endpoint(&self) -> String {
        self.0.endpoint.urls.join(", ")
    }

    fn follow<'a>(&'a self, outlet: &'a Outlet<Instances>) -> Following<'a> {
        Box::pin(async move {
            // A data centre that doesn't answer makes way for the next one.
            let mut last = String::new();
            let own = [String::new()];
            let datacenters = match self.0.endpoint.datacenters.as_slice() {
                [] => &own,
                named => named,
            };
            for url in &self.0.endpoint.urls {
                for (at, datacenter) in datacenters.iter().enumerate() {
                    let client = Arc::new(client(url, &self.0.endpoint)?);
                    let mut follower = Follower::new(&self.0, Arc::clone(&client), datacenter);
                    let why = tokio::select! {
                        Err(why) = follower.run(outlet) => why,
                        () = answers(&client, &datacenters[0]), if at > 0 => {
                            return Err(format!("{:?} answers again", datacenters[0]));
                        }
                    };
                    if follower.has_published {
                        return Err(why);
                    }
                    last = why;
                }
            }
            Err(last)
        })
    }

    fn reader(&self) -> Reader<Instances> {
        instances(Assembler::new(Rules::new(self.name(), &self.0.exposure)))
    }
}

/// Between two looks whether the first data centre is back.
const LOOK: Duration = Duration::from_secs(2);

/// Resolves once a data centre answers.
async fn answers(client: &Client, datacenter: &str) {
    let path = format!("/v1/catalog/services{}", dc(datacenter, '?'));
    loop {
        tokio::time::sleep(LOOK).await;
        if client.get(&path, Duration::ZERO).await.is_ok_and(|answer| answer.status.is_success()) {
            return;
        }
    }
}

struct Follower<'a> {
    settings: &'a ConsulCatalog,
    client: Arc<Client>,
    datacenter: &'a str,
    /// By service.
    found: BTreeMap<String, Instances>,
    /// By service: a hash of its checks.
    checks: BTreeMap<String, u64>,
    has_published: bool,
}

/// Services and their tags, or checks, at an index.
struct Seen {
    index: u64,
    answer: Answer,
}

impl<'a> Follower<'a> {
    fn new(settings: &'a ConsulCatalog, client: Arc<Client>, datacenter: &'a str) -> Self {
        let (found, checks) = (BTreeMap::new(), BTreeMap::new());
        Self { settings, client, datacenter, found, checks, has_published: false }
    }

    async fn run(&mut self, outlet: &Outlet<Instances>) -> Result<Infallible, String> {
        const SERVICES: &str = "/v1/catalog/services";
        const CHECKS: &str = "/v1/health/state/any";
        let watch = |path, index| query(&self.client, path, self.datacenter, index, self.settings);
        let (mut services, mut checks) = (watch(SERVICES, 0).await?, watch(CHECKS, 0).await?);
        let mut names = self.names(&services.answer)?;
        self.changed_checks(&checks.answer)?;
        let mut stale = names.clone();
        let client = self.client.clone();
        let (settings, datacenter) = (self.settings, self.datacenter);
        let watch = |path, index| query(&client, path, datacenter, index, settings);
        let mut next_services = Box::pin(watch(SERVICES, services.index));
        let mut next_checks = Box::pin(watch(CHECKS, checks.index));
        loop {
            let begun = Instant::now();
            self.found.retain(|name, _| names.contains(name));
            self.refresh(&stale).await?;
            outlet.publish(self.found.values().flatten().cloned().collect());
            self.has_published = true;
            // A catalog that never rests leaves room for all else.
            tokio::time::sleep(settings.refresh.max(begun.elapsed() * 2)).await;
            stale.clear();
            tokio::select! {
                seen = &mut next_services => {
                    services = seen?;
                    names = self.names(&services.answer)?;
                    // It doesn't say which.
                    stale.clone_from(&names);
                    next_services = Box::pin(watch(SERVICES, services.index));
                }
                seen = &mut next_checks => {
                    checks = seen?;
                    stale = self.changed_checks(&checks.answer)?;
                    stale.retain(|name| names.contains(name));
                    next_checks = Box::pin(watch(CHECKS, checks.index));
                }
            }
        }
    }

    /// Services that may count; those whose tags all keep them out aren't asked about.
    fn names(&self, answer: &Answer) -> Result<BTreeSet<String>, String> {
        let all: BTreeMap<String, Vec<String>> = super::parse(&answer.body)?;
        let exposure = &self.settings.exposure;
        let may_count = |tags: &Vec<String>| {
            let enables = |tag: &String| {
                exposure.prefixes.iter().any(|prefix| {
                    let head = tag.get(..prefix.len());
                    head.is_some_and(|head| head.eq_ignore_ascii_case(prefix))
                })
            };
            exposure.exposed_by_default || tags.iter().any(enables)
        };
        let own = all.into_iter().filter(|(name, tags)| name != "consul" && may_count(tags));
        Ok(own.map(|(name, _)| name).collect())
    }

    /// Services whose checks aren't as they were.
    fn changed_checks(&mut self, answer: &Answer) -> Result<BTreeSet<String>, String> {
        #[derive(Deserialize, Hash)]
        #[serde(rename_all = "PascalCase")]
        struct Check {
            node: String,
            #[serde(rename = "CheckID")]
            id: String,
            status: String,
            #[serde(rename = "ServiceID", default)]
            instance: String,
            #[serde(default)]
            service_name: String,
        }
        let mut hashers: BTreeMap<String, DefaultHasher> = BTreeMap::new();
        for check in super::parse::<Vec<Check>>(&answer.body)? {
            check.hash(hashers.entry(check.service_name.clone()).or_default());
        }
        let now: BTreeMap<String, u64> =
            hashers.into_iter().map(|(name, hasher)| (name, hasher.finish())).collect();
        // A node's own checks are those of all its services.
        let is_node = now.get("") != self.checks.get("");
        let names = now.keys().chain(self.checks.keys());
        let changed = names.filter(|name| is_node || now.get(*name) != self.checks.get(*name));
        let mut changed: BTreeSet<String> = changed.cloned().collect();
        if is_node {
            changed.extend(self.found.keys().cloned());
        }
        self.checks = now;
        Ok(changed)
    }

    async fn refresh(&mut self, names: &BTreeSet<String>) -> Result<(), String> {
        let ask = |name: String| {
            let client = self.client.clone();
            let (datacenter, states) = (self.datacenter, &self.settings.states);
            async move {
                let path = format!("/v1/health/service/{}{}", encoded(&name), dc(datacenter, '?'));
                let answer = client.get(&path, Duration::ZERO).await?;
                let found = entry::instances(&answer.body, states)?;
                let found = found.into_iter().map(Shared::from).collect();
                Ok::<(String, Instances), String>((name, found))
            }
        };
        let asking = stream::iter(names.iter().cloned().map(ask));
        let all: Vec<_> = asking.buffer_unordered(AT_ONCE).try_collect().await?;
        self.found.extend(all);
        Ok(())
    }
}

/// Waits for something above `index`; at once for 0.
async fn query(
    client: &Client,
    path: &str,
    datacenter: &str,
    index: u64,
    settings: &ConsulCatalog,
) -> Result<Seen, String> {
    let wait = settings.endpoint.wait;
    let seconds = wait.as_secs().max(1);
    let dc = dc(datacenter, '&');
    let path = format!("{path}?index={index}&wait={seconds}s{dc}");
    let answer = client.get(&path, if index == 0 { Duration::ZERO } else { wait }).await?;
    // One that goes back is of another history: begin again.
    let index = if answer.index() < index { 0 } else { answer.index() };
    Ok(Seen { index, answer })
}

fn dc(datacenter: &str, sign: char) -> String {
    if datacenter.is_empty() { String::new() } else { format!("{sign}dc={}", encoded(datacenter)) }
}
