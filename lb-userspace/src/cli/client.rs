//! The client side of the admin API, over the instance's unix socket.

use std::{io, path::PathBuf, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, Response, StatusCode, body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde::{Serialize, de::DeserializeOwned};
use tokio::net::UnixStream;

use super::Failure;
pub(super) use crate::api::encode;
use crate::{api::types::ErrorBody, kernel::Paths};

/// Longest wait for an answer: a large connection table takes a while to print.
const PATIENCE: Duration = Duration::from_secs(60);

/// Speaks to the daemon of one instance.
#[derive(Debug)]
pub(super) struct Client {
    socket: PathBuf,
}

impl Client {
    pub(super) fn new(instance: &Paths) -> Self {
        Self { socket: instance.socket() }
    }

    /// `GET path`.
    pub(super) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.ask(Method::GET, path, Bytes::new())
    }

    /// `PUT` or `POST` with a JSON body.
    pub(super) fn send<B: Serialize, T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &B,
    ) -> Result<T, Failure> {
        let body = serde_json::to_vec(body).map_err(|e| Failure::Usage(e.to_string()))?;
        self.ask(method, path, body.into())
    }

    /// `GET path` of what has no end: each line of the answer as it comes, until the daemon ends or
    /// `line` says stop.
    pub(super) fn follow(
        &self,
        path: &str,
        header: Option<(&str, &str)>,
        mut line: impl FnMut(&str) -> Result<bool, Failure>,
    ) -> Result<(), Failure> {
        self.runtime()?.block_on(async {
            let answer = self.begin(Method::GET, path, header, Bytes::new()).await?;
            let status = answer.status();
            let mut body = answer.into_body();
            if !status.is_success() {
                let body = body.collect().await.map_err(|e| self.silent(&e.to_string()))?;
                return self.read(status, &body.to_bytes());
            }
            let mut rest = Vec::new();
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|e| self.silent(&e.to_string()))?;
                rest.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
                while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                    let whole: Vec<u8> = rest.drain(..=end).collect();
                    if !line(String::from_utf8_lossy(&whole).trim_end_matches(['\r', '\n']))? {
                        return Ok(());
                    }
                }
            }
            Ok(())
        })
    }

    /// `DELETE path`.
    pub(super) fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.ask(Method::DELETE, path, Bytes::new())
    }

    fn runtime(&self) -> Result<tokio::runtime::Runtime, Failure> {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| Failure::Refused(format!("can't start the client: {e}")))
    }

    fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<T, Failure> {
        let (status, body) = self.runtime()?.block_on(async {
            match tokio::time::timeout(PATIENCE, self.exchange(method, path, body)).await {
                Ok(answer) => answer,
                Err(_) => Err(self.silent(&format!("no answer within {} s", PATIENCE.as_secs()))),
            }
        })?;
        self.read(status, &body)
    }

    fn read<T: DeserializeOwned>(&self, status: StatusCode, body: &[u8]) -> Result<T, Failure> {
        if status.is_success() {
            return serde_json::from_slice(body).map_err(|e| {
                Failure::Refused(format!(
                    "the daemon at {} answers in a way this lb does not understand ({e}); \
                     use the lb of the daemon's version",
                    self.socket.display()
                ))
            });
        }
        let error = serde_json::from_slice(body).unwrap_or_else(|_| ErrorBody {
            message: format!("the daemon answers {status}"),
            ..ErrorBody::default()
        });
        Err(error.into())
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), Failure> {
        let answer = self.begin(method, path, None, body).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await.map_err(|e| self.silent(&e.to_string()))?;
        Ok((status, body.to_bytes()))
    }

    /// Sends a request; the answer's body is still to come.
    async fn begin(
        &self,
        method: Method,
        path: &str,
        header: Option<(&str, &str)>,
        body: Bytes,
    ) -> Result<Response<Incoming>, Failure> {
        let stream = UnixStream::connect(&self.socket).await.map_err(|e| self.unreachable(&e))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|e| self.silent(&e.to_string()))?;
        tokio::spawn(connection);
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "lb")
            .header("content-type", "application/json");
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        let request =
            request.body(Full::new(body)).map_err(|e| Failure::Usage(format!("{path}: {e}")))?;
        sender.send_request(request).await.map_err(|e| self.silent(&e.to_string()))
    }

    fn unreachable(&self, error: &io::Error) -> Failure {
        let socket = self.socket.display();
        Failure::NoDaemon(match error.kind() {
            io::ErrorKind::PermissionDenied => {
                format!("no leave to open {socket}; run this as root")
            }
            _ => format!(
                "no lb daemon answers at {socket}; start one with `lb run -c FILE`, \
                 or name another with --instance"
            ),
        })
    }

    fn silent(&self, why: &str) -> Failure {
        Failure::NoDaemon(format!(
            "the lb daemon at {} broke off ({why}); see its log",
            self.socket.display()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_socket_says_what_to_do_next() {
        let client = Client { socket: "/run/lb/no-such-instance-here.sock".into() };
        let failure = client.get::<serde_json::Value>("/api/status").unwrap_err();
        assert_eq!(failure.code(), 3);
        assert_eq!(
            failure.to_string(),
            "no lb daemon answers at /run/lb/no-such-instance-here.sock; start one with \
             `lb run -c FILE`, or name another with --instance"
        );
    }

    macro_rules! refusals {
        ($($test:ident: $status:expr, $body:expr => $code:expr, $text:expr;)+) => {
            $(#[test]
            fn $test() {
                let client = Client { socket: "s".into() };
                let status = StatusCode::from_u16($status).unwrap();
                let failure = client.read::<u32>(status, $body.as_bytes()).unwrap_err();
                assert_eq!((failure.code(), failure.to_string().as_str()), ($code, $text));
            })+
        };
    }

    refusals! {
        ambiguous_is_usage: 409, r#"{"message":"which?","code":"ambiguous"}"# => 2, "which?";
        unknown_object_is_input: 404, r#"{"message":"none","code":"not_found"}"# => 1, "none";
        faults_are_printed_one_a_line: 422,
            r#"{"message":"m","code":"invalid","details":["a","b"]}"# => 1, "a\nb";
        refusal_is_the_daemons: 409, r#"{"message":"no","code":"refused"}"# => 4, "no";
        not_ready_is_the_daemons: 503, r#"{"message":"wait","code":"unavailable"}"# => 4, "wait";
        unreadable_error_names_the_status: 500, "oops" => 4,
            "the daemon answers 500 Internal Server Error";
    }

    #[test]
    fn unreadable_body_is_refused() {
        let client = Client { socket: "s".into() };
        let failure = client.read::<u32>(StatusCode::OK, b"[").unwrap_err();
        assert_eq!(failure.code(), 4);
    }
}
