//! Services.

use std::{collections::HashMap, net::IpAddr, time::Duration};

use super::health;
use crate::{
    config::{
        decode::{At, Spot},
        raw,
    },
    model::{Fault, Id, Protocol, Server, Service},
};

/// Servers of one service at most: as many members as a ring has (`lb_common::ring`).
const MAX_SERVERS: usize = lb_common::ring::RING_MEMBERS;

const DRAIN_TIMEOUT: Duration = Duration::from_secs(300);

pub(super) fn build(
    protocol: Protocol,
    name: &str,
    provider: &str,
    raw: At<raw::Service>,
    faults: &mut Vec<Fault>,
    warnings: &mut Vec<Fault>,
) -> Service {
    let balancer = raw.value.load_balancer.required("loadBalancer", &raw.spot, faults);
    let spot = balancer.map_or(&raw.spot, |at| &at.spot);
    let empty = raw::LoadBalancer::default();
    let balancer = balancer.map_or(&empty, |at| &at.value);
    let health_check =
        balancer.health_check.at().and_then(|at| health::build(protocol, at, faults));
    Service {
        id: Id::new(protocol, name, provider),
        forwarding: balancer.forwarding.or_default(),
        algorithm: balancer.algorithm.or_default(),
        health_check,
        on_down: balancer.on_down.or_default(),
        on_empty: balancer.on_empty.or_default(),
        drain_timeout: balancer.drain_timeout.or(DRAIN_TIMEOUT),
        servers: servers(balancer, spot, faults, warnings),
        backends: Vec::new(),
        ..Service::new(Id::new(protocol, name, provider))
    }
}

fn servers(
    balancer: &raw::LoadBalancer,
    spot: &Spot,
    faults: &mut Vec<Fault>,
    warnings: &mut Vec<Fault>,
) -> Vec<Server> {
    let list = balancer.servers.get().map(Vec::as_slice).unwrap_or_default();
    if list.len() > MAX_SERVERS {
        let count = list.len();
        faults.push(spot.fault(format!("{count} servers; one service has at most {MAX_SERVERS}")));
    }
    let mut servers = Vec::with_capacity(list.len());
    let mut seen: HashMap<String, u32> = HashMap::new();
    for at in list {
        let Some(address) = at.value.address.required("address", &at.spot, faults) else {
            continue;
        };
        let server = Server {
            host: address.value.host.clone(),
            port: address.value.port,
            weight: at.value.weight.get().map_or(1, |weight| weight.u32()),
            options: Default::default(),
        };
        if let Some(line) =
            seen.insert(server.address().to_ascii_lowercase(), address.spot.pos.line)
        {
            let message = format!("{:?} stands twice, first in line {line}", server.address());
            faults.push(address.spot.fault(message + "; keep one and give it the weight of both"));
        }
        if server.host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback()) {
            warnings.push(address.spot.fault(format!(
                "{} is this host itself: the kernel path reaches only backends beyond an interface",
                server.host
            )));
        }
        servers.push(server);
    }
    servers
}
