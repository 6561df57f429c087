//! `tracing`.

use super::providers::Tls;
use crate::config::{
    decode::{At, ByName, Cx, Decode, object},
    tree::Node,
    values::{Scalar, Toggle, number},
};

object! {
    /// `tracing`.
    pub(crate) struct Tracing {
        service_name: String = "serviceName",
        resource: ByName<Scalar> = "resourceAttributes" | "globalAttributes",
        sample_rate: Rate = "sampleRate",
        request_headers: Vec<At<String>> = "capturedRequestHeaders",
        response_headers: Vec<At<String>> = "capturedResponseHeaders",
        safe_query: Vec<At<String>> = "safeQueryParams",
        internals: bool = "addInternals",
        otlp: Toggle<Otlp> = "otlp",
    }
    refused {
        "jaeger" | "zipkin" | "datadog" | "instana" | "haystack" | "elastic"
            => "lb sends spans by OTLP alone: use tracing.otlp.http",
        "spanNameLimit" => "a span's name is the request's method: remove this",
    }
}

object! {
    /// `tracing.otlp`.
    pub(crate) struct Otlp {
        http: Toggle<OtlpHttp> = "http",
    }
    refused {
        "grpc" => "lb sends spans by OTLP over HTTP alone: use tracing.otlp.http (port 4318 of most collectors)",
    }
}

object! {
    /// `tracing.otlp.http`.
    pub(crate) struct OtlpHttp {
        endpoint: String = "endpoint",
        headers: ByName<Scalar> = "headers",
        tls: Tls = "tls",
    }
}

/// A share of all, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rate(pub(crate) f64);

impl Decode for Rate {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        let rate = number(node).filter(|n| (0.0..=1.0).contains(n));
        if rate.is_none() {
            cx.expected(node, "a number from 0 to 1");
        }
        rate.map(Self)
    }
}
