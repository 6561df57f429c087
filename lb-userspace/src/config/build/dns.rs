//! `providers.dns`: from raw to settings.

use std::time::Duration;

use super::providers::exposure;
use crate::{
    config::{
        address::is_host_name,
        decode::{At, Field, Spot},
        raw,
        tree::quoted,
    },
    model::{DnsKind, DnsProvider, DnsService, Exposure, Fault},
    provider::discovery::{Assembler, Instance, Rules},
};

/// Shortest and longest time an answer is believed, where the configuration doesn't say.
const TTL: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));
/// How long one look-up may take.
const TIMEOUT: Duration = Duration::from_secs(4);

pub(super) fn build(at: &At<raw::DnsSource>, faults: &mut Vec<Fault>) -> Option<DnsProvider> {
    let raw = &at.value;
    let services = raw.services.required("services", &at.spot, faults)?;
    if services.value.objects.is_empty() && services.value.faulty.is_empty() {
        faults.push(services.spot.fault("give at least one service"));
    }
    for field in [&raw.min_ttl, &raw.timeout].into_iter().filter_map(Field::at) {
        if field.value.is_zero() {
            faults.push(field.spot.fault("expected a time above 0"));
        }
    }
    let (min_ttl, max_ttl) =
        (raw.min_ttl.or(TTL.0), raw.max_ttl.or(TTL.1.max(raw.min_ttl.or(TTL.0))));
    if let Some(at) = raw.max_ttl.at().filter(|_| max_ttl < min_ttl) {
        faults.push(at.spot.fault("is shorter than `minTTL`"));
    }
    let exposure = exposure(&Field::Absent, &raw.default_rule, &Field::Absent, &Field::Absent);
    let named = services.value.objects.iter();
    let services =
        named.filter_map(|(key, at)| Some((key.clone(), service(key, at, &exposure, faults)?)));
    Some(DnsProvider {
        services: services.collect(),
        resolvers: raw.resolvers.get().into_iter().flatten().map(|at| at.value.0).collect(),
        min_ttl,
        max_ttl: max_ttl.max(min_ttl),
        timeout: raw.timeout.or(TIMEOUT),
        exposure,
    })
}

fn service(
    key: &str,
    at: &At<raw::DnsService>,
    exposure: &Exposure,
    faults: &mut Vec<Fault>,
) -> Option<DnsService> {
    let raw = &at.value;
    let name = raw.name.required("name", &at.spot, faults)?;
    if !is_host_name(&name.value) {
        let message = format!("{} is no name of DNS", quoted(&name.value));
        faults.push(name.spot.fault(message));
        return None;
    }
    let kind = raw.kind.get().copied().unwrap_or(DnsKind::Addresses);
    let service = DnsService {
        name: name.value.clone(),
        kind,
        port: raw.port.get().map(|port| port.u16()),
        labels: raw.labels.get().map(|labels| labels.0.clone()).unwrap_or_default(),
    };
    if !raw.kind.is_absent() && raw.kind.get().is_none() {
        return None;
    }
    labels(key, &service, raw.labels.at().map_or(&at.spot, |at| &at.spot), exposure, faults);
    Some(service)
}

/// What labels say is found out with an address made up, before DNS has one.
fn labels(
    key: &str,
    service: &DnsService,
    spot: &Spot,
    exposure: &Exposure,
    faults: &mut Vec<Fault>,
) {
    let ports: Vec<u16> = match service.kind {
        DnsKind::Srv => vec![service.port.unwrap_or(1)],
        _ => service.port.into_iter().collect(),
    };
    let instance = Instance {
        id: key.to_owned(),
        origin: format!("dns service {key:?}"),
        name: key.to_owned(),
        service: key.to_owned(),
        address: Some("192.0.2.1".to_owned()),
        tcp: ports.clone(),
        udp: ports,
        labels: service.labels.clone(),
        ..Instance::default()
    };
    let read = Assembler::new(Rules::new("dns", exposure)).assemble(&[instance.into()]);
    for fault in &read.faults {
        let path = if fault.path.is_empty() { String::new() } else { format!("{}: ", fault.path) };
        faults.push(spot.fault(format!("{path}{}", fault.message)));
    }
    if read.faults.is_empty()
        && let Some(skipped) = read.skipped.first()
    {
        let why = match skipped.detail.as_str() {
            "" => skipped.reason.label(),
            _ if skipped.reason.label() == "no_port" => "addresses have no port: give `port`",
            detail => detail,
        };
        faults.push(spot.fault(why));
    }
}
