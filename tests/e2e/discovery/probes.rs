//! The registry's checks over TLS and gRPC, its DNS over TCP, and a registry that changes hands.

use std::{
    convert::Infallible,
    io::{Read, Write},
    net::{TcpStream, UdpSocket},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http_body_util::StreamBody;
use hyper::{
    HeaderMap, Request, Response,
    body::{Frame, Incoming},
    server::conn::http2,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use lb_tests::{Daemon, Namespace, server::Origin};

use super::agent::{ask, get, register, until, visit};

const CONFIG: &str = r#"
entryPoints:
  web: { address: "127.0.0.1:8080" }
registry: { address: "127.0.0.1:8500", dns: "127.0.0.1:8600", exposedByDefault: false }
"#;

/// `/health` over TLS, for as long as the process lives.
const HTTPS: &str = r#"
import http.server, ssl, sys
class Well(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health" else 404)
        self.send_header("Content-Length", "0"); self.end_headers()
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 9443), Well)
tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER); tls.load_cert_chain(sys.argv[1], sys.argv[2])
server.socket = tls.wrap_socket(server.socket, server_side=True); server.serve_forever()
"#;

/// Ended when dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ended = self.0.kill().and_then(|()| self.0.wait());
    }
}

/// `grpc.health.v1.Health/Check` at 127.0.0.1:9500, which says SERVING or NOT_SERVING.
struct Health {
    is_well: Arc<AtomicBool>,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Health {
    fn start(ns: &Namespace) -> Result<Self> {
        let listener = ns.run(|| std::net::TcpListener::bind("127.0.0.1:9500"))?;
        listener.set_nonblocking(true)?;
        let (is_well, ends) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(false)));
        let (says, ended) = (Arc::clone(&is_well), Arc::clone(&ends));
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
                while !ended.load(Relaxed) {
                    let soon = tokio::time::timeout(Duration::from_millis(50), listener.accept());
                    let Ok(Ok((stream, _))) = soon.await else { continue };
                    let says = Arc::clone(&says);
                    tokio::spawn(async move {
                        let answer = service_fn(move |_: Request<Incoming>| {
                            let status = if says.load(Relaxed) { 1 } else { 2 };
                            async move { Ok::<_, Infallible>(said(status)) }
                        });
                        let server = http2::Builder::new(TokioExecutor::new());
                        drop(server.serve_connection(TokioIo::new(stream), answer).await);
                    });
                }
            });
        });
        Ok(Self { is_well, ends, thread: Some(thread) })
    }
}

impl Drop for Health {
    fn drop(&mut self) {
        self.ends.store(true, Relaxed);
        let _ended = self.thread.take().map(JoinHandle::join);
    }
}

type Frames = futures_util::stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, Infallible>>>;

fn said(status: u8) -> Response<StreamBody<Frames>> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().expect("a value"));
    let message = Bytes::copy_from_slice(&[0, 0, 0, 0, 2, 8, status]);
    let frames = vec![Ok(Frame::data(message)), Ok(Frame::trailers(trailers))];
    let mut response = Response::new(StreamBody::new(futures_util::stream::iter(frames)));
    response.headers_mut().insert("content-type", "application/grpc".parse().expect("a value"));
    response
}

/// The status of `service:ID`.
fn status(ns: &Namespace, id: &str) -> Result<String> {
    let checks = get(ns, "/v1/agent/checks")?;
    Ok(checks[format!("service:{id}")]["Status"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn a_registry_checks_over_tls_and_grpc() -> Result<()> {
    let ns = Namespace::new("probes")?;
    let folder = tempfile::tempdir()?;
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let [cert, key] = ["cert.pem", "key.pem"].map(|name| folder.path().join(name));
    std::fs::write(&cert, made.cert.pem())?;
    std::fs::write(&key, made.signing_key.serialize_pem())?;
    let mut python = Command::new("python3");
    python.args(["-c", HTTPS]).args([&cert, &key]).stdin(Stdio::null());
    let https = Process(ns.start(&mut python)?);
    let grpc = Health::start(&ns)?;
    let _daemon = Daemon::start(&ns, CONFIG)?;
    let with = |id: &str, check: &str| {
        let body = format!(
            r#"{{"ID":"{id}","Name":"{id}","Port":1,"Check":{{{check},"Interval":"100ms","Timeout":"2s"}}}}"#
        );
        ask(&ns, "PUT", "/v1/agent/service/register", &body)
    };
    with("tls", r#""HTTP":"https://127.0.0.1:9443/health","TLSSkipVerify":true"#)?;
    // Nobody vouches for that certificate.
    with("strict", r#""HTTP":"https://127.0.0.1:9443/health""#)?;
    with("grpc", r#""GRPC":"127.0.0.1:9500""#)?;
    until("both pass", || {
        Ok(status(&ns, "tls")? == "passing" && status(&ns, "grpc")? == "passing")
    })?;
    assert_eq!(status(&ns, "strict")?, "critical");
    grpc.is_well.store(false, Relaxed);
    until("gRPC's fails", || Ok(status(&ns, "grpc")? == "critical"))?;
    grpc.is_well.store(true, Relaxed);
    until("and passes again", || Ok(status(&ns, "grpc")? == "passing"))?;
    drop(https);
    until("that over TLS fails", || Ok(status(&ns, "tls")? == "critical"))?;
    Ok(())
}

fn question(name: &str, kind: u8) -> Result<Vec<u8>> {
    let mut question = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0".to_vec();
    for label in name.split('.') {
        question.push(u8::try_from(label.len())?);
        question.extend_from_slice(label.as_bytes());
    }
    question.extend_from_slice(&[0, 0, kind, 0, 1]);
    Ok(question)
}

#[test]
fn a_long_answer_of_the_registrys_dns_comes_by_tcp() -> Result<()> {
    const COUNT: u16 = 60;
    let ns = Namespace::new("longdns")?;
    let _daemon = Daemon::start(&ns, CONFIG)?;
    for n in 0..COUNT {
        let body = format!(r#"{{"ID":"many-{n}","Name":"many","Address":"10.0.1.{n}","Port":80}}"#);
        ask(&ns, "PUT", "/v1/agent/service/register", &body)?;
    }
    let question = question("many.service.consul", 1)?;
    let socket = ns.run(|| UdpSocket::bind("127.0.0.1:0"))?;
    socket.set_read_timeout(Some(super::agent::PATIENCE))?;
    socket.send_to(&question, "127.0.0.1:8600")?;
    let mut answer = [0; 4096];
    let length = socket.recv(&mut answer)?;
    ensure!(length <= 512 && answer[2] & 2 != 0, "{length} bytes, not marked as truncated");

    let mut stream = ns.run(|| TcpStream::connect("127.0.0.1:8600"))?;
    stream.set_read_timeout(Some(super::agent::PATIENCE))?;
    // Two over one connection.
    for _ in 0..2 {
        let length = u16::try_from(question.len())?.to_be_bytes();
        stream.write_all(&[&length, question.as_slice()].concat())?;
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut answer)?;
        let count = answer.get(6..8).context("a header")?;
        assert_eq!((u16::from_be_bytes([count[0], count[1]]), answer[2] & 2), (COUNT, 0));
    }
    Ok(())
}

#[test]
fn a_registry_goes_over_to_another_process() -> Result<()> {
    const TAGS: &[&str] =
        &["traefik.enable=true", "traefik.http.routers.api.rule=Host(`api.example.com`)"];
    let ns = Namespace::new("handover")?;
    let _a = Origin::start(&ns, "127.0.0.1:9001".parse()?, "a")?;
    let _b = Origin::start(&ns, "127.0.0.1:9002".parse()?, "b")?;
    let mut daemon = Daemon::start(&ns, CONFIG)?;
    register(&ns, "api-1", 9001, TAGS)?;
    ask(&ns, "PUT", "/v1/kv/some/key", "its value")?;
    until("it is routed", || Ok(visit(&ns)? == (200, "a".to_owned())))?;
    for _ in 0..2 {
        let before = daemon.take_over()?;
        for _ in 0..20 {
            assert_eq!(visit(&ns)?, (200, "a".to_owned()));
        }
        ensure!(before.wait()?.success());
        // Whoever asks in between finds nobody listening for a moment.
        until("the new one answers", || Ok(ask(&ns, "GET", "/v1/kv/some/key?raw", "").is_ok()))?;
        assert_eq!(ask(&ns, "GET", "/v1/kv/some/key?raw", "")?, "its value");
        until("its check passes", || Ok(status(&ns, "api-1")? == "passing"))?;
    }
    register(&ns, "api-2", 9002, TAGS)?;
    until("what comes later is routed", || Ok(visit(&ns)?.1 == "b"))?;
    Ok(())
}
