//! Routers: what they name, who forwards, and who has which entry point.

use std::collections::BTreeMap;

use super::{
    claims::{Candidate, claim},
    duplicate, internal,
    known::{Known, Lack},
    models, path,
};
use crate::{
    config::{PROVIDER, names::nearest},
    model::{Dynamic, EntryPoint, Fault, Id, Off, Path, Protocol, Router, RouterConfig, Settings},
};

type EntryPoints = BTreeMap<String, EntryPoint>;

/// Routers that are in force, and why others aren't.
#[derive(Debug, Default)]
pub(crate) struct Judged {
    pub(crate) routers: BTreeMap<Id, Router>,
    pub(crate) troubles: Vec<Trouble>,
}

/// Why a router isn't in force.
#[derive(Debug)]
pub(crate) struct Trouble {
    pub(crate) router: Id,
    pub(crate) fault: Box<Fault>,
    /// Whether it waits for what another provider may bring.
    pub(crate) waits: bool,
}

impl Trouble {
    pub(super) fn off(fault: Fault, config: &RouterConfig) -> Self {
        Self { router: config.id.clone(), fault: fault.into(), waits: false }
    }

    fn waits(fault: Fault, config: &RouterConfig) -> Self {
        Self { router: config.id.clone(), fault: fault.into(), waits: true }
    }
}

/// The routers of all providers, by the name of each.
pub(super) fn merge(
    providers: &BTreeMap<String, Dynamic>,
    settings: &Settings,
    entry_points: &EntryPoints,
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
    let own = internal::dynamic(settings, entry_points);
    configs.extend(own.routers.iter().map(|config| (&config.id, &**config)));
    let named = providers.iter().map(|(name, dynamic)| (name.as_str(), dynamic));
    let known = Known::of(named.chain([(Id::INTERNAL, &own)]));
    let Judged { routers, troubles } = judged(configs.into_values(), &known, entry_points);
    faults.extend(troubles.into_iter().map(|trouble| *trouble.fault));
    models::apply(routers, entry_points)
}

/// What would be in force of these, each of which has names of its own.
pub(crate) fn judge(
    dynamics: &[(&str, &Dynamic)],
    settings: &Settings,
    entry_points: &EntryPoints,
) -> Judged {
    let own = internal::dynamic(settings, entry_points);
    let all = || dynamics.iter().copied().chain([(Id::INTERNAL, &own)]);
    let known = Known::of(all());
    let configs = all().flat_map(|(_, dynamic)| dynamic.routers.iter().map(|one| &**one));
    judged(configs, &known, entry_points)
}

fn judged<'a>(
    configs: impl Iterator<Item = &'a RouterConfig>,
    known: &Known<'a>,
    entry_points: &'a EntryPoints,
) -> Judged {
    let mut troubles = Vec::new();
    let mut candidates = Vec::new();
    let open = Open::of(entry_points, known);
    for config in configs {
        match candidate(config, known, &open) {
            Ok(candidate) => candidates.push(candidate),
            Err(trouble) => troubles.push(trouble),
        }
    }
    Judged { routers: claim(candidates, &mut troubles), troubles }
}

/// Entry points, and why HTTP is closed at some of them.
struct Open<'a> {
    all: &'a EntryPoints,
    closed: BTreeMap<&'a str, Lack>,
}

impl<'a> Open<'a> {
    fn of(all: &'a EntryPoints, known: &Known<'_>) -> Self {
        let lack = |point: &EntryPoint| {
            let names = point.options.middlewares.iter();
            let ids = names.map(|name| Id::refer(Protocol::Http, name, PROVIDER));
            let middleware = ids.into_iter().find_map(|id| known.lack_of_middleware(&id));
            middleware.or_else(|| known.lack_of_tls(point.options.tls.as_ref(), PROVIDER))
        };
        let closed = all.values().filter_map(|point| Some((point.name.as_str(), lack(point)?)));
        Self { all, closed: closed.collect() }
    }
}

fn candidate<'a>(
    config: &'a RouterConfig,
    known: &Known<'a>,
    open: &Open<'a>,
) -> Result<Candidate<'a>, Trouble> {
    let RouterConfig { id, .. } = config;
    let waits = |part: &str, Lack { message, hint }| {
        Trouble::waits(Fault { hint, ..fault(config, part, message) }, config)
    };
    let service = Id::refer(id.protocol, &config.service, &id.provider);
    if let Some(lack) = known.lack_of_service(&service) {
        return Err(waits(".service", lack));
    }
    let refer = |name: &String| Id::refer(id.protocol, name, &id.provider);
    let middlewares: Vec<Id> = config.middlewares.iter().map(refer).collect();
    if let Some(lack) = middlewares.iter().find_map(|one| known.lack_of_middleware(one)) {
        return Err(waits(".middlewares", lack));
    }
    if let Some(lack) = known.lack_of_tls(config.tls.as_deref(), &id.provider) {
        return Err(waits(".tls.options", lack));
    }
    let points = points(config, open)?;
    let (path, why) = path::choose(config, &points, known.service(&service))
        .map_err(|message| Trouble::off(fault(config, ".datapath", message), config))?;
    let router = Router {
        id: id.clone(),
        entry_points: points.iter().map(|point| point.name.clone()).collect(),
        service,
        path,
        why,
        rule: config.rule.clone(),
        priority: priority(config, path),
        middlewares,
        tls: config.tls.clone(),
        observability: config.observability,
    };
    Ok(Candidate { config, points, router })
}

/// The length of the rule, where none is given; of a TCP router that takes all, the lowest.
pub(super) fn priority(config: &RouterConfig, path: Path) -> i64 {
    match &config.rule {
        _ if config.priority != 0 || path == Path::Kernel => config.priority,
        Some(rule) => rule.default_priority(),
        None => -1,
    }
}

/// The entry points that a router names, or all of its protocol.
fn points<'a>(config: &RouterConfig, open: &Open<'a>) -> Result<Vec<&'a EntryPoint>, Trouble> {
    let mut points = match config.entry_points.is_empty() {
        true => every(config, open.all)?,
        false => named(config, open.all)?,
    };
    if config.id.protocol == Protocol::Http && !open.closed.is_empty() {
        let is_closed = |point: &&EntryPoint| open.closed.contains_key(point.name.as_str());
        let first = points.iter().copied().find(is_closed);
        points.retain(|point| !is_closed(point));
        if let Some(EntryPoint { name, .. }) = first.filter(|_| points.is_empty()) {
            let why = &open.closed[name.as_str()].message;
            let message =
                format!("entry point {name:?} lacks what it puts in front of its routers: {why}");
            return Err(Trouble::waits(fault(config, ".entryPoints", message), config));
        }
    }
    Ok(points)
}

fn every<'a>(
    config: &RouterConfig,
    entry_points: &'a EntryPoints,
) -> Result<Vec<&'a EntryPoint>, Trouble> {
    let transport = config.id.protocol.transport();
    let all = || entry_points.values().filter(|point| point.protocol == transport);
    let default: Vec<_> = all().filter(|point| point.options.as_default).collect();
    let all: Vec<_> = if default.is_empty() { all().collect() } else { default };
    if all.is_empty() {
        let message = format!("there is no {transport} entry point to take from");
        return Err(Trouble::off(fault(config, ".entryPoints", message), config));
    }
    Ok(all)
}

fn named<'a>(
    config: &RouterConfig,
    entry_points: &'a EntryPoints,
) -> Result<Vec<&'a EntryPoint>, Trouble> {
    let protocol = config.id.protocol;
    let off = |message: String, hint| {
        Trouble::off(Fault { hint, ..fault(config, ".entryPoints", message) }, config)
    };
    let mut points: Vec<&EntryPoint> = Vec::new();
    for name in &config.entry_points {
        let point = entry_points.get(name).ok_or_else(|| {
            let hint = nearest(name, entry_points.keys().map(String::as_str));
            off(format!("no entry point {name:?}"), hint)
        })?;
        if point.protocol != protocol.transport() {
            let other = point.protocol;
            let message = format!("entry point {name:?} is {other}, the router {protocol}");
            return Err(off(message, None));
        }
        if !points.iter().any(|other| other.name == *name) {
            points.push(point);
        }
    }
    Ok(points)
}

pub(super) fn fault(config: &RouterConfig, part: &str, message: String) -> Fault {
    Fault {
        place: config.place.clone(),
        path: format!("{}.routers.{}{part}", config.id.protocol, config.id.name),
        message,
        hint: None,
        off: Some(Box::new(Off::Router(config.id.clone()))),
    }
}
