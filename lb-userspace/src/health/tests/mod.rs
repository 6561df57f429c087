//! Checks and look-ups against real servers on loopback.

mod grpc;
mod http;
mod https;
mod monitor;
mod names;
mod tcp;
mod zone;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::AbortHandle,
};

use super::probe::{self, Host, Target};
use crate::model::{
    Backend, CheckKind, Health, HealthCheck, Id, Protocol, Scheme, Service, Snapshot,
};

/// An HTTP server that answers each connection's request by `answer`, and closes.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    /// Requests as they came.
    pub(super) seen: Arc<Mutex<Vec<String>>>,
    task: AbortHandle,
}

impl Server {
    pub(super) async fn start(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::at("127.0.0.1:0", answer).await
    }

    pub(super) async fn at(
        address: &str,
        answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (log, answer) = (Arc::clone(&seen), Arc::new(answer));
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
                tokio::spawn(async move {
                    let request = head(&mut stream).await;
                    log.lock().unwrap().push(request.clone());
                    let _ = stream.write_all(&answer(&request)).await;
                });
            }
        });
        Self { address, seen, task: task.abort_handle() }
    }

    pub(super) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Reads to the end of a request's head, or of the connection.
pub(super) async fn head(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> String {
    let (mut text, mut buffer) = (Vec::new(), [0; 4096]);
    while !text.windows(4).any(|w| w == b"\r\n\r\n") {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(n) => text.extend_from_slice(&buffer[..n]),
        }
    }
    String::from_utf8(text).unwrap()
}

/// A whole answer: `status` is code and reason.
pub(super) fn answer(status: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\n\r\n{body}").into_bytes()
}

/// The check that `GET /` makes, with defaults for the rest.
pub(super) fn http() -> CheckKind {
    CheckKind::Http {
        method: "GET".into(),
        path: "/".into(),
        tls: None,
        hostname: None,
        headers: Vec::new(),
        status: None,
        follow_redirects: true,
    }
}

/// One check of a server on this host, in words.
pub(super) async fn check(
    kind: &CheckKind,
    host: &str,
    address: SocketAddr,
) -> Result<String, String> {
    let here = Host { ports: Default::default(), tls: Default::default() };
    check_with(kind, host, address, &here).await
}

pub(super) async fn check_with(
    kind: &CheckKind,
    host: &str,
    address: SocketAddr,
    here: &Host,
) -> Result<String, String> {
    let target = Target { address, host: host.to_owned(), scheme: Scheme::Http };
    let probe = probe::of(kind, &target);
    let checking = probe.check(&target, here);
    let done = tokio::time::timeout(Duration::from_secs(20), checking).await;
    done.expect("the check ends").map_err(|failure| failure.to_string())
}

/// A check every 20 ms.
pub(super) fn often(kind: CheckKind) -> HealthCheck {
    HealthCheck {
        kind,
        interval: Duration::from_millis(20),
        unhealthy_interval: None,
        timeout: Duration::from_millis(500),
        rise: 2,
        fall: 2,
        port: None,
    }
}

pub(super) fn backend(address: SocketAddr) -> Backend {
    Backend {
        address,
        server: address.to_string(),
        options: Default::default(),
        configured_weight: 1,
        weight_override: None,
        drained: false,
        leaving: false,
        expired: false,
        health: Health::default(),
    }
}

pub(super) fn service(name: &str, check: Option<HealthCheck>, backends: Vec<Backend>) -> Service {
    Service { health_check: check, backends, ..Service::new(Id::new(Protocol::Tcp, name, "file")) }
}

pub(super) fn snapshot(services: impl IntoIterator<Item = Service>) -> Snapshot {
    let services: BTreeMap<_, _> =
        services.into_iter().map(|service| (service.id.clone(), Arc::new(service))).collect();
    Snapshot { services, ..Snapshot::default() }
}
