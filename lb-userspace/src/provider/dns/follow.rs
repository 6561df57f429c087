//! Each name is asked for again when its answer is too old, or soon after a failure.

use std::{
    collections::HashSet,
    convert::Infallible,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use futures_util::future::join_all;
use tokio::time::{sleep, timeout};

use super::{Server, State, Told};
use crate::{
    health::dns::{Dns, Family, name},
    model::{DnsKind, DnsProvider, DnsService},
    provider::{backoff::Backoff, link::Outlet},
};

/// Follows all names; it never fails by itself, for other names may go on.
pub(super) async fn follow(
    settings: &DnsProvider,
    outlet: &Outlet<State>,
) -> Result<Infallible, String> {
    let dns = match settings.resolvers.as_slice() {
        [] => Dns::default(),
        // Half the time, so that there is some for a second try.
        servers => Dns::of_servers(servers, settings.timeout / 2),
    };
    let last = outlet.last().unwrap_or_default();
    let is_known = |key: &str, told: &Told| {
        settings.services.get(key).is_some_and(|service| question(service) == told.question)
    };
    let known = last.iter().filter(|(key, told)| is_known(key, told));
    let follower = Follower {
        settings,
        dns,
        outlet,
        state: Mutex::new(known.map(|(key, told)| (key.clone(), told.clone())).collect()),
    };
    let names = settings.services.iter().map(|(key, service)| follower.follow(key, service));
    join_all(names).await;
    std::future::pending().await
}

struct Follower<'a> {
    settings: &'a DnsProvider,
    dns: Dns,
    outlet: &'a Outlet<State>,
    state: Mutex<State>,
}

impl Follower<'_> {
    async fn follow(&self, key: &str, service: &DnsService) {
        let mut backoff = Backoff::new();
        loop {
            let looked = timeout(self.settings.timeout, self.look_up(service)).await;
            let looked = looked.unwrap_or_else(|_| Err("no answer in time".to_owned()));
            let pause = match looked {
                Ok((servers, ttl)) => {
                    backoff.reset();
                    self.tell(key, service, Ok(servers));
                    ttl.clamp(self.settings.min_ttl, self.settings.max_ttl)
                }
                Err(why) => {
                    self.tell(key, service, Err(why));
                    backoff.next()
                }
            };
            sleep(pause).await;
        }
    }

    fn tell(&self, key: &str, service: &DnsService, looked: Result<Vec<Server>, String>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let told = state.entry(key.to_owned()).or_default();
        told.question = question(service);
        match looked {
            Ok(servers) => (told.servers, told.failed) = (servers, None),
            Err(why) => told.failed = Some(why),
        }
        let failed = told.failed.clone();
        let is_any_well = state.values().any(|told| told.failed.is_none());
        self.outlet.publish(state.clone());
        if let Some(why) = failed {
            self.outlet.trouble(&format!("{key}: {why}"), !is_any_well);
        }
    }

    async fn look_up(&self, service: &DnsService) -> Result<(Vec<Server>, Duration), String> {
        let asked = name(&service.name)?;
        let family = match service.kind {
            DnsKind::Srv => return self.srv(service).await,
            DnsKind::Addresses => Family::Both,
            DnsKind::A => Family::V4,
            DnsKind::Aaaa => Family::V6,
        };
        let answer = self.dns.addresses(&asked, family).await?;
        let answer = answer.ok_or_else(|| format!("{asked} has no address in DNS"))?;
        let port = service.port.unwrap_or_default();
        let server = |ip| Server { priority: 0, ip, port, weight: None };
        Ok((answer.addresses.into_iter().map(server).collect(), answer.ttl))
    }

    async fn srv(&self, service: &DnsService) -> Result<(Vec<Server>, Duration), String> {
        let asked = name(&service.name)?;
        let (targets, mut ttl) = self.dns.targets(&asked).await?;
        let of = |target: &crate::health::dns::Target| {
            let host = target.host.clone();
            async move { self.dns.addresses(&host, Family::Both).await }
        };
        let resolved = join_all(targets.iter().map(of)).await;
        let mut servers = Vec::new();
        for (target, answer) in targets.iter().zip(resolved) {
            // One whose addresses can't be known now may be there; one without any isn't.
            let Some(answer) = answer? else { continue };
            ttl = ttl.min(answer.ttl);
            servers.extend(answer.addresses.into_iter().map(|ip| Server {
                priority: target.priority,
                ip,
                port: service.port.unwrap_or(target.port),
                weight: Some(target.weight),
            }));
        }
        servers.sort();
        // The same one in another priority serves by the lower.
        let mut seen = HashSet::new();
        servers.retain(|server| seen.insert((server.ip, server.port)));
        match servers.is_empty() {
            true => Err(format!("{asked} has no servers in DNS")),
            false => Ok((servers, ttl)),
        }
    }
}

fn question(service: &DnsService) -> String {
    format!("{} {} {:?}", service.name, service.kind.name(), service.port)
}
