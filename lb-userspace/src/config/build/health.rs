//! `healthCheck`.

use std::time::Duration;

use crate::{
    config::{
        address::is_host_name,
        decode::{At, Field},
        raw::{self, Mode, Scheme},
        tree::quoted,
    },
    model::{CheckKind, Fault, HealthCheck, Protocol},
};

const INTERVAL: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(2);
const TIMES: u32 = 2;
/// Shorter ones would be busy-work for both ends.
const SHORTEST: Duration = Duration::from_millis(10);

pub(super) fn build(
    protocol: Protocol,
    raw: &At<raw::HealthCheck>,
    faults: &mut Vec<Fault>,
) -> Option<HealthCheck> {
    let check = &raw.value;
    if protocol == Protocol::Udp && check.port.is_absent() && check.mode.is_absent() {
        let message = "a UDP server answers no check of its own port: give `port` (TCP or, with `path`, HTTP) or a `mode`";
        faults.push(raw.spot.fault(message));
    }
    let is_http = protocol == Protocol::Http || !check.path.is_absent();
    let kind = match check.mode.get() {
        Some(Mode::Http) => http(check, faults),
        Some(Mode::Grpc) => grpc(check, faults),
        None if is_http => http(check, faults),
        Some(Mode::Tcp) | None => {
            only_http(check, faults);
            CheckKind::Tcp
        }
    };
    let times = [&check.interval, &check.unhealthy_interval, &check.timeout];
    for at in times.into_iter().filter_map(Field::at) {
        if at.value < SHORTEST {
            faults.push(at.spot.fault("expected at least \"10ms\""));
        }
    }
    Some(HealthCheck {
        kind,
        interval: check.interval.or(INTERVAL),
        unhealthy_interval: check.unhealthy_interval.get().copied(),
        timeout: check.timeout.or(TIMEOUT),
        rise: check.rise.get().map_or(TIMES, |n| n.u32()),
        fall: check.fall.get().map_or(TIMES, |n| n.u32()),
        port: check.port.get().map(|port| port.u16()),
    })
}

/// Keys that say nothing to a TCP check.
fn only_http(check: &raw::HealthCheck, faults: &mut Vec<Fault>) {
    let given = [
        spot(&check.path),
        spot(&check.scheme),
        spot(&check.method),
        spot(&check.status),
        spot(&check.headers),
        spot(&check.hostname),
        spot(&check.follow_redirects),
    ];
    for spot in given.into_iter().flatten() {
        faults.push(spot.fault("belongs to an HTTP check: give `path`, or `mode: http`"));
    }
}

fn spot<T>(field: &Field<T>) -> Option<&crate::config::decode::Spot> {
    field.at().map(|at| &at.spot)
}

fn http(check: &raw::HealthCheck, faults: &mut Vec<Fault>) -> CheckKind {
    let mut valid = |field: &Field<String>, right: fn(&str) -> bool, what: &str| {
        let at = field.at()?;
        if !right(&at.value) {
            let message = format!("expected {what}, found {}", quoted(&at.value));
            faults.push(at.spot.fault(message));
        }
        Some(at.value.clone())
    };
    let path = valid(&check.path, is_path, "a path that begins with `/`, without spaces");
    let method = valid(&check.method, is_token, "an HTTP method such as \"GET\"");
    let hostname = valid(&check.hostname, is_host, "a host name");
    CheckKind::Http {
        method: method.unwrap_or_else(|| "GET".to_owned()),
        path: path.unwrap_or_else(|| "/".to_owned()),
        tls: check.scheme.get().map(|scheme| *scheme == Scheme::Https),
        hostname,
        headers: headers(check, faults),
        status: check.status.get().map(|status| status.u16()),
        follow_redirects: check.follow_redirects.or(true),
    }
}

fn grpc(check: &raw::HealthCheck, faults: &mut Vec<Fault>) -> CheckKind {
    let given = [
        spot(&check.path),
        spot(&check.method),
        spot(&check.status),
        spot(&check.follow_redirects),
    ];
    for spot in given.into_iter().flatten() {
        faults.push(spot.fault("says nothing to a gRPC check, which calls grpc.health.v1.Health"));
    }
    if let Some(at) = check.hostname.at().filter(|at| !is_host(&at.value)) {
        faults.push(at.spot.fault(format!("expected a host name, found {}", quoted(&at.value))));
    }
    CheckKind::Grpc {
        tls: check.scheme.get().map(|scheme| *scheme == Scheme::Https),
        hostname: check.hostname.get().cloned(),
        headers: headers(check, faults),
    }
}

fn headers(check: &raw::HealthCheck, faults: &mut Vec<Fault>) -> Vec<(String, String)> {
    let mut headers = Vec::new();
    for (name, at) in
        check.headers.get().map(|headers| headers.objects.as_slice()).unwrap_or_default()
    {
        let value = &at.value.0;
        if !is_token(name) {
            faults.push(at.spot.fault(format!("{} is no name of a header", quoted(name))));
        } else if value.chars().any(|c| c.is_control() && c != '\t') {
            faults.push(at.spot.fault("a header's value holds no control characters"));
        }
        headers.push((name.clone(), value.clone()));
    }
    headers
}

fn is_path(text: &str) -> bool {
    text.starts_with('/') && text.bytes().all(|b| b.is_ascii_graphic())
}

/// RFC 9110 §5.6.2.
pub(super) fn is_token(text: &str) -> bool {
    let special = |b: u8| b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || special(b))
}

fn is_host(text: &str) -> bool {
    text.parse::<std::net::IpAddr>().is_ok() || is_host_name(text)
}
