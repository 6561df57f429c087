//! `registry`: from raw to settings.

use std::{net::SocketAddr, time::Duration};

use super::consul;
use crate::{
    config::{decode::Field, raw, values::Toggle},
    model::{Fault, RegistrySettings},
};

/// Where Consul's agent is.
const API: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8500);

/// The registry, where it is asked for.
pub(super) fn build(
    raw: &Field<Toggle<raw::Registry>>,
    faults: &mut Vec<Fault>,
) -> Option<RegistrySettings> {
    let raw = raw.get().and_then(Toggle::on)?;
    let (address, dns) = (raw.address.get().map_or(API, |at| at.0), raw.dns.get().map(|at| at.0));
    if let Some(at) = raw.dns.at().filter(|at| at.value.0 == address) {
        faults
            .push(at.spot.fault("is the address of the registry's API as well: take another port"));
    }
    Some(RegistrySettings {
        address,
        dns,
        script_checks: raw.script_checks.or(false),
        datacenter: raw.datacenter.get().map_or("dc1", |name| &name.0).to_owned(),
        domain: raw.domain.get().map_or("consul", |name| &name.0).to_owned(),
        node: raw.node.get().map(|name| name.0.clone()),
        dns_ttl: raw.dns_ttl.or(Duration::ZERO),
        exposure: consul::exposed(
            &raw.exposed_by_default,
            &raw.default_rule,
            &raw.constraints,
            &raw.prefix,
        ),
        states: consul::states(&raw.strict_checks),
    })
}
