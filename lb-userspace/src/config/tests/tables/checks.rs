//! Health checks.

use super::*;

fn http(inner: &str) -> (String, String, Option<bool>, Option<u16>, bool) {
    match check(inner).kind {
        CheckKind::Http { method, path, tls, status, follow_redirects, .. } => {
            (method, path, tls, status, follow_redirects)
        }
        CheckKind::Tcp | CheckKind::Grpc { .. } => panic!("no HTTP check"),
    }
}

fn headers(inner: &str) -> Vec<(String, String)> {
    match check(inner).kind {
        CheckKind::Http { headers, .. } => headers,
        CheckKind::Tcp | CheckKind::Grpc { .. } => panic!("no HTTP check"),
    }
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

rows! {
    interval_by_default: check("").interval => Duration::from_secs(10);
    timeout_by_default: check("").timeout => Duration::from_secs(2);
    rise_by_default: check("").rise => 2;
    fall_by_default: check("").fall => 2;
    rise: check("rise: 5").rise => 5;
    fall: check("fall: 1").fall => 1;
    port_by_default: check("").port => None;
    port: check("port: 8080").port => Some(8080);
    tcp_by_default: check("").kind => CheckKind::Tcp;
    tcp_in_words: check("mode: tcp").kind => CheckKind::Tcp;
    http_by_path: http("path: /healthz").1 => "/healthz";
    http_by_mode: http("mode: http").1 => "/";
    a_path_with_query: http("path: '/h?a=b&c'").1 => "/h?a=b&c";
    method_by_default: http("path: /").0 => "GET";
    method: http("path: /, method: HEAD").0 => "HEAD";
    scheme_by_default: http("path: /").2 => None;
    https: http("path: /, scheme: https").2 => Some(true);
    http_in_words: http("path: /, scheme: http").2 => Some(false);
    status_by_default: http("path: /").3 => None;
    status: http("path: /, status: 204").3 => Some(204);
    redirects_by_default: http("path: /").4 => true;
    redirects: http("path: /, followRedirects: false").4 => false;
    headers_in_their_order: headers("path: /, headers: { X-B: '1', X-A: '2' }") => [pair("X-B", "1"), pair("X-A", "2")];
    a_header_of_a_number: headers("path: /, headers: { X-A: 1 }") => [pair("X-A", "1")];
    a_header_of_a_boolean: headers("path: /, headers: { X-A: true }") => [pair("X-A", "true")];
    grpc: check("mode: grpc").kind => CheckKind::Grpc { tls: None, hostname: None, headers: vec![] };
    grpc_with_tls: check("mode: grpc, scheme: https, hostname: a.example").kind => CheckKind::Grpc { tls: Some(true), hostname: Some("a.example".to_owned()), headers: vec![] };
    grpc_with_headers: check("mode: grpc, headers: { x-a: b }").kind => CheckKind::Grpc { tls: None, hostname: None, headers: vec![pair("x-a", "b")] };
    udp_with_a_port: service_of("udp", "healthCheck: { port: 53 }").health_check.map(|one| one.kind) => Some(CheckKind::Tcp);
    udp_with_a_mode: service_of("udp", "healthCheck: { mode: tcp }").health_check.and_then(|one| one.port) => None;
}
