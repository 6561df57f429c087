//! What routers of every protocol have, and `tls` of those that have it.

use crate::{
    config::{
        decode::{At, Cx, Decode, object},
        tree::Node,
        values::choice,
    },
    model::PathChoice,
    rule::Syntax,
};

object! {
    /// `tls` of an HTTP router, and of an entry point for all of them.
    pub(crate) struct RouterTls {
        options: String = "options",
        resolver: String = "certResolver",
        domains: Vec<At<Domain>> = "domains",
    }
    refused {
        "passthrough" => "belongs to a TCP router: an HTTP router decrypts",
    }
}

object! {
    /// `tls` of a TCP router.
    pub(crate) struct TcpRouterTls {
        passthrough: bool = "passthrough",
        options: String = "options",
        resolver: String = "certResolver",
        domains: Vec<At<Domain>> = "domains",
    }
}

object! {
    /// `tls.domains[]`.
    pub(crate) struct Domain {
        main: String = "main",
        sans: Vec<At<String>> = "sans",
    }
}

object! {
    /// `observability` of an HTTP router or an entry point.
    pub(crate) struct Observability {
        access_logs: bool = "accessLogs",
        metrics: bool = "metrics",
        tracing: bool = "tracing",
    }
    refused {
        "traceVerbosity" => "lb makes a span for each request and one for each time a server is asked: remove this",
    }
}

impl Decode for PathChoice {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        let table = [("auto", Self::Auto), ("kernel", Self::Kernel), ("proxy", Self::Proxy)];
        choice(node, &table, &[], cx)
    }
}

impl Decode for Syntax {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        choice(node, &[("v3", Self::V3), ("v2", Self::V2)], &[], cx)
    }
}
