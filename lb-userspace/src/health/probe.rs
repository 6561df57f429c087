//! What one check does: the trait, its results, and the probes there are.

use std::{fmt, future::Future, io, net::SocketAddr, pin::Pin, time::Duration};

use super::{grpc, http, socket::Ports, tcp, tls::Tls};
use crate::model::{CheckKind, Scheme};

/// The probe that does what a check asks of `target`. One line for each kind.
pub(crate) fn of(kind: &CheckKind, target: &Target) -> Box<dyn Probe> {
    match kind {
        CheckKind::Tcp => Box::new(tcp::Tcp),
        CheckKind::Http { method, path, tls, hostname, headers, status, follow_redirects } => {
            Box::new(http::Http {
                method: method.clone(),
                path: path.clone(),
                tls: tls.unwrap_or(target.scheme == Scheme::Https),
                h2c: tls.is_none() && target.scheme == Scheme::H2c,
                hostname: hostname.clone(),
                headers: headers.clone(),
                body: Default::default(),
                status: *status,
                follow_redirects: *follow_redirects,
            })
        }
        CheckKind::Grpc { tls, hostname, headers } => Box::new(grpc::Grpc {
            tls: tls.unwrap_or(target.scheme == Scheme::Https),
            hostname: hostname.clone(),
            headers: headers.clone(),
            service: String::new(),
        }),
    }
}

/// One kind of check. The caller bounds its time.
pub(crate) trait Probe: Send + Sync {
    /// Checks once.
    fn check<'a>(&'a self, target: &'a Target, host: &'a Host) -> Checking<'a>;
}

/// A check under way.
pub(crate) type Checking<'a> = Pin<Box<dyn Future<Output = Result<String, Failure>> + Send + 'a>>;

/// Who is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// Where the check connects to.
    pub(crate) address: SocketAddr,
    /// The server's host as configured: an IP address or a name.
    pub(crate) host: String,
    /// What the server's own URL says.
    pub(crate) scheme: Scheme,
}

/// What checks take from this host.
#[derive(Default)]
pub(crate) struct Host {
    /// Source ports.
    pub(crate) ports: Ports,
    /// Trust for `scheme: https`.
    pub(crate) tls: Tls,
}

impl Host {
    /// As the default one; servers may have any certificate.
    pub(crate) fn insecure() -> Self {
        Self { tls: Tls::insecure(), ..Self::default() }
    }
}

/// Why a check didn't pass.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The server is at fault, or the way to it.
    Server(String),
    /// Nothing came within the time.
    Timeout(Duration),
    /// This host couldn't ask: says nothing about the server.
    Local(String),
}

impl Failure {
    /// A failure of the server, in words.
    pub(crate) fn server(words: impl Into<String>) -> Self {
        Self::Server(words.into())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::EMFILE | libc::ENFILE) => {
                Self::Local("could not check: no file descriptor left, raise LimitNOFILE".into())
            }
            Some(libc::ENOBUFS | libc::ENOMEM) => {
                Self::Local("could not check: this host is out of memory for sockets".into())
            }
            Some(libc::EADDRNOTAVAIL | libc::EADDRINUSE) => Self::Local(format!(
                "could not check: no source port free in {}-{}",
                super::PORTS.0,
                super::PORTS.1
            )),
            _ => Self::Server(words(&error)),
        }
    }
}

/// An error of the operating system in plain words, without its number.
fn words(error: &io::Error) -> String {
    let known = match error.raw_os_error() {
        Some(libc::ECONNREFUSED) => "connection refused",
        Some(libc::ECONNRESET) => "connection reset by the server",
        Some(libc::EPIPE) => "connection closed by the server",
        Some(libc::EHOSTUNREACH) => "no route to host: it doesn't answer ARP or a router says so",
        Some(libc::ENETUNREACH) => "network is unreachable: this host has no route there",
        Some(libc::ENETDOWN) => "network is down: the interface towards the server is not up",
        Some(libc::ETIMEDOUT) => "connection timed out",
        Some(libc::EACCES | libc::EPERM) => "not permitted: a rule of this host forbids it",
        Some(libc::EINVAL) => "invalid address",
        _ => return without_number(&error.to_string()),
    };
    known.to_owned()
}

/// Strips `(os error 111)`, which tells an operator nothing.
fn without_number(text: &str) -> String {
    text.split(" (os error").next().unwrap_or(text).to_lowercase()
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(words) | Self::Local(words) => f.write_str(words),
            Self::Timeout(after) => write!(f, "timed out after {}", Span(*after)),
        }
    }
}

/// A duration as people say it: `0.4 ms`, `3 ms`, `1.5 s`.
pub(crate) struct Span(pub(crate) Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0.as_micros();
        match micros {
            0..950 => write!(f, "0.{} ms", (micros + 50) / 100),
            950..9_999_500 => match (micros + 500) / 1000 {
                ms if ms >= 1000 && ms % 1000 == 0 => write!(f, "{} s", ms / 1000),
                ms => write!(f, "{ms} ms"),
            },
            _ => write!(f, "{} s", (micros + 500_000) / 1_000_000),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    macro_rules! spans {
        ($($name:ident: $micros:literal => $text:literal;)*) => {$(
            #[test]
            fn $name() {
                assert_eq!(Span(Duration::from_micros($micros)).to_string(), $text);
            }
        )*};
    }

    spans! {
        nothing_is_a_tenth_at_most: 0 => "0.0 ms";
        under_a_millisecond_shows_tenths: 420 => "0.4 ms";
        nearly_a_millisecond_is_one: 960 => "1 ms";
        milliseconds_are_whole: 3_400 => "3 ms";
        a_timeout_shows_as_configured: 300_000 => "300 ms";
        whole_seconds_show_as_seconds: 2_000_000 => "2 s";
        a_second_and_a_half_shows_as_milliseconds: 1_500_000 => "1500 ms";
        long_times_show_as_seconds: 12_400_000 => "12 s";
    }

    macro_rules! errors {
        ($($name:ident: $code:ident => $text:literal;)*) => {$(
            #[test]
            fn $name() {
                let failure = Failure::from(io::Error::from_raw_os_error(libc::$code));
                assert!(failure.to_string().starts_with($text), "{failure}");
                assert!(!failure.to_string().contains("os error"), "{failure}");
                assert_eq!(matches!(failure, Failure::Local(_)), $text.starts_with("could not check"));
            }
        )*};
    }

    errors! {
        refused_in_words: ECONNREFUSED => "connection refused";
        reset_in_words: ECONNRESET => "connection reset by the server";
        no_host_in_words: EHOSTUNREACH => "no route to host";
        no_network_in_words: ENETUNREACH => "network is unreachable";
        interface_down_in_words: ENETDOWN => "network is down";
        forbidden_in_words: EPERM => "not permitted";
        another_error_without_its_number: ENOPROTOOPT => "protocol not available";
        no_descriptor_is_our_own_fault: EMFILE => "could not check: no file descriptor left";
        no_memory_is_our_own_fault: ENOBUFS => "could not check: this host is out of memory";
        no_port_is_our_own_fault: EADDRNOTAVAIL => "could not check: no source port free";
    }
}
