//! What a handshake came to, in words.

use rustls::{CipherSuite, Connection, ProtocolVersion};

use crate::proxy::{Stream, TlsSession};

/// Of a connection whose handshake is done; empty for one without TLS.
pub(super) fn of(stream: &Stream, options: &str) -> TlsSession {
    let Some(conn) = stream.tls() else { return TlsSession::default() };
    let server_name = match conn {
        Connection::Server(server) => server.server_name().map(str::to_owned),
        Connection::Client(_) => None,
    };
    let chain = conn.peer_certificates().unwrap_or_default();
    TlsSession {
        server_name,
        version: version(conn.protocol_version()),
        cipher: conn.negotiated_cipher_suite().map_or("", |suite| cipher(suite.suite())),
        client_chain: chain.iter().map(|cert| cert.to_vec()).collect(),
        options: options.to_owned(),
    }
}

fn version(version: Option<ProtocolVersion>) -> &'static str {
    match version {
        Some(ProtocolVersion::TLSv1_3) => "TLSv1_3",
        Some(ProtocolVersion::TLSv1_2) => "TLSv1_2",
        _ => "",
    }
}

/// rustls has a spelling of its own for the suites of TLS 1.3.
fn cipher(suite: CipherSuite) -> &'static str {
    match suite {
        CipherSuite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        CipherSuite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        other => other.as_str().unwrap_or_default(),
    }
}
