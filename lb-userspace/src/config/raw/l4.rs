//! `tcp` and `udp`.

use std::time::Duration;

use super::{
    composed::{Failover, HighestRandomWeight, Weighted},
    health::HealthCheck,
    router::TcpRouterTls,
    transport::{ProxyProtocol, TcpTransport},
};
use crate::{
    config::{
        address::ServerAddress,
        decode::{At, ByName, Cx, Decode, object},
        tree::Node,
        values::{Milliseconds, Toggle, Weight, Whole, choice},
    },
    middleware,
    model::{Algorithm, Forwarding, OnDown, OnEmpty, PathChoice},
    rule::Syntax,
};

object! {
    /// `tcp`.
    pub(crate) struct Tcp {
        routers: ByName<TcpRouter> = "routers",
        services: ByName<Service> = "services",
        middlewares: ByName<middleware::tcp::Raw> = "middlewares",
        transports: ByName<TcpTransport> = "serversTransports",
    }
    refused {
        "models" => "TCP routers have no models: remove this",
    }
}

object! {
    /// `udp`.
    pub(crate) struct Udp {
        routers: ByName<UdpRouter> = "routers",
        services: ByName<Service> = "services",
    }
    refused {
        "middlewares" => "UDP has no middlewares",
        "serversTransports" => "UDP has no servers transports",
    }
}

object! {
    /// `tcp.routers.NAME`.
    pub(crate) struct TcpRouter {
        entry_points: Vec<At<String>> = "entryPoints",
        rule: String = "rule",
        rule_syntax: Syntax = "ruleSyntax",
        middlewares: Vec<At<String>> = "middlewares",
        service: String = "service",
        priority: Whole<{ i64::MIN }, { i64::MAX }> = "priority",
        tls: Toggle<TcpRouterTls> = "tls",
        datapath: PathChoice = "datapath",
    }
    refused {
        "observability" => "belongs to an HTTP router",
    }
}

object! {
    /// `udp.routers.NAME`.
    pub(crate) struct UdpRouter {
        entry_points: Vec<At<String>> = "entryPoints",
        service: String = "service",
        priority: Whole<{ i64::MIN }, { i64::MAX }> = "priority",
        datapath: PathChoice = "datapath",
    }
    refused {
        "rule" => "a UDP router has no rule: it takes all that comes to its entry points",
        "tls" => "a UDP router has no TLS",
        "middlewares" => "a UDP router has no middlewares",
    }
}

object! {
    /// `{tcp,udp}.services.NAME`.
    pub(crate) struct Service {
        load_balancer: LoadBalancer = "loadBalancer",
        weighted: Weighted = "weighted",
        failover: Failover = "failover",
        highest_random_weight: HighestRandomWeight = "highestRandomWeight",
    }
    refused {
        "mirroring" => "belongs to an HTTP service",
    }
}

object! {
    /// `{tcp,udp}.services.NAME.loadBalancer`.
    pub(crate) struct LoadBalancer {
        servers: Vec<At<Server>> = "servers",
        forwarding: Forwarding = "forwarding",
        algorithm: Algorithm = "algorithm" | "strategy",
        health_check: HealthCheck = "healthCheck",
        on_down: OnDown = "onDown",
        on_empty: OnEmpty = "onEmpty",
        drain_timeout: Duration = "drainTimeout",
        transport: String = "serversTransport",
        proxy_protocol: ProxyProtocol = "proxyProtocol",
        termination_delay: Milliseconds = "terminationDelay",
    }
    refused {
        "sticky" => "clients stay with their server under `algorithm: sourceHash`",
        "passHostHeader" | "responseForwarding" | "passiveHealthCheck" | "slowStart" | "queue"
            | "queueTimeout" => "belongs to an HTTP service",
    }
}

object! {
    /// `…servers[]`.
    pub(crate) struct Server {
        address: ServerAddress = "address",
        weight: Weight = "weight",
        tls: bool = "tls",
        max_connections: Whole<0, 1_000_000> = "maxConnections",
    }
    refused {
        "url" => "a TCP or UDP server has an `address` (`host:port`)",
        "preservePath" | "timeout" => "belongs to an HTTP service",
        "port" | "scheme" => "belongs to a label; write `address: host:port`",
    }
}

impl Decode for Forwarding {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        const LATER: &[(&str, &str)] = &[
            ("dsr", "forwarding \"dsr\" isn't done yet; \"nat\" is"),
            ("ipip", "forwarding \"ipip\" isn't done yet; \"nat\" is"),
            ("gue", "forwarding \"gue\" isn't done yet; \"nat\" is"),
        ];
        choice(node, &[("nat", Self::Nat)], LATER, cx)
    }
}

impl Decode for Algorithm {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        let table = [
            ("maglev", Self::Maglev),
            ("roundRobin", Self::RoundRobin),
            ("leastConn", Self::LeastConn),
            ("sourceHash", Self::SourceHash),
            ("random", Self::Random),
            ("p2c", Self::P2c),
            ("leastTime", Self::LeastTime),
            ("wrr", Self::RoundRobin),
            ("hrw", Self::SourceHash),
        ];
        choice(node, &table, &[], cx)
    }
}

impl Decode for OnDown {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        choice(node, &[("keep", Self::Keep), ("reset", Self::Reset)], &[], cx)
    }
}

impl Decode for OnEmpty {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        choice(node, &[("reset", Self::Reset), ("drop", Self::Drop)], &[], cx)
    }
}
