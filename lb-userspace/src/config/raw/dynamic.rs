//! `tcp` and `udp`: routers and services.

use std::time::Duration;

use super::needs_proxy;
use crate::{
    config::{
        address::ServerAddress,
        decode::object,
        decode::{At, ByName, Cx, Decode, Field, Fields},
        tree::Node,
        values::{Port, Scalar, Weight, Whole, choice},
    },
    model::{Algorithm, Forwarding, OnDown, OnEmpty, PathChoice},
};

/// `tcp` or `udp`, by the kind of its routers.
#[derive(Clone, Debug)]
pub(crate) struct Transport<R> {
    pub(crate) routers: Field<ByName<R>>,
    pub(crate) services: Field<ByName<Service>>,
}

impl<R: Decode> Decode for Transport<R> {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        let mut fields = Fields::of(node, cx)?;
        let routers = fields.take(&["routers"], cx);
        let services = fields.take(&["services"], cx);
        fields.finish(
            &[
                (&["middlewares"], needs_proxy!("a TCP middleware")),
                (&["serversTransports"], needs_proxy!("a servers transport")),
                (&["models"], needs_proxy!("a model")),
            ],
            cx,
        );
        Some(Self { routers, services })
    }
}

object! {
    /// `tcp.routers.NAME`.
    pub(crate) struct Router {
        entry_points: Vec<At<String>> = "entryPoints",
        rule: String = "rule",
        service: String = "service",
        priority: Whole<{ i64::MIN }, { i64::MAX }> = "priority",
        datapath: PathChoice = "datapath",
        tls: Anything = "tls",
        middlewares: Anything = "middlewares",
    }
    refused {
        "ruleSyntax" => "lb has one rule syntax: remove this",
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
    }
    refused {
        "weighted" => "weighted services of services aren't done yet; give the servers weights",
        "mirroring" => needs_proxy!("mirroring"),
        "failover" => "failover services aren't done yet",
    }
}

object! {
    /// `…loadBalancer`.
    pub(crate) struct LoadBalancer {
        servers: Vec<At<Server>> = "servers",
        forwarding: Forwarding = "forwarding",
        algorithm: Algorithm = "algorithm" | "strategy",
        health_check: HealthCheck = "healthCheck",
        on_down: OnDown = "onDown",
        on_empty: OnEmpty = "onEmpty",
        drain_timeout: Duration = "drainTimeout",
    }
    refused {
        "terminationDelay" => needs_proxy!("a termination delay"),
        "proxyProtocol" => needs_proxy!("the PROXY protocol"),
        "serversTransport" => needs_proxy!("a servers transport"),
        "sticky" => "clients stay with their server under `algorithm: sourceHash`",
        "passHostHeader" | "responseForwarding" => "belongs to an HTTP service",
        "passiveHealthCheck" => needs_proxy!("passive health checks"),
    }
}

object! {
    /// `…servers[]`.
    pub(crate) struct Server {
        address: ServerAddress = "address",
        weight: Weight = "weight",
    }
    refused {
        "url" => "a TCP or UDP server has an `address` (`host:port`)",
        "tls" => needs_proxy!("TLS towards a server"),
        "preservePath" => "belongs to an HTTP service",
        "port" | "scheme" => "belongs to a label; write `address: host:port`",
    }
}

object! {
    /// `…healthCheck`.
    pub(crate) struct HealthCheck {
        interval: Duration = "interval",
        timeout: Duration = "timeout",
        rise: Whole<1, 1_000> = "rise",
        fall: Whole<1, 1_000> = "fall",
        mode: Mode = "mode",
        port: Port = "port",
        path: String = "path",
        scheme: Scheme = "scheme",
        method: String = "method",
        status: Whole<100, 599> = "status",
        headers: ByName<Scalar> = "headers",
        hostname: String = "hostname",
        follow_redirects: bool = "followRedirects",
    }
    refused {
        "unhealthyInterval" => "the interval is the same in every state: set `interval`",
        "send" | "expect" => "a check that sends and expects bytes isn't done yet; `mode: http` is",
    }
}

/// A key whose presence alone matters: its router can't be built.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Anything;

impl Decode for Anything {
    fn decode(_: &Node, _: &mut Cx) -> Option<Self> {
        Some(Self)
    }
}

/// `healthCheck.mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Tcp,
    Http,
}

impl Decode for Mode {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        const GRPC: (&str, &str) =
            ("grpc", "gRPC checks aren't done yet; \"tcp\" and \"http\" are");
        choice(node, &[("tcp", Self::Tcp), ("http", Self::Http)], &[GRPC], cx)
    }
}

/// `healthCheck.scheme`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Https,
}

impl Decode for Scheme {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        choice(node, &[("http", Self::Http), ("https", Self::Https)], &[], cx)
    }
}

impl Decode for PathChoice {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        let table = [("auto", Self::Auto), ("kernel", Self::Kernel), ("proxy", Self::Proxy)];
        choice(node, &table, &[], cx)
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
        const LIST: &str = "the kernel has \"maglev\", \"roundRobin\", \"leastConn\", \"sourceHash\" and \"random\"";
        let table = [
            ("maglev", Self::Maglev),
            ("roundRobin", Self::RoundRobin),
            ("leastConn", Self::LeastConn),
            ("sourceHash", Self::SourceHash),
            ("random", Self::Random),
            ("wrr", Self::RoundRobin),
            ("hrw", Self::SourceHash),
        ];
        let p2c = format!("\"p2c\" needs the proxy, which lb doesn't have yet; {LIST}");
        let least = format!("\"leastTime\" needs the proxy, which lb doesn't have yet; {LIST}");
        choice(node, &table, &[("p2c", &p2c), ("leastTime", &least)], cx)
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
