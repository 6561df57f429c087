//! `http`.

use std::time::Duration;

use super::{
    composed::{Failover, HighestRandomWeight, Mirroring, Sticky, Weighted},
    health::HealthCheck,
    router::{Observability, RouterTls},
    transport::HttpTransport,
};
use crate::{
    config::{
        decode::{At, ByName, object},
        url::ServerUrl,
        values::{FlushInterval, Toggle, Weight, Whole},
    },
    middleware,
    model::{Algorithm, PathChoice},
    rule::Syntax,
};

object! {
    /// `http`.
    pub(crate) struct Http {
        routers: ByName<HttpRouter> = "routers",
        services: ByName<HttpService> = "services",
        middlewares: ByName<middleware::Raw> = "middlewares",
        transports: ByName<HttpTransport> = "serversTransports",
    }
    refused {
        "models" => "models are made of entry points: write it under entryPoints.NAME.http",
    }
}

object! {
    /// `http.routers.NAME`.
    pub(crate) struct HttpRouter {
        entry_points: Vec<At<String>> = "entryPoints",
        rule: String = "rule",
        rule_syntax: Syntax = "ruleSyntax",
        middlewares: Vec<At<String>> = "middlewares",
        service: String = "service",
        priority: Whole<{ i64::MIN }, { i64::MAX }> = "priority",
        tls: Toggle<RouterTls> = "tls",
        observability: Observability = "observability",
        datapath: PathChoice = "datapath",
    }
    refused {
        "parentRefs" => "routers under routers aren't done yet; write one rule",
    }
}

object! {
    /// `http.services.NAME`.
    pub(crate) struct HttpService {
        load_balancer: HttpLoadBalancer = "loadBalancer",
        weighted: Weighted = "weighted",
        mirroring: Mirroring = "mirroring",
        failover: Failover = "failover",
        highest_random_weight: HighestRandomWeight = "highestRandomWeight",
    }
}

object! {
    /// `http.services.NAME.loadBalancer`.
    pub(crate) struct HttpLoadBalancer {
        servers: Vec<At<HttpServer>> = "servers",
        algorithm: Algorithm = "algorithm" | "strategy",
        sticky: Sticky = "sticky",
        health_check: HealthCheck = "healthCheck",
        passive: PassiveCheck = "passiveHealthCheck",
        pass_host: bool = "passHostHeader",
        forwarding: ResponseForwarding = "responseForwarding",
        transport: String = "serversTransport",
        slow_start: Duration = "slowStart",
        queue: Whole<0, 1_000_000> = "queue",
        queue_timeout: Duration = "queueTimeout",
        drain_timeout: Duration = "drainTimeout",
    }
    refused {
        "forwarding" => "belongs to a TCP or UDP service: HTTP always goes through the proxy",
        "onDown" | "onEmpty" => "belongs to a TCP or UDP service: HTTP is answered 502 and 503",
        "proxyProtocol" | "terminationDelay" => "belongs to a TCP service",
        "server" => "belongs to a label; write it to each of `servers`",
    }
}

object! {
    /// `http.services.NAME.loadBalancer.servers[]`.
    pub(crate) struct HttpServer {
        url: ServerUrl = "url",
        weight: Weight = "weight",
        preserve_path: bool = "preservePath",
        max_connections: Whole<0, 1_000_000> = "maxConnections",
        timeout: Duration = "timeout",
    }
    refused {
        "address" => "an HTTP server has a `url` (`http://host:port`)",
        "tls" => "an HTTP server with TLS has a `url` that begins with https://",
        "port" | "scheme" => "belongs to a label; write `url: scheme://host:port`",
    }
}

object! {
    /// `http.services.NAME.loadBalancer.responseForwarding`.
    pub(crate) struct ResponseForwarding {
        flush_interval: FlushInterval = "flushInterval",
    }
}

object! {
    /// `http.services.NAME.loadBalancer.passiveHealthCheck`.
    pub(crate) struct PassiveCheck {
        window: Duration = "failureWindow",
        max_failed: Whole<1, 1_000_000> = "maxFailedAttempts",
        ejection: Duration = "ejectionTime",
        max_latency: Duration = "maxLatency",
        max_ejected: Whole<0, 100> = "maxEjectedPercent",
    }
}
