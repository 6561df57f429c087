//! Entry points.

use std::{net::IpAddr, sync::Arc, time::Duration};

use ipnet::IpNet;

use super::{Observability, Protocol, RouterTls};

/// Where clients connect.
#[derive(Clone, Debug, PartialEq)]
pub struct EntryPoint {
    /// Name.
    pub name: String,
    /// `None` for `:PORT`: every address of the interfaces.
    pub ip: Option<IpAddr>,
    /// 1 to 65,535.
    pub port: u16,
    /// TCP unless the address ends in `/udp`.
    pub protocol: Protocol,
    /// What the proxy does there.
    pub options: Arc<EntryPointOptions>,
}

/// What the proxy does at an entry point.
#[derive(Clone, Debug, PartialEq)]
pub struct EntryPointOptions {
    /// `asDefault`: routers without `entryPoints` take from these alone, where there are any.
    pub as_default: bool,
    /// `proxyProtocol`: whose header is believed; `None` for nobody's.
    pub proxy_protocol: Option<Trusted>,
    /// `forwardedHeaders`: whose `X-Forwarded-*` are kept. Default nobody's.
    pub forwarded: Trusted,
    /// `http.redirections.entryPoint`.
    pub redirection: Option<Redirection>,
    /// `http.middlewares`, as written: in front of those of every HTTP router here.
    pub middlewares: Vec<String>,
    /// `http.tls`: of HTTP routers here that have none of their own.
    pub tls: Option<RouterTls>,
    /// `http.maxHeaderBytes`. Default 1 MiB, as Traefik has it; 431 beyond.
    pub max_head: usize,
    /// `http.maxHeaders`: fields of a head. Default 128; 431 beyond.
    pub max_headers: usize,
    /// `http.encodeQuerySemicolons`.
    pub encode_semicolons: bool,
    /// `http.sanitizePath`: `/../` and `//` are resolved before routing. Default true.
    pub sanitize_path: bool,
    /// `http.requestIds`: a request without an `X-Request-Id` gets one. Default false: those that
    /// come are passed on.
    pub request_ids: bool,
    /// `http2.maxConcurrentStreams`. Default 250.
    pub max_streams: u32,
    /// `transport.respondingTimeouts`.
    pub timeouts: RespondingTimeouts,
    /// `transport.lifeCycle.requestAcceptGraceTimeout`: accepts on after SIGTERM. Default 0.
    pub accept_grace: Duration,
    /// `transport.lifeCycle.graceTimeOut`: what runs may end. Default 10 s.
    pub grace: Duration,
    /// `transport.keepAliveMaxTime`; 0 for no bound.
    pub keep_alive_time: Duration,
    /// `transport.keepAliveMaxRequests`; 0 for no bound.
    pub keep_alive_requests: u64,
    /// `transport.maxConnections`; 0 for no bound.
    pub max_connections: u32,
    /// `udp.timeout`: of a session without a datagram. Default 3 s.
    pub udp_timeout: Duration,
    /// `observability`: of routers here that don't say otherwise.
    pub observability: Observability,
}

impl Default for EntryPointOptions {
    fn default() -> Self {
        Self {
            as_default: false,
            proxy_protocol: None,
            forwarded: Trusted::default(),
            redirection: None,
            middlewares: Vec::new(),
            tls: None,
            max_head: 1 << 20,
            max_headers: 128,
            encode_semicolons: false,
            sanitize_path: true,
            request_ids: false,
            max_streams: 250,
            timeouts: RespondingTimeouts::default(),
            accept_grace: Duration::ZERO,
            grace: Duration::from_secs(10),
            keep_alive_time: Duration::ZERO,
            keep_alive_requests: 0,
            max_connections: 0,
            udp_timeout: Duration::from_secs(3),
            observability: Observability::default(),
        }
    }
}

/// Whose word is taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trusted {
    /// `insecure`: everybody's.
    pub everybody: bool,
    /// `trustedIPs`.
    pub networks: Vec<IpNet>,
}

impl Trusted {
    /// Whether `ip` is one of them.
    pub fn trusts(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.everybody || self.networks.iter().any(|network| network.contains(&ip))
    }
}

/// `http.redirections.entryPoint`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirection {
    /// `to`: an entry point's name, or `:PORT`.
    pub to: String,
    /// `scheme`. Default `https`.
    pub scheme: String,
    /// `permanent`. Default true.
    pub permanent: bool,
    /// `priority` of the router that does it. Default the highest but one.
    pub priority: i64,
}

/// `transport.respondingTimeouts`; 0 for no bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RespondingTimeouts {
    /// `readTimeout`: from the first byte of a request to the last of its body. Default 60 s.
    pub read: Duration,
    /// `writeTimeout`: of the response, while it makes no progress. Default 0.
    pub write: Duration,
    /// `idleTimeout`: between requests. Default 180 s.
    pub idle: Duration,
    /// `headTimeout`: for a whole head. Default 10 s.
    pub head: Duration,
}

impl Default for RespondingTimeouts {
    fn default() -> Self {
        Self {
            read: Duration::from_secs(60),
            write: Duration::ZERO,
            idle: Duration::from_secs(180),
            head: Duration::from_secs(10),
        }
    }
}
