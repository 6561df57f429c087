//! `events`, and how NATS is reached.

use std::{path::Path, sync::Arc, time::Duration};

use super::providers::tls;
use crate::{
    config::{
        decode::{At, Field, Spot},
        raw,
    },
    model::{EventSettings, EventStream, Fault, Login, Nats},
};

const STREAM: &str = "LB_EVENTS";
const SUBJECTS: &str = "lb.events.>";
pub(super) const BUCKET: &str = "lb";
const DAY: Duration = Duration::from_secs(86_400);
const BUFFER: usize = 16_384;

pub(super) fn build(
    raw: &Field<raw::Events>,
    folder: &Path,
    faults: &mut Vec<Fault>,
) -> Option<Arc<EventSettings>> {
    let at = raw.at()?;
    let raw = &at.value;
    let node = raw.node.at();
    if let Some(at) = node.filter(|at| at.value.trim().is_empty()) {
        faults.push(at.spot.fault("a node's name can't be empty"));
    } else if let Some(at) = node.filter(|at| matches!(at.value.as_str(), "api" | "events")) {
        faults.push(at.spot.fault("a node can't have this name: lb's own subjects in NATS do"));
    }
    let buffer = raw.buffer.get().and_then(|n| usize::try_from(n.0).ok());
    Some(Arc::new(EventSettings {
        node: node.map(|at| at.value.clone()),
        buffer: buffer.unwrap_or(BUFFER),
        nats: match raw.nats.at() {
            Some(server) => stream(raw, server, folder, faults),
            None => {
                needs_nats(raw, faults);
                None
            }
        },
    }))
}

/// What says nothing without NATS.
fn needs_nats(raw: &raw::Events, faults: &mut Vec<Fault>) {
    let spots = [
        raw.stream.at().map(|at| &at.spot),
        raw.subjects.at().map(|at| &at.spot),
        raw.storage.at().map(|at| &at.spot),
        raw.retention.at().map(|at| &at.spot),
        raw.max_age.at().map(|at| &at.spot),
        raw.max_bytes.at().map(|at| &at.spot),
        raw.replicas.at().map(|at| &at.spot),
        raw.requests.at().map(|at| &at.spot),
        raw.bucket.at().map(|at| &at.spot),
    ];
    for spot in spots.into_iter().flatten() {
        faults.push(spot.fault("says where in NATS: give `events.nats.servers` as well"));
    }
}

fn stream(
    raw: &raw::Events,
    server: &At<raw::Nats>,
    folder: &Path,
    faults: &mut Vec<Fault>,
) -> Option<EventStream> {
    let subjects = match raw.subjects.get() {
        Some(list) => list.iter().map(|at| at.value.clone()).collect(),
        None => vec![SUBJECTS.to_owned()],
    };
    let prefix = prefix(&subjects, raw.subjects.at().map(|at| &at.spot), faults);
    Some(EventStream {
        stream: named(&raw.stream, STREAM, faults),
        bucket: named(&raw.bucket, BUCKET, faults),
        server: nats(server, folder, faults)?,
        prefix: prefix?,
        subjects,
        in_memory: raw.storage.get() == Some(&raw::Storage::Memory),
        retention: raw.retention.or_default(),
        max_age: raw.max_age.or(DAY),
        max_bytes: raw.max_bytes.get().and_then(|n| u64::try_from(n.0).ok()),
        replicas: raw.replicas.get().map_or(1, |n| n.u32() as usize),
        requests: raw.requests.or(true),
    })
}

/// What events' subjects begin with: the first of the stream's own, which ends in `.>`.
fn prefix(subjects: &[String], spot: Option<&Spot>, faults: &mut Vec<Fault>) -> Option<String> {
    let first = subjects.first().map_or("", String::as_str);
    let is_sound = |prefix: &&str| {
        let token = |token: &str| !token.is_empty() && !token.contains(['*', '>', ' ', '\t']);
        prefix.split('.').all(token)
    };
    let prefix = first.strip_suffix(".>").filter(is_sound);
    if prefix.is_none() {
        let message = "the first subject is what events are published on: expected one such as \
                       \"lb.events.>\"";
        faults.extend(spot.map(|spot| spot.fault(message)));
    }
    prefix.map(str::to_owned)
}

/// The name of a stream or a bucket.
pub(super) fn named(field: &Field<String>, default: &str, faults: &mut Vec<Fault>) -> String {
    if let Some(at) = field.at().filter(|at| !is_name(&at.value)) {
        faults.push(at.spot.fault(
            "expected letters, digits, \"-\" and \"_\": NATS takes no others in such a name",
        ));
    }
    field.get().cloned().unwrap_or_else(|| default.to_owned())
}

/// What streams and buckets may be called.
fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    !name.is_empty() && name.bytes().all(fits)
}

/// `nats`, wherever it stands.
pub(super) fn nats(at: &At<raw::Nats>, folder: &Path, faults: &mut Vec<Fault>) -> Option<Nats> {
    let raw = &at.value;
    let servers = raw.servers.required("servers", &at.spot, faults)?;
    if servers.value.0.is_empty() {
        faults.push(servers.spot.fault("give at least one server"));
    }
    for server in &servers.value.0 {
        let expected = "expected a server such as \"nats://127.0.0.1:4222\"";
        let parsed = server.value.parse::<async_nats::ServerAddr>();
        if let Err(why) = parsed {
            faults.push(server.spot.fault(format!("{expected}: {why}")));
        } else if parsed.is_ok_and(|address| address.host().is_empty()) {
            faults.push(server.spot.fault(format!("{expected}: there is no host")));
        } else if server.value.starts_with("ws://") || server.value.starts_with("wss://") {
            faults
                .push(server.spot.fault("lb speaks no WebSocket with NATS: use nats:// or tls://"));
        }
    }
    Some(Nats {
        servers: servers.value.0.iter().map(|server| server.value.clone()).collect(),
        login: login(raw, folder, faults),
        tls: raw.tls.at().and_then(|at| tls(at, folder, faults)),
    })
}

fn login(raw: &raw::Nats, folder: &Path, faults: &mut Vec<Fault>) -> Login {
    let ways = [&raw.credentials, &raw.nkey, &raw.token, &raw.user];
    let mut given = ways.into_iter().filter_map(|field| field.at());
    let _first = given.next();
    for at in given {
        faults.push(at.spot.fault("there is another way to log in beside it; give one of them"));
    }
    match (raw.user.at(), raw.password.at()) {
        (Some(at), None) => faults.push(at.spot.fault("needs `password` as well")),
        (None, Some(at)) => faults.push(at.spot.fault("needs `user` as well")),
        _ => {}
    }
    if let Some(path) = raw.credentials.get() {
        return Login::Credentials(folder.join(path));
    }
    if let Some(path) = raw.nkey.get() {
        return Login::Seed(folder.join(path));
    }
    if let Some(token) = raw.token.get() {
        return Login::Token(token.clone());
    }
    match (raw.user.get(), raw.password.get()) {
        (Some(user), Some(password)) => Login::User(user.clone(), password.clone()),
        _ => Login::None,
    }
}
