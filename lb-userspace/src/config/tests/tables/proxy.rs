//! What else the proxy needs: options of entry points, TLS, TCP, the access log, metrics.

use super::*;
use crate::model::{
    AccessLog, Certificate, Chosen, ClientAuth, EntryPointOptions, HeaderMode, Id, MetricsSettings,
    Observability, PingSettings, Redirection, Scheme, Settings, TlsConfig, TlsOptions, TlsVersion,
    Transport,
};

fn point(inner: &str) -> EntryPointOptions {
    at(":80", inner)
}

fn at(address: &str, inner: &str) -> EntryPointOptions {
    let text = format!(
        "entryPoints: {{ e: {{ address: '{address}', {inner} }}, f: {{ address: ':443' }} }}\n\
         http: {{ middlewares: {{ a: {{ addPrefix: {{ prefix: /a }} }} }} }}"
    );
    EntryPointOptions::clone(&sound(&text).entry_points["e"].options)
}

fn networks(whose: Option<crate::model::Trusted>) -> Vec<String> {
    whose.expect("trust").networks.iter().map(ToString::to_string).collect()
}

fn redirection(inner: &str) -> Redirection {
    point(&format!("http: {{ redirections: {{ entryPoint: {{ to: f, {inner} }} }} }}"))
        .redirection
        .expect("a redirection")
}

fn tls(inner: &str) -> TlsConfig {
    sound(&format!("tls: {{ {inner} }}")).dynamic.tls
}

fn tls_options(inner: &str) -> TlsOptions {
    tls(&format!("options: {{ o: {{ {inner} }} }}")).options.remove("o").expect("options")
}

fn settings(text: &str) -> Settings {
    sound(text).settings
}

fn access_log(inner: &str) -> AccessLog {
    let log = settings(&format!("accessLog: {{ {inner} }}")).access_log;
    AccessLog::clone(&log.expect("an access log"))
}

fn metrics(inner: &str) -> MetricsSettings {
    settings(&format!("metrics: {{ prometheus: {{ {inner} }} }}")).metrics
}

fn tcp_transport(inner: &str) -> Transport {
    let text = format!("tcp: {{ serversTransports: {{ t: {{ {inner} }} }} }}");
    sound(&text).dynamic.transports.remove(0)
}

fn own_transport(inner: &str) -> Transport {
    let text = format!("tcp: {{ services: {{ s: {{ loadBalancer: {{ {inner} }} }} }} }}");
    let mut dynamic = sound(&text).dynamic;
    assert_eq!(dynamic.services[0].http.transport.as_ref(), Some(&dynamic.transports[0].id));
    dynamic.transports.remove(0)
}

fn file(path: &str) -> Pem {
    Pem::File(path.into())
}

rows! {
    options_by_default: point("asDefault: false") => EntryPointOptions::default();
    as_default: point("asDefault: true").as_default => true;
    reuse_port_is_how_it_is: point("reusePort: true") => EntryPointOptions::default();
    proxy_protocol_of_everybody: point("proxyProtocol: { insecure: true }").proxy_protocol.is_some_and(|t| t.everybody) => true;
    proxy_protocol_of_some: networks(point("proxyProtocol: { trustedIPs: [10.0.0.0/8, 192.0.2.1] }").proxy_protocol) => ["10.0.0.0/8", "192.0.2.1/32"];
    forwarded_of_everybody: point("forwardedHeaders: { insecure: true }").forwarded.everybody => true;
    forwarded_of_some: networks(Some(point("forwardedHeaders: { trustedIPs: ['2001:db8::/32'] }").forwarded)) => ["2001:db8::/32"];
    redirection_by_default: redirection("permanent: true") => Redirection { to: "f".to_owned(), scheme: "https".to_owned(), permanent: true, priority: i64::MAX - 1 };
    redirection_in_words: redirection("scheme: http, permanent: false, priority: 7") => Redirection { to: "f".to_owned(), scheme: "http".to_owned(), permanent: false, priority: 7 };
    redirection_to_a_port: point("http: { redirections: { entryPoint: { to: ':8443' } } }").redirection.map(|one| one.to) => Some(":8443".to_owned());
    middlewares: point("http: { middlewares: [a@file, a] }").middlewares => ["a@file", "a"];
    tls_of_routers: point("http: { tls: {} }").tls.is_some() => true;
    tls_of_routers_switched_on: point("http: { tls: true }").tls.is_some() => true;
    max_head: point("http: { maxHeaderBytes: 65536 }").max_head => 65_536;
    max_headers: point("http: { maxHeaders: 32 }").max_headers => 32;
    semicolons: point("http: { encodeQuerySemicolons: true }").encode_semicolons => true;
    paths_as_they_come: point("http: { sanitizePath: false }").sanitize_path => false;
    streams: point("http2: { maxConcurrentStreams: 10 }").max_streams => 10;
    read_timeout: point("transport: { respondingTimeouts: { readTimeout: 5s } }").timeouts.read => Duration::from_secs(5);
    write_timeout: point("transport: { respondingTimeouts: { writeTimeout: 5s } }").timeouts.write => Duration::from_secs(5);
    idle_timeout: point("transport: { respondingTimeouts: { idleTimeout: 0 } }").timeouts.idle => Duration::ZERO;
    head_timeout: point("transport: { respondingTimeouts: { headTimeout: 1s } }").timeouts.head => Duration::from_secs(1);
    accept_grace: point("transport: { lifeCycle: { requestAcceptGraceTimeout: 3 } }").accept_grace => Duration::from_secs(3);
    grace: point("transport: { lifeCycle: { graceTimeOut: 4 } }").grace => Duration::from_secs(4);
    keep_alive_time: point("transport: { keepAliveMaxTime: 1h }").keep_alive_time => Duration::from_secs(3600);
    keep_alive_requests: point("transport: { keepAliveMaxRequests: 42 }").keep_alive_requests => 42;
    max_connections: point("transport: { maxConnections: 100000 }").max_connections => 100_000;
    udp_timeout: at(":53/udp", "udp: { timeout: 10s }").udp_timeout => Duration::from_secs(10);
    observability: point("observability: { accessLogs: false }").observability => Observability { access_logs: Some(false), ..Observability::default() };
    certificates: tls("certificates: [ { certFile: a.pem, keyFile: a.key, ocspFile: a.ocsp, stores: [default] } ]").certificates => [Certificate { cert: file("a.pem"), key: file("a.key"), ocsp: Some("a.ocsp".into()) }];
    default_certificate: tls("stores: { default: { defaultCertificate: { certFile: a.pem, keyFile: a.key } } }").default_certificate.map(|one| one.cert) => Some(file("a.pem"));
    tls_options_by_default: tls_options("") => TlsOptions::default();
    tls_min: tls_options("minVersion: VersionTLS13").min_version => TlsVersion::V13;
    tls_max: tls_options("maxVersion: VersionTLS12").max_version => TlsVersion::V12;
    tls_suites: tls_options("cipherSuites: [TLS_AES_128_GCM_SHA256, TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305]").cipher_suites => ["TLS_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"];
    tls_curves: tls_options("curvePreferences: [X25519, CurveP384, secp256r1]").curves => ["X25519", "CurveP384", "CurveP256"];
    tls_sni: tls_options("sniStrict: true").sni_strict => true;
    tls_alpn: tls_options("alpnProtocols: [http/1.1]").alpn => ["http/1.1"];
    tls_tickets: tls_options("disableSessionTickets: true").disable_tickets => true;
    tls_client_cas_alone: tls_options("clientAuth: { caFiles: [ca.pem] }").client_auth => ClientAuth::RequireAndVerify;
    tls_client_auth: tls_options("clientAuth: { caFiles: [ca.pem], clientAuthType: VerifyClientCertIfGiven }").client_auth => ClientAuth::VerifyIfGiven;
    tls_client_request: tls_options("clientAuth: { clientAuthType: RequestClientCert }").client_auth => ClientAuth::Request;
    tls_client_any: tls_options("clientAuth: { clientAuthType: RequireAnyClientCert }").client_auth => ClientAuth::RequireAny;
    resolvers: settings("certificatesResolvers: { le: { acme: { email: a@b.example, storage: s, httpChallenge: { entryPoint: web } } } }").resolvers => ["le"];
    access_log_by_default: access_log("format: common") => AccessLog::default();
    access_log_absent: settings("{}").access_log => None;
    access_log_json: access_log("format: json").json => true;
    access_log_file: access_log("filePath: /var/log/access.log").file => Some("/var/log/access.log".into());
    access_log_buffering: access_log("bufferingSize: 100").buffering => 100;
    access_log_status: access_log("filters: { statusCodes: ['200', 404, '500-599'] }").status_codes => [(200, 200), (404, 404), (500, 599)];
    access_log_retries: access_log("filters: { retryAttempts: true }").retry_attempts => true;
    access_log_slow: access_log("filters: { minDuration: 10ms }").min_duration => Duration::from_millis(10);
    access_log_internals: access_log("addInternals: true").internals => true;
    access_log_fields: access_log("fields: { defaultMode: drop, names: { ClientHost: keep } }").fields => Chosen { default: false, names: [("ClientHost".to_owned(), true)].into() };
    access_log_headers: access_log("fields: { headers: { defaultMode: keep, names: { Authorization: redact, X-A: drop } } }").headers => Chosen { default: HeaderMode::Keep, names: [("authorization".to_owned(), HeaderMode::Redact), ("x-a".to_owned(), HeaderMode::Drop)].into() };
    metrics_by_default: metrics("") => MetricsSettings::default();
    metrics_buckets: metrics("buckets: [0.1, 1, '2.5']").buckets => [0.1, 1.0, 2.5];
    metrics_labels: { let m = metrics("addEntryPointsLabels: false, addRoutersLabels: true, addServicesLabels: false"); (m.entry_points, m.routers, m.services) } => (false, true, false);
    ping: settings("entryPoints: { e: { address: ':1' } }\nping: { entryPoint: e, manualRouting: true }").ping => Some(PingSettings { entry_point: "e".to_owned(), manual_routing: true });
    ping_alone: settings("ping: {}").ping => None;
    dashboard: settings("api: { dashboard: true }").api.dashboard => true;
    nothing_sent_home: settings("global: { checkNewVersion: false, sendAnonymousUsage: false }") => Settings::default();
    default_http_transport: settings("serversTransport: { insecureSkipVerify: true }").transports[0].id => Id::new(Protocol::Http, "default", "internal");
    default_tcp_transport: settings("tcpServersTransport: { dialTimeout: 1s }").transports[0].dial_timeout => Duration::from_secs(1);
    tcp_transport_proxy_protocol: tcp_transport("proxyProtocol: { version: 1 }").proxy_protocol => Some(1);
    tcp_transport_proxy_protocol_by_default: tcp_transport("proxyProtocol: {}").proxy_protocol => Some(2);
    tcp_transport_delay: tcp_transport("terminationDelay: 1s").termination_delay => Duration::from_secs(1);
    tcp_transport_keep_alive: tcp_transport("dialKeepAlive: 0").keep_alive => Duration::ZERO;
    tcp_transport_tls: tcp_transport("tls: { serverName: a, insecureSkipVerify: true }").tls.skip_verify => true;
    tcp_service_proxy_protocol: own_transport("proxyProtocol: { version: 1 }").proxy_protocol => Some(1);
    tcp_service_delay_in_milliseconds: own_transport("terminationDelay: 250").termination_delay => Duration::from_millis(250);
    tcp_server_tls: server("address: 'a:1', tls: true").options.scheme => Scheme::Https;
    tcp_server_max_connections: server("address: 'a:1', maxConnections: 3").options.max_connections => 3;
}
