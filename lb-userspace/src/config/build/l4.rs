//! Services of TCP and UDP.

use std::{collections::HashMap, time::Duration};

use super::{Builder, Kind, Reference, ServiceDraft, composed::Parts, health};
use crate::{
    config::{
        decode::{At, Field, Spot},
        raw,
    },
    model::{Fault, Id, Protocol, Scheme, Server, ServerOptions, Service},
};

/// Servers of one service at most: as many members as a ring has (`lb_common::ring`).
const MAX_SERVERS: usize = lb_common::ring::RING_MEMBERS;

pub(super) const DRAIN_TIMEOUT: Duration = Duration::from_secs(300);

impl Builder<'_> {
    pub(super) fn l4_service(&mut self, id: Id, raw: At<raw::Service>) {
        let parts = Parts {
            weighted: &raw.value.weighted,
            mirroring: &Field::Absent,
            failover: &raw.value.failover,
            highest_random_weight: &raw.value.highest_random_weight,
        };
        let mut references = Vec::new();
        let balancer = &raw.value.load_balancer;
        let mut service = Service::new(id.clone());
        service.composed =
            parts.build(&id, balancer.at(), &raw.spot, &mut references, &mut self.faults);
        if service.composed.is_none()
            && parts.are_absent()
            && let Some(at) = balancer.required("loadBalancer", &raw.spot, &mut self.faults)
        {
            balanced(&mut service, at, &mut references, &mut self.faults);
            self.own_transport(&mut service, &at.value);
        }
        let draft = ServiceDraft { service: service.into(), spot: raw.spot, references };
        self.document.services.push(draft.into());
    }

    /// `proxyProtocol` and `terminationDelay` of a service, as Traefik had them before it had
    /// servers transports: they make a transport of the service's own.
    fn own_transport(&mut self, service: &mut Service, raw: &raw::LoadBalancer) {
        let spots = [
            raw.proxy_protocol.at().map(|at| &at.spot),
            raw.termination_delay.at().map(|at| &at.spot),
        ];
        let Some(spot) = spots.into_iter().flatten().next() else { return };
        if service.id.protocol == Protocol::Udp {
            self.faults.push(spot.fault("belongs to a TCP service"));
        } else if raw.transport.at().is_some() {
            let message = "stands beside `serversTransport`; write it there";
            self.faults.push(spot.fault(message));
        } else {
            let at = self.transport_of_service(&service.id, raw, spot);
            service.http.transport = Some(at.value.id.clone());
            self.document.transports.push(at);
        }
    }
}

fn balanced(
    service: &mut Service,
    raw: &At<raw::LoadBalancer>,
    references: &mut Vec<Reference>,
    faults: &mut Vec<Fault>,
) {
    let balancer = &raw.value;
    let protocol = service.id.protocol;
    service.health_check =
        balancer.health_check.at().and_then(|at| health::build(protocol, at, faults));
    service.forwarding = balancer.forwarding.or_default();
    service.algorithm = balancer.algorithm.or_default();
    service.on_down = balancer.on_down.or_default();
    service.on_empty = balancer.on_empty.or_default();
    service.drain_timeout = balancer.drain_timeout.or(DRAIN_TIMEOUT);
    service.servers = servers(protocol, balancer, &raw.spot, faults);
    if let Some(at) = balancer.transport.at() {
        if protocol == Protocol::Udp {
            faults.push(at.spot.fault("UDP has no servers transports"));
        } else {
            let reference = Reference::new(Kind::Transport, at, &service.id);
            service.http.transport = Some(reference.id.clone());
            references.push(reference);
        }
    }
}

fn servers(
    protocol: Protocol,
    balancer: &raw::LoadBalancer,
    spot: &Spot,
    faults: &mut Vec<Fault>,
) -> Vec<Server> {
    let list = balancer.servers.get().map(Vec::as_slice).unwrap_or_default();
    let mut once = Once::new(list.len(), spot, faults);
    let mut servers = Vec::with_capacity(list.len());
    for at in list {
        let Some(address) = at.value.address.required("address", &at.spot, faults) else {
            continue;
        };
        if let Some(tls) = at.value.tls.at().filter(|tls| tls.value && protocol == Protocol::Udp) {
            faults.push(tls.spot.fault("UDP has no TLS"));
        }
        let scheme = if at.value.tls.or(false) { Scheme::Https } else { Scheme::Http };
        let server = Server {
            host: address.value.host.clone(),
            port: address.value.port,
            weight: at.value.weight.get().map_or(1, |weight| weight.u32()),
            options: ServerOptions {
                scheme,
                max_connections: at.value.max_connections.get().map_or(0, |n| n.u32()),
                ..ServerOptions::default()
            },
        };
        once.server(&server, &address.spot, faults);
        servers.push(server);
    }
    servers
}

/// Finds servers that stand twice; nothing to do where there is one.
pub(super) struct Once(Option<HashMap<String, u32>>);

impl Once {
    pub(super) fn new(count: usize, spot: &Spot, faults: &mut Vec<Fault>) -> Self {
        if count > MAX_SERVERS {
            let message = format!("{count} servers; one service has at most {MAX_SERVERS}");
            faults.push(spot.fault(message));
        }
        Self((count > 1).then(HashMap::new))
    }

    /// Backends are told apart by their addresses.
    pub(super) fn server(&mut self, server: &Server, spot: &Spot, faults: &mut Vec<Fault>) {
        let Some(lines) = &mut self.0 else { return };
        let address = server.address();
        if let Some(line) = lines.insert(address.to_ascii_lowercase(), spot.pos.line) {
            let message = format!("{address:?} stands twice, first in line {line}");
            faults.push(spot.fault(message + "; keep one and give it the weight of both"));
        }
    }
}
