//! `healthCheck`.

use std::time::Duration;

use crate::config::{
    decode::{ByName, Cx, Decode, object},
    tree::Node,
    values::{Port, Scalar, Whole, choice},
};

object! {
    /// `…healthCheck`.
    pub(crate) struct HealthCheck {
        interval: Duration = "interval",
        unhealthy_interval: Duration = "unhealthyInterval",
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
        "send" | "expect" => "a check that sends and expects bytes isn't done yet; `mode: http` is",
    }
}

/// `healthCheck.mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Tcp,
    Http,
    Grpc,
}

impl Decode for Mode {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        let table = [("tcp", Self::Tcp), ("http", Self::Http), ("grpc", Self::Grpc)];
        choice(node, &table, &[], cx)
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
