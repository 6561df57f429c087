//! `entryPoints.NAME`.

use std::time::Duration;

use ipnet::IpNet;

use super::router::{Observability, RouterTls};
use crate::config::{
    address::EntryAddress,
    decode::{At, object},
    values::{Toggle, Whole},
};

object! {
    /// `entryPoints.NAME`.
    pub(crate) struct EntryPoint {
        address: EntryAddress = "address",
        as_default: bool = "asDefault",
        reuse_port: bool = "reusePort",
        proxy_protocol: Trusted = "proxyProtocol",
        forwarded: Trusted = "forwardedHeaders",
        http: Http = "http",
        http2: Http2 = "http2",
        transport: Transport = "transport",
        udp: Udp = "udp",
        observability: Observability = "observability",
    }
    refused {
        "http3" => "HTTP/3 isn't done yet",
        "allowACMEByPass" => "obtaining certificates isn't done yet",
    }
}

object! {
    /// `proxyProtocol`, `forwardedHeaders`.
    pub(crate) struct Trusted {
        insecure: bool = "insecure",
        trusted_ips: Vec<At<IpNet>> = "trustedIPs",
    }
    refused {
        "connection" => "lb keeps no header that `Connection` lists (RFC 9110 §7.6.1)",
        "notAppendXForwardedFor" => "lb always adds the client to X-Forwarded-For",
    }
}

object! {
    /// `entryPoints.NAME.http`.
    pub(crate) struct Http {
        redirections: Redirections = "redirections",
        middlewares: Vec<At<String>> = "middlewares",
        tls: Toggle<RouterTls> = "tls",
        max_head: Whole<1_024, 16_777_216> = "maxHeaderBytes",
        max_headers: Whole<1, 10_000> = "maxHeaders",
        encode_semicolons: bool = "encodeQuerySemicolons",
        sanitize_path: bool = "sanitizePath",
        request_ids: bool = "requestIds",
    }
    refused {
        "encodedCharacters" => "encoded characters are passed on as they come; use PathRegexp in a rule",
    }
}

object! {
    /// `entryPoints.NAME.http.redirections`.
    pub(crate) struct Redirections {
        entry_point: Redirection = "entryPoint",
    }
}

object! {
    /// `entryPoints.NAME.http.redirections.entryPoint`.
    pub(crate) struct Redirection {
        to: String = "to",
        scheme: String = "scheme",
        permanent: bool = "permanent",
        priority: Whole<{ i64::MIN }, { i64::MAX }> = "priority",
    }
}

object! {
    /// `entryPoints.NAME.http2`.
    pub(crate) struct Http2 {
        max_streams: Whole<1, 1_000_000> = "maxConcurrentStreams",
    }
    refused {
        "maxDecoderHeaderTableSize" | "maxEncoderHeaderTableSize"
            => "the HPACK table has 4096 bytes (RFC 9113 §6.5.2): remove this",
    }
}

object! {
    /// `entryPoints.NAME.transport`.
    pub(crate) struct Transport {
        life_cycle: LifeCycle = "lifeCycle",
        timeouts: RespondingTimeouts = "respondingTimeouts",
        keep_alive_time: Duration = "keepAliveMaxTime",
        keep_alive_requests: Whole<0, { i64::MAX }> = "keepAliveMaxRequests",
        max_connections: Whole<0, 10_000_000> = "maxConnections",
    }
}

object! {
    /// `entryPoints.NAME.transport.lifeCycle`.
    pub(crate) struct LifeCycle {
        accept_grace: Duration = "requestAcceptGraceTimeout",
        grace: Duration = "graceTimeOut",
    }
}

object! {
    /// `entryPoints.NAME.transport.respondingTimeouts`.
    pub(crate) struct RespondingTimeouts {
        read: Duration = "readTimeout",
        write: Duration = "writeTimeout",
        idle: Duration = "idleTimeout",
        head: Duration = "headTimeout",
    }
}

object! {
    /// `entryPoints.NAME.udp`.
    pub(crate) struct Udp {
        timeout: Duration = "timeout",
    }
}
