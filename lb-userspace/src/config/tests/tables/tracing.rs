//! `tracing`.

use super::*;
use crate::model::{ClientTls, Collector, Tracing};

fn tracing(inner: &str) -> Tracing {
    let tracing = sound(&format!("tracing: {{ {inner} }}")).settings.tracing;
    Tracing::clone(&tracing.expect("tracing"))
}

fn collector(inner: &str) -> Collector {
    tracing(&format!("otlp: {{ http: {{ {inner} }} }}")).collector
}

fn own(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

rows! {
    absent: sound("{}").settings.tracing => None;
    by_default: tracing("") => Tracing::default();
    otlp_by_default: tracing("otlp: {}") => Tracing::default();
    otlp_as_a_switch: tracing("otlp: { http: true }") => Tracing::default();
    service_name: tracing("serviceName: edge").service_name => "edge";
    attributes: tracing("resourceAttributes: { env: prod, n: 1 }").resource => own(&[("env", "prod"), ("n", "1")]);
    attributes_by_their_old_name: tracing("globalAttributes: { env: prod }").resource => own(&[("env", "prod")]);
    rate: tracing("sampleRate: 0.25").sample_rate => 0.25;
    rate_of_none: tracing("sampleRate: 0").sample_rate => 0.0;
    rate_as_text: tracing("sampleRate: '0.5'").sample_rate => 0.5;
    request_headers: tracing("capturedRequestHeaders: [X-A, b]").request_headers => ["x-a", "b"];
    response_headers: tracing("capturedResponseHeaders: [X-A]").response_headers => ["x-a"];
    safe_query: tracing("safeQueryParams: [page, Size]").safe_query => ["page", "Size"];
    internals: tracing("addInternals: true").internals => true;
    endpoint: collector("endpoint: 'http://10.0.0.9:4318/v1/traces'").endpoint => "http://10.0.0.9:4318/v1/traces";
    headers: collector("headers: { X-Token: s3cret }").headers => own(&[("X-Token", "s3cret")]);
    authorities: collector("tls: { ca: ca.pem }").tls => Some(ClientTls { root_cas: vec![Pem::File("ca.pem".into())], ..ClientTls::default() });
    headers_are_secrets: format!("{:?}", collector("headers: { X-Token: s3cret }")).contains("s3cret") => false;
}
