//! `serversTransports`.

use std::time::Duration;

use super::tls::KeyPair;
use crate::config::{
    decode::{At, object},
    values::{PemText, Whole},
};

object! {
    /// `http.serversTransports.NAME`, and `serversTransport` of the main file.
    pub(crate) struct HttpTransport {
        server_name: String = "serverName",
        skip_verify: bool = "insecureSkipVerify",
        root_cas: Vec<At<PemText>> = "rootCAs",
        certificates: Vec<At<KeyPair>> = "certificates",
        max_idle: Whole<-1, 1_000_000> = "maxIdleConnsPerHost",
        timeouts: ForwardingTimeouts = "forwardingTimeouts",
        disable_http2: bool = "disableHTTP2",
        peer_cert_uri: String = "peerCertURI",
    }
    refused {
        "spiffe" => "SPIFFE isn't done yet: give `rootCAs` and `peerCertURI`",
        "minVersion" | "maxVersion" | "cipherSuites"
            => "TLS 1.2 and 1.3 are offered to servers with all suites that are sound: remove this",
    }
}

object! {
    /// `…forwardingTimeouts`.
    pub(crate) struct ForwardingTimeouts {
        dial: Duration = "dialTimeout",
        response_header: Duration = "responseHeaderTimeout",
        idle: Duration = "idleConnTimeout",
        read_idle: Duration = "readIdleTimeout",
        ping: Duration = "pingTimeout",
    }
}

object! {
    /// `tcp.serversTransports.NAME`, and `tcpServersTransport` of the main file.
    pub(crate) struct TcpTransport {
        dial_timeout: Duration = "dialTimeout",
        keep_alive: Duration = "dialKeepAlive",
        termination_delay: Duration = "terminationDelay",
        proxy_protocol: ProxyProtocol = "proxyProtocol",
        tls: TcpClientTls = "tls",
    }
}

object! {
    /// `tcp.serversTransports.NAME.tls`.
    pub(crate) struct TcpClientTls {
        server_name: String = "serverName",
        skip_verify: bool = "insecureSkipVerify",
        root_cas: Vec<At<PemText>> = "rootCAs",
        certificates: Vec<At<KeyPair>> = "certificates",
        peer_cert_uri: String = "peerCertURI",
    }
    refused {
        "spiffe" => "SPIFFE isn't done yet: give `rootCAs` and `peerCertURI`",
    }
}

object! {
    /// `proxyProtocol` towards servers.
    pub(crate) struct ProxyProtocol {
        version: Whole<1, 2> = "version",
    }
}
