//! What an HTTP service has beyond what every service has, and services made of services.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, LazyLock},
    time::Duration,
};

use super::{Id, Shared};

/// The HTTP part of a load-balanced service.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpBalancing {
    /// `passHostHeader`: the client's `Host` reaches the server. Default true; else the server's own.
    pub pass_host: bool,
    /// `sticky.cookie`.
    pub sticky: Option<Cookie>,
    /// `responseForwarding.flushInterval`; 0 flushes at once. Default 100 ms.
    pub flush_interval: Duration,
    /// `serversTransport`; `None` for the default one.
    pub transport: Option<Id>,
    /// `passiveHealthCheck`.
    pub passive: Option<PassiveCheck>,
    /// `slowStart`: how long a new server's weight rises. Default 0: not at all.
    pub slow_start: Duration,
    /// `queue`: requests that wait for a server below its `maxConnections`. Default 1,024.
    pub queue: u32,
    /// `queueTimeout`: how long they wait, then 503. Default 5 s.
    pub queue_timeout: Duration,
}

impl Default for HttpBalancing {
    fn default() -> Self {
        Self {
            pass_host: true,
            sticky: None,
            flush_interval: Duration::from_millis(100),
            transport: None,
            passive: None,
            slow_start: Duration::ZERO,
            queue: 1024,
            queue_timeout: Duration::from_secs(5),
        }
    }
}

impl HttpBalancing {
    /// What services have that say nothing: the same object for all.
    pub fn usual() -> Shared<Self> {
        static USUAL: LazyLock<Shared<HttpBalancing>> = LazyLock::new(Shared::default);
        USUAL.clone()
    }
}

/// `sticky.cookie` (RFC 6265 §4.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cookie {
    /// `name`; `None` for one derived from the service's name.
    pub name: Option<String>,
    /// `secure`.
    pub secure: bool,
    /// `httpOnly`.
    pub http_only: bool,
    /// `sameSite`.
    pub same_site: Option<SameSite>,
    /// `maxAge` in seconds; 0 for a session cookie, negative deletes.
    pub max_age: i64,
    /// `path`. Default `/`.
    pub path: Option<String>,
    /// `domain`.
    pub domain: Option<String>,
}

/// `sameSite`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    /// `none`.
    None,
    /// `lax`.
    Lax,
    /// `strict`.
    Strict,
}

/// `passiveHealthCheck`: a server is ejected by what real requests say.
#[derive(Clone, Debug, PartialEq)]
pub struct PassiveCheck {
    /// `failureWindow`: how far back failures count. Default 10 s.
    pub window: Duration,
    /// `maxFailedAttempts` within the window. Default 5.
    pub max_failed: u32,
    /// `ejectionTime`, doubled for each ejection in a row, up to ten times. Default 10 s.
    pub ejection: Duration,
    /// `maxLatency`: a response head later than this is a failure too.
    pub max_latency: Option<Duration>,
    /// `maxEjectedPercent`: never more of the servers than this. Default 50.
    pub max_ejected_percent: u8,
}

impl Default for PassiveCheck {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(10),
            max_failed: 5,
            ejection: Duration::from_secs(10),
            max_latency: None,
            max_ejected_percent: 50,
        }
    }
}

/// The protocol spoken to a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// HTTP/1.1 in the clear; for TCP services, no TLS.
    #[default]
    Http,
    /// HTTP/1.1 or HTTP/2, by ALPN, over TLS; for TCP services, TLS.
    Https,
    /// HTTP/2 in the clear, by prior knowledge.
    H2c,
}

impl Scheme {
    /// As in a URL.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::H2c => "h2c",
        }
    }
}

/// What one server has beyond address and weight.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerOptions {
    /// The URL's scheme; TCP: `tls`.
    pub scheme: Scheme,
    /// The URL's path without its last `/`, put in front of the request's where `preserve_path`.
    pub path: Arc<str>,
    /// `preservePath`.
    pub preserve_path: bool,
    /// `maxConnections`: requests or connections at a time; 0 for no bound.
    pub max_connections: u32,
    /// `timeout`: longest wait for the response's head, then 504.
    pub timeout: Option<Duration>,
}

/// A service made of other services.
#[derive(Clone, Debug, PartialEq)]
pub enum Composed {
    /// `weighted`.
    Weighted {
        /// Services with their weights.
        services: Vec<(Id, u32)>,
        /// `sticky.cookie`.
        sticky: Option<Cookie>,
    },
    /// `mirroring` (HTTP alone).
    Mirroring {
        /// The one that answers.
        service: Id,
        /// `mirrorBody`. Default true.
        mirror_body: bool,
        /// `maxBodySize` in bytes: larger bodies aren't mirrored; `None` for no bound.
        max_body: Option<u64>,
        /// Services that get a copy of so many percent of the requests.
        mirrors: Vec<(Id, u8)>,
    },
    /// `failover`: the fallback answers while the service has no healthy server.
    Failover {
        /// The main one.
        service: Id,
        /// The other one.
        fallback: Id,
    },
    /// `highestRandomWeight`: by the client's address.
    HighestRandomWeight {
        /// Services with their weights.
        services: Vec<(Id, u32)>,
    },
}

impl Composed {
    /// The services that it is made of.
    pub fn parts(&self) -> Vec<&Id> {
        match self {
            Self::Weighted { services, .. } | Self::HighestRandomWeight { services } => {
                services.iter().map(|(id, _)| id).collect()
            }
            Self::Mirroring { service, mirrors, .. } => {
                [service].into_iter().chain(mirrors.iter().map(|(id, _)| id)).collect()
            }
            Self::Failover { service, fallback } => vec![service, fallback],
        }
    }
}

/// `serversTransports.NAME`, of HTTP and of TCP alike.
#[derive(Clone, Debug, PartialEq)]
pub struct Transport {
    /// Its id.
    pub id: Id,
    /// TLS towards the servers.
    pub tls: ClientTls,
    /// `disableHTTP2`: no ALPN `h2` towards `https` servers.
    pub disable_http2: bool,
    /// `maxIdleConnsPerHost`: kept for each server and worker. Default 1024: what is idle was in use
    /// at once not long ago, and what isn't kept is opened anew for the next request.
    pub max_idle: u32,
    /// `forwardingTimeouts.dialTimeout`. Default 30 s.
    pub dial_timeout: Duration,
    /// `forwardingTimeouts.responseHeaderTimeout`; 0 for no bound, the default.
    pub response_header_timeout: Duration,
    /// `forwardingTimeouts.idleConnTimeout`. Default 90 s.
    pub idle_timeout: Duration,
    /// `forwardingTimeouts.readIdleTimeout`: a silent HTTP/2 connection is pinged after it; 0, the
    /// default, for never.
    pub ping_interval: Duration,
    /// `forwardingTimeouts.pingTimeout`: for the answer, then the connection is closed. Default 15 s.
    pub ping_timeout: Duration,
    /// `dialKeepAlive` (TCP): between keep-alive probes; 0 for none. Default 15 s.
    pub keep_alive: Duration,
    /// `proxyProtocol.version`: sent to TCP servers.
    pub proxy_protocol: Option<u8>,
    /// `terminationDelay` (TCP): how long the other half stays open. Default 100 ms.
    pub termination_delay: Duration,
}

impl Transport {
    /// The one in use where a service names none.
    pub fn new(id: Id) -> Self {
        Self {
            id,
            tls: ClientTls::default(),
            disable_http2: false,
            max_idle: 1024,
            dial_timeout: Duration::from_secs(30),
            response_header_timeout: Duration::ZERO,
            idle_timeout: Duration::from_secs(90),
            ping_interval: Duration::ZERO,
            ping_timeout: Duration::from_secs(15),
            keep_alive: Duration::from_secs(15),
            proxy_protocol: None,
            termination_delay: Duration::from_millis(100),
        }
    }
}

/// TLS as a client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientTls {
    /// `serverName`: SNI and the name that the certificate must have.
    pub server_name: Option<String>,
    /// `insecureSkipVerify`.
    pub skip_verify: bool,
    /// `rootCAs`, each a file or PEM itself; empty for the host's.
    pub root_cas: Vec<Pem>,
    /// `certificates`: chain and key, each a file or PEM itself.
    pub certificates: Vec<(Pem, Pem)>,
    /// `peerCertURI`: the URI that the certificate must have.
    pub peer_cert_uri: Option<String>,
}

/// A PEM text or the file that has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pem {
    /// Read whenever it changes.
    File(PathBuf),
    /// `-----BEGIN …`.
    Text(Arc<str>),
}

/// A middleware as configured.
#[derive(Clone, Debug, PartialEq)]
pub struct Middleware {
    /// Its id.
    pub id: Id,
    /// What it does.
    pub settings: Arc<crate::middleware::Settings>,
}

/// `observability` of a router or an entry point; what isn't said is as the entry point has it, and
/// there on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Observability {
    /// `accessLogs`.
    pub access_logs: Option<bool>,
    /// `metrics`.
    pub metrics: Option<bool>,
    /// `tracing`.
    pub tracing: Option<bool>,
}

impl Observability {
    /// What holds for a router that says this at an entry point that says `base`: access log,
    /// metrics, tracing.
    ///
    /// ```
    /// use lb_userspace::model::Observability;
    /// let router = Observability { metrics: Some(true), ..Observability::default() };
    /// let entry_point = Observability { access_logs: Some(false), metrics: Some(false), tracing: None };
    /// assert_eq!(router.over(&entry_point), (false, true, true));
    /// ```
    pub fn over(&self, base: &Self) -> (bool, bool, bool) {
        let of = |own: Option<bool>, base: Option<bool>| own.or(base).unwrap_or(true);
        (
            of(self.access_logs, base.access_logs),
            of(self.metrics, base.metrics),
            of(self.tracing, base.tracing),
        )
    }
}

/// `tls` of a router.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouterTls {
    /// `options`, as written; `None` for `default`.
    pub options: Option<String>,
    /// `certResolver`.
    pub resolver: Option<String>,
    /// `domains`: main names with their alternatives.
    pub domains: Vec<(String, Vec<String>)>,
    /// `passthrough` (TCP): not decrypted here.
    pub passthrough: bool,
}

/// `tls` of a provider.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TlsConfig {
    /// `certificates`.
    pub certificates: Vec<Certificate>,
    /// `options`, by name.
    pub options: BTreeMap<String, TlsOptions>,
    /// `stores.default.defaultCertificate`.
    pub default_certificate: Option<Certificate>,
}

/// A certificate with its key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Certificate {
    /// `certFile`: the chain.
    pub cert: Pem,
    /// `keyFile`.
    pub key: Pem,
    /// `ocspFile`: a response to staple (RFC 6066 §8), DER.
    pub ocsp: Option<PathBuf>,
}

/// `tls.options.NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsOptions {
    /// `minVersion`. Default TLS 1.2.
    pub min_version: TlsVersion,
    /// `maxVersion`. Default TLS 1.3.
    pub max_version: TlsVersion,
    /// `cipherSuites`, IANA names; empty for all that are sound.
    pub cipher_suites: Vec<String>,
    /// `curvePreferences`; empty for the default ones.
    pub curves: Vec<String>,
    /// `clientAuth.caFiles`.
    pub client_cas: Vec<Pem>,
    /// `clientAuth.clientAuthType`.
    pub client_auth: ClientAuth,
    /// `sniStrict`: no certificate for the name, no handshake.
    pub sni_strict: bool,
    /// `alpnProtocols`. Default `h2`, `http/1.1`.
    pub alpn: Vec<String>,
    /// `disableSessionTickets`.
    pub disable_tickets: bool,
}

impl Default for TlsOptions {
    fn default() -> Self {
        Self {
            min_version: TlsVersion::V12,
            max_version: TlsVersion::V13,
            cipher_suites: Vec::new(),
            curves: Vec::new(),
            client_cas: Vec::new(),
            client_auth: ClientAuth::default(),
            sni_strict: false,
            alpn: vec!["h2".to_owned(), "http/1.1".to_owned()],
            disable_tickets: false,
        }
    }
}

/// A version of TLS that is still sound (RFC 8996).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// RFC 5246.
    V12,
    /// RFC 8446.
    V13,
}

/// `clientAuth.clientAuthType`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientAuth {
    /// `NoClientCert`.
    #[default]
    None,
    /// `RequestClientCert`: asked for, not verified.
    Request,
    /// `RequireAnyClientCert`: must be there, not verified.
    RequireAny,
    /// `VerifyClientCertIfGiven`.
    VerifyIfGiven,
    /// `RequireAndVerifyClientCert`.
    RequireAndVerify,
}
