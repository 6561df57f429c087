//! Routers: who forwards, which service, and who has which entry point.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use super::duplicate;
use crate::{
    config::names::nearest,
    model::{Dynamic, EntryPoint, Fault, Id, Path, PathChoice, Router, RouterConfig},
};

type EntryPoints = BTreeMap<String, EntryPoint>;

/// The routers of all providers. Those that are off or wait are left out, each with a fault.
pub(super) fn merge(
    providers: &BTreeMap<String, Dynamic>,
    entry_points: &EntryPoints,
    services: &BTreeSet<&Id>,
    faults: &mut Vec<Fault>,
) -> BTreeMap<Id, Router> {
    let mut configs: BTreeMap<&Id, &RouterConfig> = BTreeMap::new();
    for (provider, dynamic) in providers {
        for config in &dynamic.routers {
            if configs.contains_key(&config.id) {
                faults.push(duplicate(provider, "routers", &config.id));
            } else {
                configs.insert(&config.id, config);
            }
        }
    }
    let mut routers = Vec::new();
    for config in configs.into_values() {
        match router(config, entry_points, services) {
            Ok(router) => routers.push((config, router)),
            Err(fault) => faults.push(fault),
        }
    }
    claim(routers, faults)
}

fn router(
    config: &RouterConfig,
    entry_points: &EntryPoints,
    services: &BTreeSet<&Id>,
) -> Result<Router, Fault> {
    let service = service(config, services)?;
    let points = points(config, entry_points)?;
    let why = kernel(config, &points)?;
    let names = points.iter().map(|point| point.name.clone()).collect();
    Ok(Router {
        id: config.id.clone(),
        entry_points: names,
        service,
        path: Path::Kernel,
        why,
        rule: config.rule.clone(),
        priority: config.priority,
        middlewares: Vec::new(),
        tls: config.tls.clone(),
        observability: config.observability,
    })
}

/// The service that a router names.
fn service(config: &RouterConfig, services: &BTreeSet<&Id>) -> Result<Id, Fault> {
    let RouterConfig { id, service, .. } = config;
    let (name, provider) = service.rsplit_once('@').unwrap_or((service, &id.provider));
    let wanted = Id::new(id.protocol, name, provider);
    if services.contains(&wanted) {
        return Ok(wanted);
    }
    let of_provider =
        services.iter().filter(|s| s.protocol == id.protocol && s.provider == provider);
    let message = format!("waits: provider {provider:?} has no {} service {name:?}", id.protocol);
    let hint = nearest(name, of_provider.map(|service| service.name.as_str()));
    Err(Fault { hint, ..fault(config, ".service", message) })
}

/// The entry points that a router names, or all of its protocol.
fn points<'a>(
    config: &RouterConfig,
    entry_points: &'a EntryPoints,
) -> Result<Vec<&'a EntryPoint>, Fault> {
    let protocol = config.id.protocol;
    let fault = |message: String| fault(config, ".entryPoints", message);
    if config.entry_points.is_empty() {
        let all: Vec<_> = entry_points.values().filter(|p| p.protocol == protocol).collect();
        let none = || fault(format!("there is no {protocol} entry point to take from"));
        return if all.is_empty() { Err(none()) } else { Ok(all) };
    }
    let mut points: Vec<&EntryPoint> = Vec::new();
    for name in &config.entry_points {
        let point = entry_points.get(name).ok_or_else(|| {
            let hint = nearest(name, entry_points.keys().map(String::as_str));
            Fault { hint, ..fault(format!("no entry point {name:?}")) }
        })?;
        if point.protocol != protocol {
            let other = point.protocol;
            return Err(fault(format!("entry point {name:?} is {other}, the router {protocol}")));
        }
        if !points.iter().any(|other| other.name == *name) {
            points.push(point);
        }
    }
    Ok(points)
}

/// Why the kernel forwards it, or what stands in the way.
fn kernel(config: &RouterConfig, points: &[&EntryPoint]) -> Result<String, Fault> {
    let proxy = "needs the proxy, which lb doesn't have yet";
    if let Some(what) = &config.needs_proxy {
        let message = match config.datapath {
            PathChoice::Kernel => format!("the kernel can't serve it: it has {what}"),
            _ => format!("{what} {proxy}"),
        };
        return Err(fault(config, "", message));
    }
    if config.datapath == PathChoice::Proxy {
        return Err(fault(config, ".datapath", format!("`datapath: proxy` {proxy}")));
    }
    let obstacle = points.iter().find_map(|point| obstacle(point, config.datapath));
    match (obstacle, config.datapath) {
        (Some(what), PathChoice::Kernel) => {
            Err(fault(config, ".datapath", format!("the kernel can't serve it: {what}")))
        }
        (Some(what), _) => {
            let remedy = "give the entry point an address of the network";
            Err(fault(config, ".entryPoints", format!("{what}, and so {proxy}; {remedy}")))
        }
        (None, PathChoice::Kernel) => Ok("datapath: kernel".to_owned()),
        (None, _) => Ok("needs nothing from userspace".to_owned()),
    }
}

/// What keeps the kernel from serving an entry point.
fn obstacle(point: &EntryPoint, choice: PathChoice) -> Option<String> {
    let EntryPoint { name, port, .. } = point;
    match point.ip {
        None if choice == PathChoice::Kernel => None,
        None => Some(format!(
            "entry point {name:?} (\":{port}\") has no address of its own (`datapath: kernel` takes \
             every address of the interfaces)"
        )),
        Some(ip) if ip.is_loopback() => {
            Some(format!("entry point {name:?} is on loopback ({ip}), where no packet comes in"))
        }
        Some(ip) if ip.is_multicast() => {
            Some(format!("entry point {name:?} has a multicast address ({ip})"))
        }
        Some(_) => None,
    }
}

/// Gives each entry point to one router: that of the highest priority, the first by name
/// among equals.
fn claim(
    mut routers: Vec<(&RouterConfig, Router)>,
    faults: &mut Vec<Fault>,
) -> BTreeMap<Id, Router> {
    routers.sort_by_key(|(config, _)| (Reverse(config.priority), &config.id));
    let mut holders: BTreeMap<String, &RouterConfig> = BTreeMap::new();
    let mut out = BTreeMap::new();
    for (config, mut router) in routers {
        let held = router.entry_points.iter().find_map(|name| Some((name, *holders.get(name)?)));
        let equal = held.filter(|(_, holder)| holder.priority == config.priority);
        if let Some((name, holder)) = equal {
            faults.push(fault(
                config,
                ".entryPoints",
                format!(
                    "router {} has entry point {name:?} already, with the same priority; give one of \
                     them a higher `priority` or another entry point",
                    holder.id
                ),
            ));
            continue;
        }
        if let Some((name, holder)) = held {
            router.why = format!("{}; {} has {name} by its priority", router.why, holder.id);
        }
        router.entry_points.retain(|name| !holders.contains_key(name));
        holders.extend(router.entry_points.iter().map(|name| (name.clone(), config)));
        out.insert(router.id.clone(), router);
    }
    out
}

fn fault(config: &RouterConfig, part: &str, message: String) -> Fault {
    Fault {
        place: config.place.clone(),
        path: format!("{}.routers.{}{part}", config.id.protocol, config.id.name),
        message,
        hint: None,
    }
}
