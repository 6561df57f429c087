//! `mode: http`: one request on a connection of its own.
//!
//! Redirects are followed (ten at most) as long as they stay on the server:
//! same scheme, same host, same port. A redirect elsewhere says nothing more
//! about this server, so the redirect itself is the answer that is judged.

use std::{
    error::Error,
    future::Future,
    io,
    pin::{Pin, pin},
};

use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request, Response, StatusCode, Uri,
    body::{Bytes, Incoming},
    client::conn::{http1, http2},
    header::{CONNECTION, HOST, HeaderName, HeaderValue, LOCATION, USER_AGENT},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};

use super::probe::{Checking, Failure, Host, Probe, Target};

/// Redirects followed at most.
const REDIRECTS: usize = 10;
/// Bytes of a body read at most.
const BODY: usize = 64 * 1024;
/// Bytes of a body kept, for those who show them.
const KEPT: usize = 4 * 1024;

/// The fields of [`crate::model::CheckKind::Http`].
pub(crate) struct Http {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) tls: bool,
    /// HTTP/2 in the clear, as the server's URL says.
    pub(crate) h2c: bool,
    pub(crate) hostname: Option<String>,
    pub(crate) headers: Vec<(String, String)>,
    /// What is sent.
    pub(crate) body: Bytes,
    pub(crate) status: Option<u16>,
    pub(crate) follow_redirects: bool,
}

/// An answer, as far as it matters.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    location: Option<String>,
    /// Its first bytes.
    pub(crate) body: Vec<u8>,
}

impl Probe for Http {
    fn check<'a>(&'a self, target: &'a Target, host: &'a Host) -> Checking<'a> {
        Box::pin(async move { self.judge(&self.answer(target, host).await?) })
    }
}

impl Http {
    /// The answer at the end of all redirects that are followed, whatever it says.
    pub(crate) async fn answer(&self, target: &Target, host: &Host) -> Result<Answer, Failure> {
        let mut method = Method::from_bytes(self.method.as_bytes())
            .map_err(|_| Failure::server(format!("{:?} is no HTTP method", self.method)))?;
        let mut path = self.path.clone();
        for _ in 0..=REDIRECTS {
            let answer = self.ask(&method, &path, target, host).await?;
            match self.next(&answer, &path, target) {
                Some(next) => path = next,
                None => return Ok(answer),
            }
            method = after_redirect(method, answer.status);
        }
        Err(Failure::server(format!("more than {REDIRECTS} redirects")))
    }

    async fn ask(
        &self,
        method: &Method,
        path: &str,
        target: &Target,
        host: &Host,
    ) -> Result<Answer, Failure> {
        let request = self.request(method, path, target)?;
        let stream = host.ports.connect(target.address).await?;
        if self.tls {
            exchange(host.tls.connect(self.name(target), stream).await?, request).await
        } else if self.h2c {
            exchange_h2(stream, request).await
        } else {
            exchange(stream, request).await
        }
    }

    fn request(
        &self,
        method: &Method,
        path: &str,
        target: &Target,
    ) -> Result<Request<Full<Bytes>>, Failure> {
        let path: Uri =
            path.parse().map_err(|_| Failure::server(format!("{path:?} is no HTTP path")))?;
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = method.clone();
        *request.uri_mut() = path;
        let headers = request.headers_mut();
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        for (name, value) in &self.headers {
            headers.append(header(name)?, value_of(name, value)?);
        }
        if !headers.contains_key(HOST) {
            headers.insert(HOST, value_of("Host", &self.authority(target))?);
        }
        if self.h2c {
            // The authority stands in the target (RFC 9113 §8.3.1), and connections have no header.
            let host = headers.remove(HOST).and_then(|host| host.to_str().ok().map(str::to_owned));
            let uri = format!("http://{}{}", host.unwrap_or_default(), request.uri());
            *request.uri_mut() =
                uri.parse().map_err(|_| Failure::server(format!("{uri:?} is no URL")))?;
        } else {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(request)
    }

    /// Host name of SNI and of the certificate.
    fn name<'a>(&'a self, target: &'a Target) -> &'a str {
        self.hostname.as_deref().unwrap_or(&target.host)
    }

    /// `hostname`, or the server's `host:port` (no port where it is the scheme's).
    fn authority(&self, target: &Target) -> String {
        match &self.hostname {
            Some(hostname) => hostname.clone(),
            None => authority(target, self.default_port()),
        }
    }

    fn default_port(&self) -> u16 {
        if self.tls { 443 } else { 80 }
    }

    /// The path to ask next, when the answer is a redirect to be followed.
    fn next(&self, answer: &Answer, path: &str, target: &Target) -> Option<String> {
        let is_wanted = self.status == Some(answer.status.as_u16());
        let redirects = matches!(answer.status.as_u16(), 301 | 302 | 303 | 307 | 308);
        if !self.follow_redirects || !redirects || is_wanted {
            return None;
        }
        let location = answer.location.as_deref()?.split('#').next()?;
        if !location.contains("://") && !location.starts_with("//") {
            return Some(relative(location, path));
        }
        let uri: Uri = absolute(location, self.scheme()).parse().ok()?;
        let next = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        self.is_same_origin(&uri, target).then_some(next)
    }

    fn scheme(&self) -> &'static str {
        if self.tls { "https" } else { "http" }
    }

    fn is_same_origin(&self, uri: &Uri, target: &Target) -> bool {
        let Ok(own) = self.authority(target).parse::<hyper::http::uri::Authority>() else {
            return false;
        };
        let default = self.default_port();
        // A bare `hostname` stands for the server's own port, whatever it is.
        let own_ports = match own.port_u16() {
            Some(port) => [port, port],
            None => [default, target.address.port()],
        };
        uri.scheme_str() == Some(self.scheme())
            && uri.host().is_some_and(|host| host.eq_ignore_ascii_case(own.host()))
            && own_ports.contains(&uri.port_u16().unwrap_or(default))
    }

    fn judge(&self, answer: &Answer) -> Result<String, Failure> {
        let code = answer.status.as_u16();
        let (passes, wanted) = match self.status {
            Some(wanted) => (code == wanted, wanted.to_string()),
            None => ((200..400).contains(&code), "200–399".to_owned()),
        };
        let to = answer.location.as_deref().map(|to| format!(" to {to:.200}")).unwrap_or_default();
        if passes {
            let reason = answer.status.canonical_reason().map(|r| format!(" {r}"));
            return Ok(format!("{code}{}{to}", reason.unwrap_or_default()));
        }
        Err(Failure::server(format!("status {code}{to}, wanted {wanted}")))
    }
}

/// The server's `host:port`, without the port where it is the scheme's.
pub(super) fn authority(target: &Target, default_port: u16) -> String {
    let host = match target.host.parse::<std::net::Ipv6Addr>() {
        Ok(v6) => format!("[{v6}]"),
        Err(_) => target.host.clone(),
    };
    match target.address.port() {
        port if port == default_port => host,
        port => format!("{host}:{port}"),
    }
}

/// `User-Agent` of checks.
pub(super) const AGENT: &str = concat!("lb/", env!("CARGO_PKG_VERSION"), " (health check)");

/// 303 asks with GET, and so do 301 and 302 after a POST (RFC 9110 §15.4).
fn after_redirect(method: Method, status: StatusCode) -> Method {
    match (status.as_u16(), &method) {
        (303, &Method::HEAD) => method,
        (303, _) | (301 | 302, &Method::POST) => Method::GET,
        _ => method,
    }
}

/// A location that may lack its scheme (`//host/path`).
fn absolute(location: &str, scheme: &str) -> String {
    if location.starts_with("//") { format!("{scheme}:{location}") } else { location.to_owned() }
}

/// A location without host, seen from `base` (RFC 3986 §5.2, without dot segments).
fn relative(location: &str, base: &str) -> String {
    let base_path = base.split('?').next().unwrap_or_default();
    match location.as_bytes().first() {
        None => base.to_owned(),
        Some(b'/') => location.to_owned(),
        Some(b'?') => format!("{base_path}{location}"),
        Some(_) => {
            let folder = base_path.rfind('/').map_or("/", |end| &base_path[..=end]);
            format!("{folder}{location}")
        }
    }
}

pub(super) fn header(name: &str) -> Result<HeaderName, Failure> {
    name.parse().map_err(|_| Failure::server(format!("{name:?} is no HTTP header name")))
}

pub(super) fn value_of(name: &str, value: &str) -> Result<HeaderValue, Failure> {
    value.parse().map_err(|_| Failure::server(format!("the value of header {name} isn't allowed")))
}

/// Sends the request and reads the answer, its body too.
async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> Result<Answer, Failure>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|e| broken(&e))?;
    let asking = async move {
        let response = sender.send_request(request).await.map_err(|e| broken(&e))?;
        drained(response).await
    };
    let mut asking: Pin<&mut (dyn Future<Output = _> + Send)> = pin!(asking);
    tokio::select! {
        biased;
        answer = &mut asking => answer,
        // The connection ends first when all has been read; its errors reach the request too.
        _ = connection => asking.await,
    }
}

/// As [`exchange`], by HTTP/2.
async fn exchange_h2<S>(stream: S, request: Request<Full<Bytes>>) -> Result<Answer, Failure>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.map_err(|e| broken(&e))?;
    let asking = async move {
        let response = sender.send_request(request).await.map_err(|e| broken(&e))?;
        drained(response).await
    };
    let mut asking: Pin<&mut (dyn Future<Output = _> + Send)> = pin!(asking);
    tokio::select! {
        biased;
        answer = &mut asking => answer,
        _ = connection => asking.await,
    }
}

async fn drained(response: Response<Incoming>) -> Result<Answer, Failure> {
    let location = response.headers().get(LOCATION);
    let mut answer = Answer {
        status: response.status(),
        location: location.and_then(|value| value.to_str().ok()).map(str::to_owned),
        body: Vec::new(),
    };
    let mut body = response.into_body();
    let mut read = 0;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|e| broken(&e))?.into_data() else { continue };
        let room = KEPT.saturating_sub(answer.body.len());
        answer.body.extend_from_slice(&data[..data.len().min(room)]);
        read += data.len();
        if read >= BODY {
            break;
        }
    }
    Ok(answer)
}

/// What hyper complains of, by its cause.
pub(super) fn broken(error: &hyper::Error) -> Failure {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    let mut io = causes.filter_map(|cause| cause.downcast_ref::<io::Error>());
    if let Some(code) = io.clone().find_map(io::Error::raw_os_error) {
        return io::Error::from_raw_os_error(code).into();
    }
    let is_cut = io.any(|error| error.kind() == io::ErrorKind::UnexpectedEof);
    if is_cut || error.is_incomplete_message() {
        Failure::server("the server closed the connection before its answer was whole")
    } else if error.is_parse() {
        Failure::server(format!("not an HTTP answer: {error}"))
    } else {
        Failure::server(format!("HTTP: {error}"))
    }
}
