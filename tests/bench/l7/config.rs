//! How each is set up: one worker, kept connections on both sides, nothing that the case does not
//! need.

use std::path::Path;

use super::proxy::{ORIGIN, Proxy};

/// The origin as a second server, for what balances.
const SECOND_ORIGIN: &str = "127.0.0.3:8000";

/// nginx's module for TCP, which is a package of its own.
pub(crate) const NGINX_STREAM: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";

/// The small answer: 132 bytes.
fn small() -> String {
    ".".repeat(132)
}

/// nginx as the origin.
pub(crate) fn origin(folder: &Path) -> String {
    let (root, small) = (folder.display(), small());
    format!(
        "daemon off; master_process off; worker_processes 1; user root;\n\
         pid {root}/origin.pid; error_log stderr crit; worker_rlimit_nofile 20000;\n\
         events {{ worker_connections 16384; }}\n\
         http {{\n access_log off; sendfile on; tcp_nopush on; default_type text/plain;\n \
         keepalive_requests 1000000000; keepalive_timeout 600s; open_file_cache max=16;\n{}\
         server {{ listen {ORIGIN} backlog=4096; listen {SECOND_ORIGIN}; root {root};\n  \
         location = /small {{ return 200 \"{small}\"; }}\n }}\n}}\n",
        nginx_temp(folder)
    )
}

/// Folders that nginx wants, whether it uses them or not.
fn nginx_temp(folder: &Path) -> String {
    let kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let line = |kind: &str| format!(" {kind}_temp_path {}/{kind};\n", folder.display());
    kinds.map(line).concat()
}

pub(crate) fn nginx(proxy: Proxy, folder: &Path) -> String {
    let root = folder.display();
    let (plain, tls, tcp) = (proxy.plain(), proxy.tls(), proxy.tcp());
    let (load, stream) = match proxy.passes_tcp() {
        true => (
            format!("load_module {NGINX_STREAM};\n"),
            format!("stream {{ server {{ listen {tcp} backlog=4096; proxy_pass {ORIGIN}; }} }}\n"),
        ),
        false => (String::new(), String::new()),
    };
    format!(
        "{load}daemon off; master_process off; worker_processes 1; user root;\n\
         pid {root}/nginx.pid; error_log stderr crit; worker_rlimit_nofile 20000;\n\
         events {{ worker_connections 16384; }}\n{stream}\
         http {{\n access_log off; keepalive_requests 1000000000; keepalive_timeout 600s;\n{}\
         upstream origin {{ server {ORIGIN}; keepalive 256; keepalive_requests 1000000000; }}\n \
         server {{\n  listen {plain} backlog=4096; listen {tls} ssl http2 backlog=4096;\n  \
         ssl_certificate {root}/cert.pem; ssl_certificate_key {root}/key.pem; ssl_protocols TLSv1.3;\n  \
         location / {{ proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection \"\"; }}\n }}\n}}\n",
        nginx_temp(folder)
    )
}

pub(crate) fn haproxy(proxy: Proxy, folder: &Path) -> String {
    let root = folder.display();
    let (plain, tls, tcp) = (proxy.plain(), proxy.tls(), proxy.tcp());
    format!(
        "global\n nbthread 1\n maxconn 9000\n ssl-default-bind-options ssl-min-ver TLSv1.3\n\
         defaults\n mode http\n timeout connect 5s\n timeout client 600s\n timeout server 600s\n \
         timeout http-keep-alive 600s\n option http-keep-alive\n http-reuse always\n\
         frontend web\n bind {plain} backlog 4096\n \
         bind {tls} backlog 4096 ssl crt {root}/both.pem alpn h2,http/1.1\n default_backend origin\n\
         backend origin\n server one {ORIGIN}\n\
         frontend tcp\n mode tcp\n bind {tcp} backlog 4096\n default_backend passed\n\
         backend passed\n mode tcp\n server one {ORIGIN}\n"
    )
}

/// One router for everything.
pub(crate) fn lb(proxy: Proxy, folder: &Path) -> String {
    let root = folder.display();
    let (plain, tls, tcp) = (proxy.plain(), proxy.tls(), proxy.tcp());
    format!(
        "entryPoints:\n  web: {{ address: \"{plain}\" }}\n  \
         websecure: {{ address: \"{tls}\", http: {{ tls: {{}} }} }}\n  tcp: {{ address: \"{tcp}\" }}\n\
         tls:\n  stores: {{ default: {{ defaultCertificate: {{ certFile: {root}/cert.pem, keyFile: {root}/key.pem }} }} }}\n  \
         options: {{ default: {{ minVersion: VersionTLS13 }} }}\n\
         http:\n  routers:\n    all: {{ entryPoints: [web, websecure], rule: \"PathPrefix(`/`)\", service: app }}\n  \
         services:\n    app: {{ loadBalancer: {{ servers: [ {{ url: \"http://{ORIGIN}\" }} ] }} }}\n\
         tcp:\n  routers:\n    passed: {{ entryPoints: [tcp], rule: \"HostSNI(`*`)\", service: passed }}\n  \
         services:\n    passed: {{ loadBalancer: {{ servers: [ {{ address: \"{ORIGIN}\" }} ] }} }}\n"
    )
}

/// What a site has: several routers, middlewares, metrics by router, a log of every request.
pub(crate) fn lb_with_all(proxy: Proxy, folder: &Path) -> String {
    let plainest = lb(proxy, folder);
    let routers =
        "    all: { entryPoints: [web, websecure], rule: \"PathPrefix(`/`)\", service: app }\n";
    let more = "    all: { entryPoints: [web, websecure], rule: \"(Host(`bench.test`) || Host(`127.0.0.1`)) && PathPrefix(`/`)\", service: app, middlewares: [limit, headers] }\n    \
                other: { entryPoints: [web, websecure], rule: \"Host(`other.test`) && PathPrefix(`/api`)\", service: app }\n  \
                middlewares:\n    \
                limit: { rateLimit: { average: 100000000, burst: 100000000 } }\n    \
                headers: { headers: { customRequestHeaders: { X-Site: bench }, customResponseHeaders: { X-Served-By: lb }, contentTypeNosniff: true, frameDeny: true } }\n";
    plainest.replace(routers, more) + &observing(folder, "all.log")
}

/// One router for everything, and nothing is counted of it.
pub(crate) fn lb_unobserved(proxy: Proxy, folder: &Path) -> String {
    let web = format!("web: {{ address: \"{}\"", proxy.plain());
    lb(proxy, folder).replace(&web, &format!("{web}, observability: {{ metrics: false }}"))
}

/// One router for everything, metrics of it, and a log of every request.
pub(crate) fn lb_observed(proxy: Proxy, folder: &Path) -> String {
    lb(proxy, folder) + &observing(folder, "observed.log")
}

fn observing(folder: &Path, log: &str) -> String {
    let log = folder.join(log);
    format!(
        "accessLog: {{ filePath: {} }}\nmetrics: {{ prometheus: {{ addRoutersLabels: true }} }}\n",
        log.display()
    )
}

pub(crate) fn envoy(proxy: Proxy, folder: &Path) -> String {
    let root = folder.display();
    let address = |at: std::net::SocketAddr| {
        format!("{{ socket_address: {{ address: {}, port_value: {} }} }}", at.ip(), at.port())
    };
    let manager =
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
    let http = format!(
        "name: envoy.filters.network.http_connection_manager\n          typed_config:\n            \
         \"@type\": type.googleapis.com/{manager}\n            stat_prefix: web\n            \
         codec_type: AUTO\n            generate_request_id: false\n            \
         route_config:\n              virtual_hosts: [ {{ name: all, domains: [\"*\"], routes: [ {{ match: {{ prefix: \"/\" }}, route: {{ cluster: origin, timeout: 0s }} }} ] }} ]\n            \
         http_filters: [ {{ name: envoy.filters.http.router, typed_config: {{ \"@type\": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }} }} ]\n"
    );
    let tls = format!(
        "transport_socket:\n          name: envoy.transport_sockets.tls\n          typed_config:\n            \
         \"@type\": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext\n            \
         common_tls_context:\n              alpn_protocols: [h2, http/1.1]\n              \
         tls_params: {{ tls_minimum_protocol_version: TLSv1_3 }}\n              \
         tls_certificates: [ {{ certificate_chain: {{ filename: {root}/cert.pem }}, private_key: {{ filename: {root}/key.pem }} }} ]\n"
    );
    format!(
        "static_resources:\n  listeners:\n\
         \x20 - name: web\n    address: {}\n    filter_chains:\n    - filters:\n        - {http}\
         \x20 - name: websecure\n    address: {}\n    filter_chains:\n    - filters:\n        - {http}      {tls}\
         \x20 - name: tcp\n    address: {}\n    filter_chains:\n    - filters:\n        - name: envoy.filters.network.tcp_proxy\n          typed_config:\n            \
         \"@type\": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy\n            stat_prefix: tcp\n            cluster: origin\n\
         \x20 clusters:\n  - name: origin\n    type: STATIC\n    connect_timeout: 5s\n    \
         circuit_breakers: {{ thresholds: [ {{ max_connections: 100000, max_pending_requests: 100000, max_requests: 100000 }} ] }}\n    \
         load_assignment: {{ cluster_name: origin, endpoints: [ {{ lb_endpoints: [ {{ endpoint: {{ address: {} }} }} ] }} ] }}\n",
        address(proxy.plain()),
        address(proxy.tls()),
        address(proxy.tcp()),
        address(ORIGIN)
    )
}
