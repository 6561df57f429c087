//! What a bucket says.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    config::{address::is_host_name, parse_duration},
    model::Shared,
    nats::key::unescape,
    provider::discovery::Instance,
};

/// Keys and instances. Kept on disk. A copy of it is handed over at every change, and compared with the
/// one before: what stays the same is shared, and read once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    /// Configuration, by keys without the root, their parts unescaped.
    pub(super) keys: BTreeMap<Arc<str>, Arc<str>>,
    /// By `NAME`.
    services: BTreeMap<Arc<str>, Shared<Service>>,
}

/// Its instances by `NAME/ID`.
type Service = BTreeMap<String, Shared<Instance>>;

/// The value of `services/NAME/ID`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    /// `host:port`.
    address: String,
    weight: Option<u32>,
    /// `traefik.…=…` and others.
    #[serde(default)]
    tags: Vec<String>,
    /// As a duration: `30s`; without one it stays until it is deleted.
    ttl: Option<String>,
}

const SERVICES: &str = "services/";
/// What nodes of lb tell each other.
const RUNTIME: &str = "runtime/";

impl State {
    /// Takes a key in, and tells how long it lasts without being renewed.
    pub(super) fn put(&mut self, key: &str, value: &[u8], revision: u64) -> Option<Duration> {
        let text = String::from_utf8_lossy(value);
        let Some(id) = key.strip_prefix(SERVICES) else {
            if !key.starts_with(RUNTIME) {
                self.keys.insert(plain(key).into(), text.into());
            }
            return None;
        };
        let body = body(&text);
        let ttl = body.as_ref().ok().and_then(|body| body.ttl.as_deref());
        let ttl = ttl.and_then(|ttl| parse_duration(ttl).ok());
        let service = self.services.entry(service_of(id).into()).or_default();
        let since = service.get(id).map_or(revision, |known| known.since);
        let now = instance(id, body, since);
        // One that is renewed stays the same.
        if service.get(id).is_none_or(|known| **known != now) {
            service.insert(id.to_owned(), now.into());
        }
        ttl
    }

    /// A key is deleted, or not renewed in time.
    pub(super) fn remove(&mut self, key: &str) {
        let Some(id) = key.strip_prefix(SERVICES) else {
            self.keys.remove(&*plain(key));
            return;
        };
        let Some(service) = self.services.get_mut(service_of(id)) else { return };
        service.remove(id);
        if service.is_empty() {
            self.services.remove(service_of(id));
        }
    }

    /// For the assembler.
    pub(super) fn instances(&self) -> impl Iterator<Item = &Shared<Instance>> + Clone {
        self.services.values().flat_map(|service| service.values())
    }
}

/// What the instance of this id is one of.
fn service_of(id: &str) -> &str {
    id.split_once('/').map_or(id, |(service, _)| service)
}

/// The parts of a key unescaped, as far as they can be: none may get a slash.
fn plain(key: &str) -> String {
    let part = |part: &str| {
        let name = unescape(part).filter(|name| !name.contains('/'));
        name.unwrap_or_else(|| part.to_owned())
    };
    key.split('/').map(part).collect::<Vec<_>>().join("/")
}

fn body(text: &str) -> Result<Body, String> {
    let body: Body = serde_json::from_str(text).map_err(|e| format!("its value: {e}"))?;
    if let Some(ttl) = &body.ttl {
        parse_duration(ttl).map_err(|why| format!("ttl: {why}"))?;
    }
    Ok(body)
}

/// What is found under an id, and since which revision it has been there.
fn instance(id: &str, body: Result<Body, String>, since: u64) -> Instance {
    let (service, own) = id.split_once('/').unwrap_or((id, id));
    let [service, own] = [service, own].map(|part| unescape(part).unwrap_or(part.to_owned()));
    let mut instance = Instance {
        id: id.to_owned(),
        origin: format!("nats instance {:?}", format!("{service}/{own}")),
        name: own,
        service,
        since,
        ..Instance::default()
    };
    let place = body.and_then(|body| {
        let place = place(&body.address);
        let place = place.ok_or_else(|| format!("address {:?}: expected HOST:PORT", body.address));
        Ok((body, place?))
    });
    match place {
        Ok((body, (host, port))) => {
            instance.address = Some(host);
            instance.tcp = vec![port];
            instance.udp = vec![port];
            instance.weight = body.weight;
            let labels = body.tags.iter().filter_map(|tag| tag.split_once('='));
            instance.labels = labels.map(|(key, value)| (key.into(), value.into())).collect();
            instance.tags = body.tags;
        }
        Err(why) => instance.unreachable = why,
    }
    instance
}

/// Host and port.
fn place(address: &str) -> Option<(String, u16)> {
    if let Ok(address) = address.parse::<SocketAddr>() {
        return Some((address.ip().to_string(), address.port())).filter(|(_, port)| *port > 0);
    }
    let (host, port) = address.rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port > 0)?;
    is_host_name(host).then(|| (host.to_owned(), port))
}
