//! One request and its answer, on their way through filters, balancer and server.

use std::{
    any::Any,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Head, Reply,
    body::Body,
    head::{Class, Span, Version},
    observe::spans,
    table::Balanced,
};
use crate::balance::Server;

/// Who asks, and how they are connected. The same for all requests of a connection.
#[derive(Clone, Debug, PartialEq)]
pub struct Client {
    /// The sender, as PROXY protocol says where that is believed.
    pub peer: SocketAddr,
    /// The sender's address as text: servers are told with every request.
    pub address: Box<str>,
    /// Where it was sent.
    pub local: SocketAddr,
    /// Name of the entry point.
    pub entry_point: Arc<str>,
    /// Whether the sender's `X-Forwarded-*` and the like were kept.
    pub is_trusted: bool,
    /// What TLS agreed on; `None` in the clear.
    pub tls: Option<Arc<TlsSession>>,
}

/// What a TLS handshake came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TlsSession {
    /// SNI, lower case.
    pub server_name: Option<String>,
    /// `TLSv1_3`.
    pub version: &'static str,
    /// IANA's name.
    pub cipher: &'static str,
    /// The client's chain, DER, its own certificate first; verified only where the options say so.
    pub client_chain: Vec<Vec<u8>>,
    /// Name of the TLS options in force.
    pub options: String,
}

/// The answer as far as it is known.
#[derive(Debug, Default)]
pub struct Answer {
    /// Status and fields, without framing.
    pub head: Head,
    /// What follows it.
    pub body: Body,
    /// Why lb answers itself; `None` where a server does.
    pub reason: Option<&'static str>,
}

impl From<Reply> for Answer {
    fn from(reply: Reply) -> Self {
        let body = if reply.body.is_empty() { Body::Empty } else { Body::Full(reply.body) };
        Self { head: reply.head, body, reason: Some(reply.reason) }
    }
}

/// How often, and how, a request may be sent again: what the retry middleware asks for.
#[derive(Clone, Debug)]
pub struct Retry {
    /// Attempts at most, the first included.
    pub attempts: u32,
    /// Before the second attempt; doubled for each one after that.
    pub initial_interval: Duration,
    /// No further attempt begins later than this after the first.
    pub timeout: Option<Duration>,
    /// A request whose body is longer is sent once; `None`: any is kept to be sent again.
    pub max_body: Option<u64>,
    /// What is tried again.
    pub when: Arc<dyn RetryWhen>,
    /// Whether a request that isn't idempotent (RFC 9110 §9.2.2) may reach a server twice.
    pub any_method: bool,
    /// Whether one more retry fits what may be retried at all.
    pub budget: Arc<dyn RetryBudget>,
}

/// Which outcomes are worth another attempt.
pub trait RetryWhen: Send + Sync + std::fmt::Debug {
    /// Whether to try again after so many attempts, the last of which came to `status`, or to
    /// none where no server could be reached or it broke off.
    fn wants(&self, attempts: u32, status: Option<u16>) -> bool;
}

/// Keeps retries from multiplying an outage.
pub trait RetryBudget: Send + Sync + std::fmt::Debug {
    /// A first attempt is made: retries get room.
    fn deposit(&self);
    /// Whether a retry may be made now; takes room for it.
    fn withdraw(&self) -> bool;
}

/// A request and its answer.
pub struct Exchange {
    /// Who asks.
    pub client: Arc<Client>,
    /// The request's head, as the next filter or the server gets it.
    pub request: Head,
    /// The request's body.
    pub body: Body,
    /// The answer; on the way in, empty.
    pub answer: Answer,
    /// When the first byte of the request was there.
    pub started: Instant,
    /// How long the server took to its head; `None` while it hasn't answered.
    pub server_time: Option<Duration>,
    /// What the retry middleware asks for.
    pub retry: Option<Retry>,
    /// Whether no server could be reached, or it broke off: for circuit breakers.
    pub network_error: bool,
    /// The user that an authentication middleware found, for the access log.
    pub user: Option<String>,
    /// Dropped when the exchange is over: permits, counts.
    pub guards: Vec<Box<dyn Any>>,
    /// The server that was asked last.
    pub server: Option<Arc<Server>>,
    /// Attempts beyond the first.
    pub retries: u32,
    /// Bytes of the request's body that were read, at the end.
    pub bytes_in: u64,
    /// Bytes of the answer's body that were sent, at the end.
    pub bytes_out: u64,
    /// Why the answer broke off, at the end.
    pub broke: Option<&'static str>,
    /// Whether the body went to a server bit by bit: it can't be sent again.
    pub(crate) body_was_taken: bool,
    /// The service that was asked last.
    pub(crate) service: Option<Arc<Balanced>>,
    /// The trace that it is a part of.
    #[cfg_attr(not(feature = "otel"), expect(dead_code, reason = "nothing is kept in this build"))]
    pub(crate) span: spans::Current,
    /// The target as it came.
    asked: Span,
}

impl Exchange {
    /// A request before its first filter.
    pub fn new(client: Arc<Client>, request: Head, body: Body) -> Self {
        Self {
            client,
            asked: request.target,
            request,
            body,
            answer: Answer::default(),
            started: Instant::now(),
            server_time: None,
            retry: None,
            network_error: false,
            user: None,
            guards: Vec::new(),
            server: None,
            retries: 0,
            bytes_in: 0,
            bytes_out: 0,
            broke: None,
            body_was_taken: false,
            service: None,
            span: spans::Current::default(),
        }
    }

    /// A request of nobody's, in the clear, from 192.0.2.1, for tests and `lb explain`: head lines
    /// as they stand in HTTP/1.1, one a line, `GET /path` first.
    ///
    /// ```
    /// use lb_userspace::proxy::Exchange;
    /// let exchange = Exchange::made_up("GET /a?b=c\nHost: example.com");
    /// assert_eq!((exchange.request.path(), exchange.request.host()), ("/a", Some("example.com")));
    /// ```
    pub fn made_up(lines: &str) -> Self {
        let client = Client {
            peer: SocketAddr::new(Ipv4Addr::new(192, 0, 2, 1).into(), 40_000),
            address: "192.0.2.1".into(),
            local: SocketAddr::new(Ipv4Addr::new(198, 51, 100, 10).into(), 80),
            entry_point: "web".into(),
            is_trusted: false,
            tls: None,
        };
        let mut lines = lines.lines();
        let first = lines.next().unwrap_or_default();
        let (method, target) = first.split_once(' ').unwrap_or((first, "/"));
        let mut request = Head::request(method, target);
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            request.add(name.trim(), value.trim());
        }
        Self::new(Arc::new(client), request, Body::Empty)
    }

    /// The sender's address.
    pub fn ip(&self) -> IpAddr {
        self.client.peer.ip().to_canonical()
    }

    /// The target as it came, whatever filters have made of it.
    pub(crate) fn asked(&self) -> &str {
        self.request.text(self.asked)
    }

    /// Whether it asks for another protocol than HTTP/2, which is agreed on otherwise.
    pub(crate) fn wants_upgrade(&self) -> bool {
        self.request.has_class(Class::Upgrade)
            && self.request.get("upgrade").is_some_and(|to| {
                !to.eq_ignore_ascii_case(b"h2c")
                    && self.request.version() == Version::Http11
                    && self.request.lists("connection", "upgrade")
            })
    }

    /// Whether it came by TLS.
    pub fn is_tls(&self) -> bool {
        self.client.tls.is_some()
    }
}
