//! `mode: grpc`: one call of `grpc.health.v1.Health/Check` for the whole server, or one service of
//! it, on an HTTP/2 connection of its own (the gRPC health checking protocol).

use http_body_util::{BodyExt, Full};
use hyper::{
    HeaderMap, Request, Response, StatusCode, Version,
    body::{Bytes, Incoming},
    client::conn::http2,
    header::{CONTENT_TYPE, HeaderValue, TE, USER_AGENT},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{
    http::{AGENT, authority, broken, header, value_of},
    probe::{Checking, Failure, Host, Probe, Target},
};

/// Path of the call.
const CALL: &str = "/grpc.health.v1.Health/Check";
/// Bytes of an answer read at most.
const ANSWER: usize = 16 * 1024;

/// The fields of [`crate::model::CheckKind::Grpc`].
pub(crate) struct Grpc {
    pub(crate) tls: bool,
    pub(crate) hostname: Option<String>,
    pub(crate) headers: Vec<(String, String)>,
    /// Of gRPC, up to 127 bytes; empty: the whole server.
    pub(crate) service: String,
}

impl Probe for Grpc {
    fn check<'a>(&'a self, target: &'a Target, host: &'a Host) -> Checking<'a> {
        Box::pin(async move {
            let request = self.request(target)?;
            let stream = host.ports.connect(target.address).await?;
            let answer = if self.tls {
                let name = self.hostname.as_deref().unwrap_or(&target.host);
                exchange(host.tls.connect_h2(name, stream).await?, request).await?
            } else {
                exchange(stream, request).await?
            };
            answer.judge()
        })
    }
}

impl Grpc {
    fn request(&self, target: &Target) -> Result<Request<Full<Bytes>>, Failure> {
        let scheme = if self.tls { "https" } else { "http" };
        let authority = match &self.hostname {
            Some(hostname) => hostname.clone(),
            None => authority(target, if self.tls { 443 } else { 80 }),
        };
        let uri = format!("{scheme}://{authority}{CALL}");
        let mut request = Request::new(Full::new(question(&self.service)));
        *request.method_mut() = hyper::Method::POST;
        *request.version_mut() = Version::HTTP_2;
        *request.uri_mut() =
            uri.parse().map_err(|_| Failure::server(format!("{authority:?} is no host")))?;
        let headers = request.headers_mut();
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(TE, HeaderValue::from_static("trailers"));
        for (name, value) in &self.headers {
            headers.append(header(name)?, value_of(name, value)?);
        }
        Ok(request)
    }
}

/// A `HealthCheckRequest`, not compressed: field 1 names the service, where there is one.
fn question(service: &str) -> Bytes {
    let service = service.as_bytes();
    let service = &service[..service.len().min(127)];
    let length = service.len() as u8;
    match length {
        0 => Bytes::from_static(&[0, 0, 0, 0, 0]),
        _ => [&[0, 0, 0, 0, length + 2, 0x0a, length], service].concat().into(),
    }
}

/// An answer, as far as it matters.
struct Answer {
    status: StatusCode,
    /// `grpc-status` and `grpc-message`, of the trailers or, where there is no body, of the head.
    outcome: Option<(String, String)>,
    body: Vec<u8>,
}

async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> Result<Answer, Failure>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .map_err(|e| broken(&e))?;
    let asking = async move {
        let response = sender.send_request(request).await.map_err(|e| broken(&e))?;
        read(response).await
    };
    let mut asking = Box::pin(asking);
    tokio::select! {
        biased;
        answer = &mut asking => answer,
        // Its errors reach the request too.
        _ = connection => asking.await,
    }
}

async fn read(response: Response<Incoming>) -> Result<Answer, Failure> {
    let mut answer = Answer {
        status: response.status(),
        outcome: outcome(response.headers()),
        body: Vec::new(),
    };
    let mut body = response.into_body();
    while let Some(frame) = body.frame().await {
        match frame.map_err(|e| broken(&e))?.into_data() {
            Ok(data) if answer.body.len() + data.len() > ANSWER => {
                return Err(Failure::server("not an answer of gRPC: it is too long"));
            }
            Ok(data) => answer.body.extend_from_slice(&data),
            Err(frame) => {
                let trailers = frame.trailers_ref().and_then(outcome);
                answer.outcome = trailers.or(answer.outcome);
            }
        }
    }
    Ok(answer)
}

fn outcome(headers: &HeaderMap) -> Option<(String, String)> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let message = text("grpc-message").unwrap_or_default().to_owned();
    Some((text("grpc-status")?.to_owned(), message))
}

impl Answer {
    fn judge(&self) -> Result<String, Failure> {
        let Some((code, message)) = &self.outcome else {
            let status = self.status.as_u16();
            let words = format!("not an answer of gRPC: HTTP status {status}, no grpc-status");
            return Err(Failure::server(words));
        };
        match code.as_str() {
            "0" => {}
            "12" => {
                let words = "the server has no grpc.health.v1.Health (grpc-status 12)";
                return Err(Failure::server(words));
            }
            _ if message.is_empty() => {
                return Err(Failure::server(format!("grpc-status {code}")));
            }
            _ => return Err(Failure::server(format!("grpc-status {code}: {message:.200}"))),
        }
        match serving(&self.body) {
            Some(1) => Ok("SERVING".to_owned()),
            Some(2) => Err(Failure::server("NOT_SERVING")),
            Some(3) => Err(Failure::server("SERVICE_UNKNOWN")),
            Some(other) => Err(Failure::server(format!("serving status {other}, wanted SERVING"))),
            None => Err(Failure::server("not an answer of gRPC: its message can't be read")),
        }
    }
}

/// The `status` of a `HealthCheckResponse` (field 1), 0 where it has none.
fn serving(body: &[u8]) -> Option<u64> {
    let (head, message) = body.split_at_checked(5)?;
    let length = u32::from_be_bytes(head[1..].try_into().ok()?);
    if head[0] != 0 || usize::try_from(length).ok()? != message.len() {
        return None;
    }
    let (mut rest, mut status) = (message, 0);
    while !rest.is_empty() {
        let key = varint(&mut rest)?;
        match (key >> 3, key & 7) {
            (1, 0) => status = varint(&mut rest)?,
            (_, 0) => _ = varint(&mut rest)?,
            (_, 1) => rest = rest.get(8..)?,
            (_, 2) => {
                let length = usize::try_from(varint(&mut rest)?).ok()?;
                rest = rest.get(length..)?;
            }
            (_, 5) => rest = rest.get(4..)?,
            _ => return None,
        }
    }
    Some(status)
}

/// A number in base 128, least significant first (protocol buffers).
fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, tail) = rest.split_first()?;
        *rest = tail;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::serving;

    macro_rules! messages {
        ($($name:ident: $body:expr => $status:expr;)*) => {
            $(#[test]
            fn $name() {
                assert_eq!(serving(&$body), $status);
            })*
        };
    }

    messages! {
        serving_is_one: [0, 0, 0, 0, 2, 8, 1] => Some(1);
        not_serving_is_two: [0, 0, 0, 0, 2, 8, 2] => Some(2);
        no_field_is_unknown: [0, 0, 0, 0, 0] => Some(0);
        other_fields_are_skipped: [0, 0, 0, 0, 12, 0x12, 1, 65, 0x1d, 0, 0, 0, 0, 0x18, 9, 8, 1] => Some(1);
        the_last_one_counts: [0, 0, 0, 0, 4, 8, 2, 8, 1] => Some(1);
        a_compressed_one_is_none: [1, 0, 0, 0, 2, 8, 1] => None;
        a_cut_one_is_none: [0, 0, 0, 0, 3, 8, 1] => None;
        an_endless_number_is_none: [0, 0, 0, 0, 11, 8, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255] => None;
        a_cut_head_is_none: [0, 0, 0] => None;
    }
}
