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

/// Longest silence of a daemon. One that answers a ping meanwhile is at work: a reload that loads
/// programs anew takes as long as a busy machine lets it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Speaks to the daemon of one instance.
#[derive(Debug)]
pub(super) struct Client {
    socket: PathBuf,
    patience: Duration,
}

impl Client {
    pub(super) fn new(instance: &Paths) -> Self {
        Self { socket: instance.socket(), patience: PATIENCE }
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
            let answer = self.exchange(method, path, body);
            tokio::pin!(answer);
            loop {
                if let Ok(answer) = tokio::time::timeout(self.patience, &mut answer).await {
                    return answer;
                }
                let ping = self.exchange(Method::GET, "/ping", Bytes::new());
                if tokio::time::timeout(self.patience, ping).await.is_err() {
                    let silence = 2 * self.patience.as_secs();
                    return Err(self.silent(&format!("no answer within {silence} s")));
                }
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
    use std::{
        io::{Read, Write},
        os::unix::net::UnixListener,
        thread,
    };

    use super::*;

    fn unconnected() -> Client {
        Client { socket: "s".into(), patience: PATIENCE }
    }

    /// A daemon at work on `/slow`, that answers pings meanwhile or not.
    fn at_work(answers_pings: bool) -> (tempfile::TempDir, Result<u32, Failure>) {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("s");
        let listener = UnixListener::bind(&socket).unwrap();
        thread::spawn(move || {
            let mut slow = None;
            for mut stream in listener.incoming().map_while(Result::ok) {
                let mut request = [0; 512];
                let len = stream.read(&mut request).unwrap_or(0);
                if request[..len].starts_with(b"GET /slow") {
                    slow = Some(stream);
                } else if answers_pings {
                    let pong = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";
                    stream.write_all(pong).unwrap();
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n7";
                    slow.take().map(|mut slow| slow.write_all(answer));
                } else {
                    thread::park();
                }
            }
        });
        let client = Client { socket, patience: Duration::from_millis(200) };
        (folder, client.get("/slow"))
    }

    #[test]
    fn a_daemon_at_work_is_waited_for() {
        assert_eq!(at_work(true).1.unwrap(), 7);
    }

    #[test]
    fn a_daemon_that_hangs_is_given_up() {
        let failure = at_work(false).1.unwrap_err();
        assert_eq!(failure.code(), 3);
        assert!(failure.to_string().contains("no answer within"), "{failure}");
    }

    #[test]
    fn missing_socket_says_what_to_do_next() {
        let socket = "/run/lb/no-such-instance-here.sock".into();
        let client = Client { socket, patience: PATIENCE };
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
                let client = unconnected();
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
        let client = unconnected();
        let failure = client.read::<u32>(StatusCode::OK, b"[").unwrap_err();
        assert_eq!(failure.code(), 4);
    }
}
