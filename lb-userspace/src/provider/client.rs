//! A client of HTTP APIs, over TCP, TLS or a unix socket: a few connections that are kept, and
//! queries that wait.

use std::{
    io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    HeaderMap, Method, Request, StatusCode, Uri,
    client::conn::http1::{SendRequest, handshake},
    header::{HOST, HeaderValue},
};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    net::{TcpStream, UnixStream},
    time::{error::Elapsed, timeout},
};
use tokio_rustls::TlsConnector;

use crate::{
    model::{ClientTls, Token},
    proxy::tls::client_config,
};

/// To have an answer that needs no waiting.
const PATIENCE: Duration = Duration::from_secs(10);
/// To connect. Short: while a network is away a try that began then must make way for one that
/// succeeds.
pub(crate) const CONNECT: Duration = Duration::from_secs(3);
/// How long a connection that says nothing may be dead without being noticed: an answer may be
/// waited for for minutes.
const IDLE: Duration = Duration::from_secs(5);
const PROBES: (Duration, u32) = (Duration::from_secs(2), 3);
/// Bytes of an answer at most.
const LARGEST: usize = 256 << 20;
/// Connections kept for the next question.
const KEPT: usize = 16;

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// `X-Consul-Index`, at least 1.
    pub(crate) fn index(&self) -> u64 {
        let index = self.headers.get("x-consul-index").and_then(|value| value.to_str().ok());
        index.and_then(|index| index.parse().ok()).unwrap_or(0).max(1)
    }
}

/// One server of it.
pub(crate) struct Client {
    /// `host:port`.
    authority: String,
    host: String,
    /// In place of TCP.
    socket: Option<PathBuf>,
    tls: Option<TlsConnector>,
    token: Option<HeaderValue>,
    idle: Mutex<Vec<SendRequest<Full<Bytes>>>>,
}

impl Client {
    /// For `http://host:port`, `https://…` or `unix:///path`, with a token of Consul's, if any.
    pub(crate) fn new(url: &str, tls: &ClientTls, token: Option<&Token>) -> Result<Self, String> {
        if let Some(path) = url.strip_prefix("unix://") {
            return Ok(Self {
                authority: "localhost".to_owned(),
                host: String::new(),
                socket: Some(path.into()),
                tls: None,
                token: None,
                idle: Mutex::default(),
            });
        }
        let uri: Uri = url.parse().map_err(|_| "its address is no URL".to_owned())?;
        let is_tls = uri.scheme_str() == Some("https");
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let tls = is_tls.then(|| client_config(tls, &["http/1.1"])).transpose()?;
        let token = token.map(|token| {
            let mut value = HeaderValue::from_str(&token.0)
                .map_err(|_| "its token holds what no header may".to_owned())?;
            value.set_sensitive(true);
            Ok::<_, String>(value)
        });
        Ok(Self {
            authority: match host.contains(':') {
                true => format!("[{host}]:{port}"),
                false => format!("{host}:{port}"),
            },
            host,
            socket: None,
            tls: tls.map(|config| TlsConnector::from(Arc::new(config))),
            token: token.transpose()?,
            idle: Mutex::default(),
        })
    }

    /// `GET path`; with `wait`, the answer may take so much longer.
    ///
    /// # Errors
    /// There is none, or it says that something is wrong. 404 is an answer.
    pub(crate) async fn get(&self, path: &str, wait: Duration) -> Result<Answer, String> {
        self.ask(Method::GET, path, Bytes::new(), wait).await
    }

    /// `PUT path` with a body.
    ///
    /// # Errors
    /// As of [`Self::get`].
    pub(crate) async fn put(&self, path: &str, body: Bytes) -> Result<Answer, String> {
        self.ask(Method::PUT, path, body, Duration::ZERO).await
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        wait: Duration,
    ) -> Result<Answer, String> {
        let slow = |_: Elapsed| format!("{} doesn't answer", self.authority);
        let (mut connection, is_kept) = match self.kept() {
            Some(kept) => (kept, true),
            None => (timeout(CONNECT, self.connect()).await.map_err(slow)??, false),
        };
        let asked = self.request(&method, path, &body)?;
        // A wait is stretched by a sixteenth at the other side.
        let limit = PATIENCE + wait + wait / 8;
        let mut sent = timeout(limit, connection.send_request(asked)).await.map_err(slow)?;
        // A kept connection may have been closed meanwhile; what was asked then wasn't read.
        if is_kept && sent.as_ref().is_err_and(|e| e.is_canceled() || e.is_incomplete_message()) {
            connection = timeout(CONNECT, self.connect()).await.map_err(slow)??;
            let again = self.request(&method, path, &body)?;
            sent = timeout(limit, connection.send_request(again)).await.map_err(slow)?;
        }
        let (head, body) = sent.map_err(|e| format!("{}: {e}", self.authority))?.into_parts();
        let body = timeout(PATIENCE, Limited::new(body, LARGEST).collect()).await.map_err(slow)?;
        let body = body.map_err(|e| format!("{}: {e}", self.authority))?.to_bytes();
        self.keep(connection);
        let answer = Answer { status: head.status, headers: head.headers, body };
        self.judge(path, answer)
    }

    fn judge(&self, path: &str, answer: Answer) -> Result<Answer, String> {
        let is_leaderless =
            answer.headers.get("x-consul-knownleader").is_some_and(|value| value == "false");
        // A refusal says so, too, whatever the reason.
        if is_leaderless && answer.status.is_success() {
            return Err(format!("{}: no leader, so that it can't be relied on", self.authority));
        }
        if answer.status.is_success() || answer.status == StatusCode::NOT_FOUND {
            return Ok(answer);
        }
        let words = String::from_utf8_lossy(&answer.body);
        let path = path.split('?').next().unwrap_or_default();
        Err(format!("{} says {} to {path}: {:.200}", self.authority, answer.status, words.trim()))
    }

    fn kept(&self) -> Option<SendRequest<Full<Bytes>>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(connection) = idle.pop() {
            if connection.is_ready() {
                return Some(connection);
            }
        }
        None
    }

    fn keep(&self, connection: SendRequest<Full<Bytes>>) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < KEPT && !connection.is_closed() {
            idle.push(connection);
        }
    }

    fn request(
        &self,
        method: &Method,
        path: &str,
        body: &Bytes,
    ) -> Result<Request<Full<Bytes>>, String> {
        let mut request = Request::new(Full::new(body.clone()));
        *request.method_mut() = method.clone();
        *request.uri_mut() = path.parse().map_err(|e| format!("{path}: {e}"))?;
        let host = HeaderValue::from_str(&self.authority).map_err(|e| e.to_string())?;
        request.headers_mut().insert(HOST, host);
        if let Some(token) = &self.token {
            request.headers_mut().insert("x-consul-token", token.clone());
        }
        Ok(request)
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, String> {
        let named = |e: io::Error| format!("{}: {e}", self.authority);
        if let Some(path) = &self.socket {
            let named = |e: io::Error| format!("{}: {e}", path.display());
            let stream = UnixStream::connect(path).await.map_err(named)?;
            return self.shake(TokioIo::new(stream)).await;
        }
        let stream = TcpStream::connect(&self.authority).await.map_err(named)?;
        stream.set_nodelay(true).map_err(named)?;
        notices_death(&stream).map_err(named)?;
        match &self.tls {
            None => self.shake(TokioIo::new(stream)).await,
            Some(tls) => {
                let name = ServerName::try_from(self.host.clone())
                    .map_err(|_| format!("{:?} is no host name", self.host))?;
                let stream = tls.connect(name, stream).await.map_err(named)?;
                self.shake(TokioIo::new(stream)).await
            }
        }
    }

    async fn shake<S>(&self, stream: S) -> Result<SendRequest<Full<Bytes>>, String>
    where
        S: hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static,
    {
        let (sender, connection) =
            handshake(stream).await.map_err(|e| format!("{}: {e}", self.authority))?;
        tokio::spawn(async move { drop(connection.await) });
        Ok(sender)
    }
}

/// Probes a silent connection, and gives one up whose bytes nobody acknowledges.
fn notices_death(stream: &TcpStream) -> io::Result<()> {
    let probes = TcpKeepalive::new().with_time(IDLE).with_interval(PROBES.0).with_retries(PROBES.1);
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(&probes)?;
    socket.set_tcp_user_timeout(Some(IDLE + PROBES.0 * PROBES.1))
}

/// Percent-encodes a part of a path.
pub(crate) fn encoded(text: &str) -> String {
    let keep = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    let part = |b: u8| if keep(b) { char::from(b).to_string() } else { format!("%{b:02X}") };
    text.bytes().map(part).collect()
}
