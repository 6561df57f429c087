//! What rules ask about: a request, or a connection that was just accepted.

use std::{borrow::Cow, net::IpAddr};

use super::{host::canonical, percent};
use crate::proxy::Exchange;

/// A request or a connection. What one of them doesn't have matches nothing.
pub trait Subject {
    /// Who asks.
    fn client(&self) -> IpAddr;

    /// The host as written, without a port; of a connection, the SNI.
    fn host(&self) -> Option<&str> {
        None
    }

    /// The method.
    fn method(&self) -> &str {
        ""
    }

    /// The target without its query.
    fn path(&self) -> &str {
        ""
    }

    /// What stands behind the first `?`.
    fn query(&self) -> Option<&str> {
        None
    }

    /// Whether a value of a field passes.
    fn header(&self, name: &str, passes: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        let _ = (name, passes);
        false
    }

    /// Whether the client offers a protocol by ALPN.
    fn offers(&self, protocol: &[u8]) -> bool {
        let _ = protocol;
        false
    }
}

impl Subject for Exchange {
    fn client(&self) -> IpAddr {
        self.ip()
    }

    fn host(&self) -> Option<&str> {
        self.request.host()
    }

    fn method(&self) -> &str {
        self.request.method()
    }

    fn path(&self) -> &str {
        self.request.path()
    }

    fn query(&self) -> Option<&str> {
        self.request.query()
    }

    fn header(&self, name: &str, passes: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        self.request.values(name).any(passes)
    }
}

/// A TCP connection, as far as TCP rules ask.
#[derive(Clone, Copy, Debug)]
pub struct Connection<'a> {
    /// Who connects.
    pub client: IpAddr,
    /// SNI; `None` without one, or without TLS.
    pub server_name: Option<&'a str>,
    /// ALPN: what the client offers.
    pub alpn: &'a [Vec<u8>],
}

impl Subject for Connection<'_> {
    fn client(&self) -> IpAddr {
        self.client.to_canonical()
    }

    fn host(&self) -> Option<&str> {
        self.server_name
    }

    fn offers(&self, protocol: &[u8]) -> bool {
        self.alpn.iter().any(|offer| offer == protocol)
    }
}

/// A subject with what has to be brought into one form, done once for all rules. Allocates only
/// where the host has capitals or the path an escape.
pub(super) struct Facts<'a> {
    pub(super) subject: &'a dyn Subject,
    /// Lower case, without a last dot; empty without a host.
    pub(super) host: Cow<'a, str>,
    /// Escapes of characters that aren't reserved are resolved.
    pub(super) path: Cow<'a, str>,
}

impl<'a> Facts<'a> {
    pub(super) fn of(subject: &'a dyn Subject) -> Self {
        Self {
            subject,
            host: canonical(subject.host().unwrap_or_default()),
            path: percent::routing_path(subject.path()),
        }
    }
}
