//! Services of HTTP.

use super::{
    Builder, Kind, Reference, ServiceDraft,
    composed::{Parts, cookie},
    health,
    l4::{DRAIN_TIMEOUT, Once},
};
use crate::{
    config::{
        decode::{At, Field, Spot},
        raw,
    },
    model::{Algorithm, Fault, HttpBalancing, Id, PassiveCheck, Server, ServerOptions, Service},
};

impl Builder<'_> {
    pub(super) fn http_service(&mut self, id: Id, raw: At<raw::HttpService>) {
        let parts = Parts {
            weighted: &raw.value.weighted,
            mirroring: &raw.value.mirroring,
            failover: &raw.value.failover,
            highest_random_weight: &raw.value.highest_random_weight,
        };
        let mut references = Vec::new();
        let balancer = &raw.value.load_balancer;
        let mut service = Service { algorithm: Algorithm::RoundRobin, ..Service::new(id.clone()) };
        service.composed =
            parts.build(&id, balancer.at(), &raw.spot, &mut references, &mut self.faults);
        if service.composed.is_none()
            && parts.are_absent()
            && let Some(at) = balancer.required("loadBalancer", &raw.spot, &mut self.faults)
        {
            balanced(&mut service, at, &mut references, &mut self.faults);
        }
        let draft = ServiceDraft { service: service.into(), spot: raw.spot, references };
        self.document.services.push(draft.into());
    }
}

fn balanced(
    service: &mut Service,
    raw: &At<raw::HttpLoadBalancer>,
    references: &mut Vec<Reference>,
    faults: &mut Vec<Fault>,
) {
    let balancer = &raw.value;
    service.algorithm = balancer.algorithm.or(Algorithm::RoundRobin);
    service.health_check =
        balancer.health_check.at().and_then(|at| health::build(service.id.protocol, at, faults));
    service.drain_timeout = balancer.drain_timeout.or(DRAIN_TIMEOUT);
    service.servers = servers(balancer, &raw.spot, faults);
    let default = HttpBalancing::default();
    let flush = balancer.forwarding.get().and_then(|raw| raw.flush_interval.get());
    let transport = balancer.transport.at();
    let transport = transport.map(|at| Reference::new(Kind::Transport, at, &service.id));
    let http = HttpBalancing {
        pass_host: balancer.pass_host.or(default.pass_host),
        sticky: balancer.sticky.get().and_then(|sticky| cookie(sticky, faults)),
        flush_interval: flush.map_or(default.flush_interval, |flush| flush.0),
        transport: transport.as_ref().map(|reference| reference.id.clone()),
        passive: balancer.passive.at().map(|at| passive(at, faults)),
        slow_start: balancer.slow_start.or(default.slow_start),
        queue: balancer.queue.get().map_or(default.queue, |n| n.u32()),
        queue_timeout: balancer.queue_timeout.or(default.queue_timeout),
    };
    // Most say nothing, and share what that means.
    if *service.http != http {
        service.http = http.into();
    }
    references.extend(transport);
}

fn servers(balancer: &raw::HttpLoadBalancer, spot: &Spot, faults: &mut Vec<Fault>) -> Vec<Server> {
    let list = balancer.servers.get().map(Vec::as_slice).unwrap_or_default();
    let mut once = Once::new(list.len(), spot, faults);
    let mut servers = Vec::with_capacity(list.len());
    for at in list {
        let raw = &at.value;
        let Some(url) = raw.url.required("url", &at.spot, faults) else { continue };
        let server = Server {
            host: url.value.host.clone(),
            port: url.value.port,
            weight: raw.weight.get().map_or(1, |weight| weight.u32()),
            options: ServerOptions {
                scheme: url.value.scheme,
                path: url.value.path.as_str().into(),
                preserve_path: raw.preserve_path.or(false),
                max_connections: raw.max_connections.get().map_or(0, |n| n.u32()),
                timeout: raw.timeout.get().copied(),
            },
        };
        if let Some(at) = raw.timeout.at().filter(|at| at.value.is_zero()) {
            faults.push(at.spot.fault("expected a time above 0: nothing could answer in none"));
        }
        once.server(&server, &url.spot, faults);
        servers.push(server);
    }
    servers
}

fn passive(raw: &At<raw::PassiveCheck>, faults: &mut Vec<Fault>) -> PassiveCheck {
    let check = &raw.value;
    let default = PassiveCheck::default();
    for at in [&check.window, &check.ejection, &check.max_latency].into_iter().filter_map(Field::at)
    {
        if at.value.is_zero() {
            faults.push(at.spot.fault("expected a time above 0"));
        }
    }
    PassiveCheck {
        window: check.window.or(default.window),
        max_failed: check.max_failed.get().map_or(default.max_failed, |n| n.u32()),
        ejection: check.ejection.or(default.ejection),
        max_latency: check.max_latency.get().copied(),
        max_ejected_percent: check
            .max_ejected
            .get()
            .map_or(default.max_ejected_percent, |n| n.u16().min(100) as u8),
    }
}
