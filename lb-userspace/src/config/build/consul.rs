//! `providers.consulCatalog` and `providers.consul`: from raw to settings.

use std::{path::Path, time::Duration};

use super::providers::{exposure, tls};
use crate::{
    config::{
        decode::{At, Field, Spot},
        raw,
    },
    model::{ConsulCatalog, ConsulEndpoint, ConsulKv, Exposure, Fault, Registration, Token},
};

/// Where Consul's agent is.
const AGENT: &str = "127.0.0.1:8500";
/// How long a query waits for a change.
const WAIT: Duration = Duration::from_secs(300);
/// Changes are read no faster.
const REFRESH: Duration = Duration::from_millis(100);

pub(super) fn catalog(
    raw: &raw::ConsulCatalog,
    folder: &Path,
    faults: &mut Vec<Fault>,
    warnings: &mut Vec<Fault>,
) -> ConsulCatalog {
    namespaces(&raw.namespace, &raw.namespaces, warnings);
    for (field, key) in [
        (&raw.stale, "stale"),
        (&raw.cache, "cache"),
        (&raw.require_consistent, "requireConsistent"),
    ] {
        if let Some(at) = field.at().filter(|at| at.value) {
            faults.push(at.spot.fault(format!("{key} isn't done: lb asks in the default mode")));
        }
    }
    if let Some(at) = raw.watch.at().filter(|at| !at.value) {
        faults.push(at.spot.fault("lb always watches: remove this"));
    }
    let none = raw::ConsulEndpoint::default();
    let endpoint = raw.endpoint.get().unwrap_or(&none);
    if let Some(at) = raw.refresh.at() {
        warnings.push(at.spot.fault("lb doesn't poll: Consul tells it of changes at once"));
    }
    ConsulCatalog {
        exposure: exposed(
            &raw.exposed_by_default,
            &raw.default_rule,
            &raw.constraints,
            &raw.prefix,
        ),
        endpoint: self::endpoint(endpoint, folder, faults),
        states: states(&raw.strict_checks),
        refresh: REFRESH,
    }
}

/// `exposedByDefault` and others, with the prefix of tags.
pub(super) fn exposed(
    by_default: &Field<bool>,
    rule: &Field<raw::DefaultRule>,
    constraints: &Field<raw::Constraints>,
    prefix: &Field<raw::Label>,
) -> Exposure {
    let exposure = exposure(by_default, rule, constraints, &Field::Absent);
    match prefix.get() {
        Some(prefix) => Exposure { prefixes: vec![prefix.0.clone()], ..exposure },
        None => exposure,
    }
}

/// `strictChecks`: who warns is left out unless asked for.
pub(super) fn states(raw: &Field<Vec<At<raw::CheckState>>>) -> Vec<String> {
    let passing = || vec!["passing".to_owned()];
    raw.get().map_or_else(passing, |list| list.iter().map(|at| at.value.0.to_owned()).collect())
}

fn endpoint(raw: &raw::ConsulEndpoint, folder: &Path, faults: &mut Vec<Fault>) -> ConsulEndpoint {
    let address = raw.address.get().map_or(AGENT, String::as_str);
    let scheme = raw.scheme.get().map(String::as_str);
    let default = if raw.tls.at().is_some() { "https" } else { "http" };
    let url = url(address, scheme.unwrap_or(default));
    if let (Err(why), Some(at)) = (&url, raw.address.at().or(raw.scheme.at())) {
        faults.push(at.spot.fault(why));
    }
    let named = raw.datacenter.get().filter(|name| !name.is_empty()).cloned();
    let mut datacenters: Vec<String> = named.into_iter().collect();
    let fallbacks = raw.fallbacks.get().map(Vec::as_slice).unwrap_or_default();
    if !fallbacks.is_empty() && datacenters.is_empty() {
        datacenters.push(String::new());
    }
    datacenters.extend(fallbacks.iter().map(|at| at.value.clone()));
    let wait = raw.wait.get().copied().filter(|wait| !wait.is_zero());
    ConsulEndpoint {
        urls: url.into_iter().collect(),
        token: raw.token.get().filter(|token| !token.is_empty()).map(|t| Token(t.clone())),
        tls: raw.tls.at().and_then(|at| tls(at, folder, faults)).unwrap_or_default(),
        datacenters,
        wait: wait.unwrap_or(WAIT).min(Duration::from_secs(600)),
    }
}

pub(super) fn kv(
    raw: &raw::ConsulKv,
    folder: &Path,
    faults: &mut Vec<Fault>,
    warnings: &mut Vec<Fault>,
) -> ConsulKv {
    namespaces(&raw.namespace, &raw.namespaces, warnings);
    let scheme = if raw.tls.at().is_some() { "https" } else { "http" };
    let mut urls = Vec::new();
    for at in raw.endpoints.get().map(Vec::as_slice).unwrap_or_default() {
        match url(&at.value, scheme) {
            Ok(url) => urls.push(url),
            Err(why) => faults.push(at.spot.fault(why)),
        }
    }
    if urls.is_empty() {
        urls.push(format!("{scheme}://{AGENT}"));
    }
    let root = raw.root.get().map_or("traefik", String::as_str).trim_matches('/').to_owned();
    if let Some(at) = raw.root.at().filter(|_| root.is_empty()) {
        faults.push(at.spot.fault("a root can't be empty"));
    }
    ConsulKv {
        endpoint: ConsulEndpoint {
            urls,
            token: raw.token.get().filter(|token| !token.is_empty()).map(|t| Token(t.clone())),
            tls: raw.tls.at().and_then(|at| tls(at, folder, faults)).unwrap_or_default(),
            datacenters: Vec::new(),
            wait: WAIT,
        },
        root,
    }
}

/// How long a check of lb's lives without being passed, and how long its service then stays.
const TTL: Duration = Duration::from_secs(15);
const STAYS: Duration = Duration::from_secs(60);

/// `register`.
pub(super) fn register(
    raw: &raw::Register,
    spot: &Spot,
    endpoint: &ConsulEndpoint,
    prefix: &str,
    faults: &mut Vec<Fault>,
) -> Registration {
    if let Some(at) = raw.ttl.at().filter(|at| at.value < Duration::from_secs(1)) {
        faults.push(at.spot.fault("expected a time of a second or more"));
    }
    for at in [&raw.id, &raw.address].into_iter().filter_map(Field::at) {
        if at.value.trim().is_empty() {
            faults.push(at.spot.fault("can't be empty"));
        }
    }
    if endpoint.urls.is_empty() {
        faults.push(spot.fault("there is no Consul to register in"));
    }
    let mut tags: Vec<String> =
        raw.tags.get().into_iter().flatten().map(|at| at.value.clone()).collect();
    // Else whoever routes to all services would route to lb, lb itself included.
    let enable = format!("{prefix}.enable=");
    if !tags.iter().any(|tag| tag.to_ascii_lowercase().starts_with(&enable)) {
        tags.push(format!("{enable}false"));
    }
    let names = |list: &Vec<At<String>>| list.iter().map(|at| at.value.clone()).collect();
    Registration {
        endpoint: endpoint.clone(),
        name: raw.name.get().map_or("lb", |name| &name.0).to_owned(),
        id: raw.id.get().cloned(),
        address: raw.address.get().cloned(),
        tags,
        ttl: raw.ttl.or(TTL),
        deregister_after: raw.deregister_after.or(STAYS),
        entry_points: raw.entry_points.get().map(names),
    }
}

/// `host:port`, or a URL that says how.
fn url(address: &str, scheme: &str) -> Result<String, String> {
    let url =
        if address.contains("://") { address.to_owned() } else { format!("{scheme}://{address}") };
    crate::proxy::fetch::parse(&url)
        .map(|_| url)
        .map_err(|_| "expected an address such as \"127.0.0.1:8500\", and http or https".to_owned())
}

/// Consul has none but in its enterprise edition.
fn namespaces(one: &Field<String>, many: &Field<Vec<At<String>>>, warnings: &mut Vec<Fault>) {
    let spots = [one.at().map(|at| &at.spot), many.at().map(|at| &at.spot)];
    for spot in spots.into_iter().flatten() {
        warnings.push(spot.fault("namespaces are of Consul Enterprise; lb reads the default one"));
    }
}
