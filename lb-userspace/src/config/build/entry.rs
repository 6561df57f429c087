//! Entry points.

use std::{collections::HashMap, sync::Arc};

use super::{Instance, Kind, Reference, Spots, router};
use crate::{
    config::{
        address::EntryAddress,
        decode::{At, Field, Spot},
        raw,
        values::Toggle,
    },
    model::{
        EntryPoint, EntryPointOptions, Fault, Id, Protocol, Redirection, RespondingTimeouts,
        Trusted,
    },
};

/// Reads all of them into `instance`; where each stands.
pub(super) fn build(
    raw: &Field<raw::ByName<raw::EntryPoint>>,
    provider: &str,
    instance: &mut Instance,
    faults: &mut Vec<Fault>,
) -> Spots {
    let mut spots = Spots::new();
    let mut addresses = HashMap::new();
    instance.unknown = raw.is_faulty();
    let Some(raw) = raw.get() else {
        return spots;
    };
    instance.faulty.extend(raw.faulty.iter().cloned());
    for (name, at) in &raw.objects {
        super::object_name(name, &at.spot, faults);
        let Some(address) = at.value.address.required("address", &at.spot, faults) else {
            instance.faulty.insert(name.clone());
            continue;
        };
        let EntryAddress { ip, port, protocol } = address.value;
        if let Some(other) = addresses.insert((ip, port, protocol), name) {
            let message = format!("entry point {other:?} has this address already");
            faults.push(address.spot.fault(message));
        }
        fits(&at.value, protocol, faults);
        let options = Arc::new(options(&at.value, provider, instance, faults));
        let entry_point = EntryPoint { name: name.clone(), ip, port, protocol, options };
        instance.entry_points.insert(name.clone(), entry_point);
        spots.insert(name.clone(), at.spot.clone());
    }
    spots
}

/// What only TCP has, or only UDP.
fn fits(raw: &raw::EntryPoint, protocol: Protocol, faults: &mut Vec<Fault>) {
    fn spot<T>(field: &Field<T>) -> Option<&Spot> {
        field.at().map(|at| &at.spot)
    }
    let of_tcp = [
        spot(&raw.proxy_protocol),
        spot(&raw.forwarded),
        spot(&raw.http),
        spot(&raw.http2),
        spot(&raw.transport),
        spot(&raw.observability),
    ];
    let wrong: Vec<&Spot> = match protocol {
        Protocol::Udp => of_tcp.into_iter().flatten().collect(),
        Protocol::Tcp | Protocol::Http => spot(&raw.udp).into_iter().collect(),
    };
    let what = if protocol == Protocol::Udp { "UDP" } else { "TCP" };
    for spot in wrong {
        faults.push(spot.fault(format!("the entry point is {what}: this says nothing to it")));
    }
}

fn options(
    raw: &raw::EntryPoint,
    provider: &str,
    instance: &mut Instance,
    faults: &mut Vec<Fault>,
) -> EntryPointOptions {
    if let Some(at) = raw.reuse_port.at().filter(|at| !at.value) {
        faults.push(at.spot.fault("the proxy's threads share each port: remove this"));
    }
    let default = EntryPointOptions::default();
    let none = raw::EntryHttp::default();
    let http = raw.http.get().unwrap_or(&none);
    let none = raw::EntryTransport::default();
    let transport = raw.transport.get().unwrap_or(&none);
    let cycle = transport.life_cycle.get();
    EntryPointOptions {
        as_default: raw.as_default.or(default.as_default),
        proxy_protocol: raw.proxy_protocol.get().map(trusted),
        forwarded: raw.forwarded.get().map(trusted).unwrap_or_default(),
        redirection: redirection(http, instance, faults),
        middlewares: middlewares(http, provider, instance),
        tls: tls(http, provider, instance),
        max_head: http.max_head.get().map_or(default.max_head, |n| n.u32() as usize),
        max_headers: http.max_headers.get().map_or(default.max_headers, |n| n.u32() as usize),
        encode_semicolons: http.encode_semicolons.or(default.encode_semicolons),
        sanitize_path: http.sanitize_path.or(default.sanitize_path),
        request_ids: http.request_ids.or(default.request_ids),
        max_streams: raw
            .http2
            .get()
            .and_then(|http2| http2.max_streams.get())
            .map_or(default.max_streams, |n| n.u32()),
        timeouts: timeouts(transport),
        accept_grace: cycle
            .map_or(default.accept_grace, |cycle| cycle.accept_grace.or(default.accept_grace)),
        grace: cycle.map_or(default.grace, |cycle| cycle.grace.or(default.grace)),
        keep_alive_time: transport.keep_alive_time.or(default.keep_alive_time),
        keep_alive_requests: transport
            .keep_alive_requests
            .get()
            .map_or(default.keep_alive_requests, |n| u64::try_from(n.0).unwrap_or(0)),
        max_connections: transport
            .max_connections
            .get()
            .map_or(default.max_connections, |n| n.u32()),
        udp_timeout: raw
            .udp
            .get()
            .map_or(default.udp_timeout, |udp| udp.timeout.or(default.udp_timeout)),
        observability: router::observability(&raw.observability),
    }
}

fn trusted(raw: &raw::Trusted) -> Trusted {
    let networks = raw.trusted_ips.get().map(Vec::as_slice).unwrap_or_default();
    Trusted {
        everybody: raw.insecure.or(false),
        networks: networks.iter().map(|at| at.value).collect(),
    }
}

fn redirection(
    http: &raw::EntryHttp,
    instance: &mut Instance,
    faults: &mut Vec<Fault>,
) -> Option<Redirection> {
    let raw = http.redirections.get()?.entry_point.at()?;
    let to = raw.value.to.required("to", &raw.spot, faults)?;
    match to.value.strip_prefix(':') {
        Some(port) if port.parse::<u16>().is_ok_and(|port| port > 0) => {}
        Some(_) => faults.push(to.spot.fault("expected an entry point or a port such as \":443\"")),
        None => instance.redirected.push(to.clone()),
    }
    let scheme = raw.value.scheme.or("https".to_owned());
    if let Some(at) = raw.value.scheme.at().filter(|at| !matches!(&*at.value, "http" | "https")) {
        let message = format!("expected \"http\" or \"https\", found {:?}", at.value);
        faults.push(at.spot.fault(message));
    }
    Some(Redirection {
        to: to.value.clone(),
        scheme,
        permanent: raw.value.permanent.or(true),
        priority: raw.value.priority.get().map_or(i64::MAX - 1, |n| n.0),
    })
}

/// Names that entry points refer by, as an HTTP router of the main file would.
fn owner(provider: &str) -> Id {
    Id::new(Protocol::Http, "", provider)
}

fn middlewares(http: &raw::EntryHttp, provider: &str, instance: &mut Instance) -> Vec<String> {
    let list: &[At<String>] = http.middlewares.get().map(Vec::as_slice).unwrap_or_default();
    let refer = |at| Reference::new(Kind::Middleware, at, &owner(provider));
    instance.references.extend(list.iter().map(refer));
    list.iter().map(|at| at.value.clone()).collect()
}

fn tls(
    http: &raw::EntryHttp,
    provider: &str,
    instance: &mut Instance,
) -> Option<crate::model::RouterTls> {
    let raw = http.tls.get().and_then(Toggle::on)?;
    let options = raw.options.at().filter(|at| !router::is_default(&at.value));
    let refer = |at| Reference::new(Kind::TlsOptions, at, &owner(provider));
    instance.references.extend(options.map(refer));
    instance.resolved_by.extend(raw.resolver.at().cloned());
    Some(router::tls_of(raw))
}

fn timeouts(transport: &raw::EntryTransport) -> RespondingTimeouts {
    let default = RespondingTimeouts::default();
    let Some(raw) = transport.timeouts.get() else {
        return default;
    };
    RespondingTimeouts {
        read: raw.read.or(default.read),
        write: raw.write.or(default.write),
        idle: raw.idle.or(default.idle),
        head: raw.head.or(default.head),
    }
}
