//! Requests of lb's own, as for authentication: HTTP/1.1 on connections that each worker keeps.

use std::{
    cell::RefCell,
    collections::HashMap,
    error::Error,
    io,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response, Uri,
    body::Incoming,
    client::conn::http1::{SendRequest, handshake},
    header::{HOST, HeaderName, HeaderValue},
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};

use super::{Head, Stream, Wait, forward::is_idempotent, io::Plain, tls::Connector};
use crate::model::ClientTls;

/// Whoever can be asked; a real server or a test's.
pub trait Fetch: Send + Sync {
    /// Sends a request and waits for the whole answer. `Host` and the framing are put in.
    ///
    /// # Errors
    /// Why there is none, in half a sentence.
    fn fetch<'a>(&'a self, request: Head, body: Bytes) -> Wait<'a, Result<Fetched, FetchError>>;
}

/// An answer.
#[derive(Debug)]
pub struct Fetched {
    /// Status and fields.
    pub head: Head,
    /// All of it.
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Names, sockets, TLS.
    #[error("{0} can't be reached: {1}")]
    Unreachable(String, io::Error),
    /// What was answered is no HTTP, or broke off.
    #[error("{0} gave no answer: {1}")]
    NoAnswer(String, String),
    /// What is to be sent is no HTTP.
    #[error("the request can't be sent: {0}")]
    Unsendable(String),
    /// It took too long.
    #[error("{0} didn't answer within {1:?}")]
    Timeout(String, Duration),
    /// The answer is longer than is borne.
    #[error("the answer of {0} is longer than {1} bytes")]
    TooLarge(String, usize),
}

/// Times and sizes of a [`Fetcher`].
#[derive(Clone, Copy, Debug)]
pub struct FetchLimits {
    /// To connect, TLS included.
    pub connect: Duration,
    /// To the last byte of the answer.
    pub whole: Duration,
    /// Bytes of an answer's body.
    pub most: usize,
}

impl Default for FetchLimits {
    fn default() -> Self {
        let (connect, whole) = (Duration::from_secs(10), Duration::from_secs(30));
        Self { connect, whole, most: 4 << 20 }
    }
}

/// Asks one server.
pub struct Fetcher {
    /// Of its connections among those that a worker keeps.
    id: u64,
    host: String,
    port: u16,
    /// Host and port as in a URL.
    authority: String,
    tls: Option<Connector>,
    limits: FetchLimits,
}

static IDS: AtomicU64 = AtomicU64::new(0);

impl Fetcher {
    /// For the server of `url`.
    ///
    /// # Errors
    /// It is no URL of HTTP, or a file that TLS needs can't be read.
    pub fn new(url: &str, tls: &ClientTls, limits: FetchLimits) -> Result<Self, String> {
        let uri = parse(url)?;
        let authority = uri.authority().map(ToString::to_string).unwrap_or_default();
        let is_tls = uri.scheme_str() == Some("https");
        let tls = is_tls.then(|| Connector::alone(tls, &["http/1.1"])).transpose()?;
        let host = uri.host().unwrap_or_default();
        Ok(Self {
            id: IDS.fetch_add(1, Relaxed),
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port: uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 }),
            authority,
            tls,
            limits,
        })
    }

    /// Host and port as in a URL.
    pub fn authority(&self) -> &str {
        &self.authority
    }
}

/// Reads an absolute URL of HTTP.
///
/// # Errors
/// What is wrong with it.
pub fn parse(url: &str) -> Result<Uri, String> {
    // It may hold a password, which no fault repeats.
    let what = || "expected a URL such as \"http://auth.example.com/verify\"".to_owned();
    let uri: Uri = url.parse().map_err(|_| what())?;
    match (uri.scheme_str(), uri.authority()) {
        (Some("http" | "https"), Some(authority)) if !authority.as_str().contains('@') => Ok(uri),
        _ => Err(what()),
    }
}

impl Fetch for Fetcher {
    fn fetch<'a>(&'a self, request: Head, body: Bytes) -> Wait<'a, Result<Fetched, FetchError>> {
        Box::pin(async move {
            let whole = self.limits.whole;
            let answer = timeout(whole, self.exchange(&request, &body)).await;
            answer.unwrap_or_else(|_| Err(FetchError::Timeout(self.authority.clone(), whole)))
        })
    }
}

impl Fetcher {
    /// As [`Fetch::fetch`], without a body and from any thread.
    ///
    /// # Errors
    /// As there.
    pub async fn ask(&self, request: &Head) -> Result<Fetched, FetchError> {
        let whole = self.limits.whole;
        let answer = timeout(whole, self.exchange(request, &Bytes::new())).await;
        answer.unwrap_or_else(|_| Err(FetchError::Timeout(self.authority.clone(), whole)))
    }

    /// A kept connection may have been closed meanwhile: then a new one is tried.
    async fn exchange(&self, request: &Head, body: &Bytes) -> Result<Fetched, FetchError> {
        while let Some(mut kept) = POOL.with_borrow_mut(|pool| pool.take(self.id)) {
            match kept.send_request(self.request(request, body)?).await {
                Ok(response) => return self.answer(response, kept).await,
                // Not sent at all, or sent where nothing forbids to send it again.
                Err(error) if error.is_canceled() || is_idempotent(request.method()) => {}
                Err(error) => return Err(self.no_answer(&error)),
            }
        }
        let mut sender = self.connect().await?;
        let response = sender.send_request(self.request(request, body)?).await;
        self.answer(response.map_err(|error| self.no_answer(&error))?, sender).await
    }

    fn request(&self, head: &Head, body: &Bytes) -> Result<Request<Full<Bytes>>, FetchError> {
        let unsendable = |what: &dyn std::fmt::Display| FetchError::Unsendable(what.to_string());
        let mut request = Request::builder().method(head.method()).uri(head.target());
        for (name, value) in head.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("host")) {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|e| unsendable(&e))?;
            let value = HeaderValue::from_bytes(value).map_err(|e| unsendable(&e))?;
            request = request.header(name, value);
        }
        let request = request.header(HOST, &self.authority);
        request.body(Full::new(body.clone())).map_err(|e| unsendable(&e))
    }

    async fn connect(&self) -> Result<Sender, FetchError> {
        let unreachable = |error| FetchError::Unreachable(self.authority.clone(), error);
        let stream = timeout(self.limits.connect, self.stream()).await;
        let stream = stream.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let (sender, connection) = handshake(TokioIo::new(stream.map_err(unreachable)?))
            .await
            .map_err(|error| self.no_answer(&error))?;
        // Its errors reach whoever waits for an answer.
        tokio::spawn(connection);
        Ok(sender)
    }

    async fn stream(&self) -> io::Result<Stream> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in lookup_host((self.host.as_str(), self.port)).await? {
            match TcpStream::connect(address).await {
                Ok(tcp) => {
                    tcp.set_nodelay(true)?;
                    return match &self.tls {
                        Some(tls) => tls.connect(Plain::from(tcp), &self.host).await,
                        None => Ok(Stream::from(tcp)),
                    };
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Reads the answer; its connection is kept.
    async fn answer(
        &self,
        response: Response<Incoming>,
        sender: Sender,
    ) -> Result<Fetched, FetchError> {
        let mut head = Head::response(response.status().as_u16());
        for (name, value) in response.headers() {
            head.add(name.as_str(), value.as_bytes());
        }
        let mut incoming = response.into_body();
        let mut body = BytesMut::new();
        while let Some(frame) = incoming.frame().await {
            let frame = frame.map_err(|error| self.no_answer(&error))?;
            let Some(data) = frame.data_ref() else { continue };
            if body.len() + data.len() > self.limits.most {
                return Err(FetchError::TooLarge(self.authority.clone(), self.limits.most));
            }
            body.extend_from_slice(data);
        }
        POOL.with_borrow_mut(|pool| pool.keep(self.id, sender));
        Ok(Fetched { head, body: body.freeze() })
    }

    fn no_answer(&self, error: &hyper::Error) -> FetchError {
        let why = error.source().map_or_else(|| error.to_string(), |why| format!("{error}: {why}"));
        FetchError::NoAnswer(self.authority.clone(), why)
    }
}

type Sender = SendRequest<Full<Bytes>>;

/// Connections kept for a server, and for how long.
const MOST_IDLE: usize = 32;
const IDLE: Duration = Duration::from_secs(60);

thread_local! {
    static POOL: RefCell<Pool> = RefCell::default();
}

/// A worker's connections that nobody uses.
#[derive(Default)]
struct Pool {
    idle: HashMap<u64, Vec<(Sender, Instant)>>,
}

impl Pool {
    /// The one used last that is open still.
    fn take(&mut self, id: u64) -> Option<Sender> {
        let idle = self.idle.get_mut(&id)?;
        while let Some((sender, since)) = idle.pop() {
            if sender.is_ready() && since.elapsed() < IDLE {
                return Some(sender);
            }
        }
        None
    }

    /// Keeps one, and lets go of those that are closed or old, of servers no longer asked too.
    fn keep(&mut self, id: u64, sender: Sender) {
        let idle = self.idle.entry(id).or_default();
        if !sender.is_closed() && idle.len() < MOST_IDLE {
            idle.push((sender, Instant::now()));
        }
        self.idle.retain(|_, idle| {
            idle.retain(|(sender, since)| !sender.is_closed() && since.elapsed() < IDLE);
            !idle.is_empty()
        });
    }
}

#[cfg(test)]
mod tests;
