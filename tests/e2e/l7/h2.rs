//! HTTP/2 from clients: by ALPN, and in the clear by prior knowledge.

use std::{
    collections::VecDeque,
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use anyhow::{Result, ensure};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::{
    HeaderMap, Request,
    body::{Body, Frame},
    client::conn::http2::{SendRequest, handshake},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use lb_tests::{Daemon, daemon::binary, pattern};
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use super::{
    certs::{Cert, client},
    kit::{WEB, World, app, local, service},
};

/// A body of frames.
struct Frames(VecDeque<Frame<Bytes>>);

impl Frames {
    fn new(data: &[u8]) -> Self {
        let pieces = data.chunks(10_000).map(|piece| Frame::data(Bytes::copy_from_slice(piece)));
        Self(pieces.collect())
    }

    /// A body with trailers behind it, as gRPC has them.
    fn with_trailer(data: &[u8], name: &'static str, value: &'static str) -> Self {
        let mut frames = Self::new(data);
        let mut trailers = HeaderMap::new();
        trailers.insert(name, value.parse().expect("a value"));
        frames.0.push_back(Frame::trailers(trailers));
        frames
    }
}

impl Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }
}

type Sender = SendRequest<Frames>;

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
    trailers: Option<HeaderMap>,
}

/// Runs a client inside the world's namespace.
fn inside<T: Send>(world: &World, work: impl Future<Output = Result<T>> + Send) -> Result<T> {
    world.ns.run(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(work)
    })
}

/// Shakes hands over a stream; the connection goes on by itself.
async fn over(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<Sender> {
    let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    // How it ends is seen by the requests.
    tokio::spawn(async move { drop(connection.await) });
    Ok(sender)
}

async fn ask(sender: &mut Sender, method: &str, path: &str, body: Frames) -> Result<Answer> {
    sender.ready().await?;
    let uri = format!("http://lb.example{path}");
    let request = Request::builder().method(method).uri(uri).header("te", "trailers").body(body)?;
    let (head, body) = sender.send_request(request).await?.into_parts();
    let body = body.collect().await?;
    let trailers = body.trailers().cloned();
    let (status, headers) = (head.status.as_u16(), head.headers);
    Ok(Answer { status, headers, body: body.to_bytes(), trailers })
}

async fn get(sender: &mut Sender, path: &str) -> Result<Answer> {
    ask(sender, "GET", path, Frames::new(b"")).await
}

#[test]
fn by_prior_knowledge() -> Result<()> {
    let world = World::new(1)?;
    let _daemon = world.start(&app(&[0], ""))?;
    inside(&world, async {
        let mut sender = over(TcpStream::connect(WEB).await?).await?;
        for _ in 0..20 {
            let answer = get(&mut sender, "/").await?;
            assert_eq!((answer.status, &answer.body[..]), (200, &b"a\n"[..]));
            assert!(!answer.headers.contains_key("connection"), "{:?}", answer.headers);
        }
        let seen = get(&mut sender, "/head?q").await?;
        let seen = String::from_utf8_lossy(&seen.body).to_ascii_lowercase();
        ensure!(seen.starts_with("get /head?q http/1.1\r\n"), "{seen}");
        ensure!(seen.contains("host: lb.example\r\n"), "{seen}");
        ensure!(seen.contains("x-forwarded-proto: http\r\n"), "{seen}");
        let answer = ask(&mut sender, "HEAD", "/big/5000", Frames::new(b"")).await?;
        assert_eq!((answer.status, answer.body.len()), (200, 0));
        assert_eq!(answer.headers["content-length"], "5000");
        assert_eq!(get(&mut sender, "/die").await?.status, 502);
        Ok(())
    })
}

#[test]
fn bodies_and_trailers_both_ways() -> Result<()> {
    let world = World::new(1)?;
    let _daemon = world.start(&app(&[0], ""))?;
    inside(&world, async {
        let mut sender = over(TcpStream::connect(WEB).await?).await?;
        let body = pattern::bytes(5_000_000, 5_000_000);
        let answer = ask(&mut sender, "POST", "/sink/5000000", Frames::new(&body)).await?;
        assert_eq!(&answer.body[..], b"same\n");
        for path in ["/big/5000000", "/chunks/5000000"] {
            let answer = get(&mut sender, path).await?;
            assert_eq!(pattern::first_difference(&answer.body, &body), None, "{path}");
        }
        let frames = Frames::with_trailer(b"\0\0\0\0\x05hello", "grpc-status", "0");
        let answer = ask(&mut sender, "POST", "/echo", frames).await?;
        assert_eq!(&answer.body[..], b"\0\0\0\0\x05hello");
        let trailers = answer.trailers.unwrap_or_default();
        assert_eq!(trailers.get("grpc-status").map(|value| value.as_bytes()), Some(&b"0"[..]));
        Ok(())
    })
}

#[test]
fn many_streams_at_once() -> Result<()> {
    let world = World::new(2)?;
    let _daemon = world.start(&app(&[0, 1], ""))?;
    inside(&world, async {
        let sender = over(TcpStream::connect(WEB).await?).await?;
        let asked: Vec<_> = (0..100u64)
            .map(|n| {
                let mut sender = sender.clone();
                tokio::spawn(async move {
                    let size = 1000 + n;
                    (size, get(&mut sender, &format!("/big/{size}")).await)
                })
            })
            .collect();
        for task in asked {
            let (size, answer) = task.await?;
            let wanted = pattern::bytes(size as usize, size);
            assert_eq!(pattern::first_difference(&answer?.body, &wanted), None, "{size}");
        }
        Ok(())
    })
}

#[test]
fn by_alpn() -> Result<()> {
    let world = World::new(1)?;
    let text = format!(
        "entryPoints:\n  websecure: {{ address: \"127.0.0.1:8443\" }}\nhttp:\n  routers:\n    all: {{ rule: \"Host(`lb.example`)\", service: app, tls: true }}\n  services:\n{}tls: {{ certificates: [ {{ certFile: lb.crt, keyFile: lb.key }} ] }}\n",
        service("app", &[0], "")
    );
    let mut daemon = Daemon::prepare(&world.ns, &binary(), &text)?;
    let cert = Cert::new("lb.example")?;
    cert.write(daemon.folder(), "lb")?;
    daemon.run(&[])?;
    let config = client(&[&cert], None, &["h2", "http/1.1"])?;
    inside(&world, async move {
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let tcp = TcpStream::connect(local(8443)).await?;
        let stream = connector.connect(ServerName::try_from("lb.example")?, tcp).await?;
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let mut sender = over(stream).await?;
        let seen = get(&mut sender, "/head").await?;
        let seen = String::from_utf8_lossy(&seen.body).to_ascii_lowercase();
        ensure!(seen.contains("x-forwarded-proto: https\r\n"), "{seen}");
        Ok(())
    })
}

/// GOAWAY: what runs is finished, nothing new begins.
#[test]
fn the_end_lets_streams_finish() -> Result<()> {
    let world = World::new(1)?;
    let mut daemon = world.start(&app(&[0], ""))?;
    inside(&world, async {
        let mut sender = over(TcpStream::connect(WEB).await?).await?;
        assert_eq!(get(&mut sender, "/").await?.status, 200);
        let mut slow = sender.clone();
        let running = tokio::spawn(async move { get(&mut slow, "/slow/1500").await });
        while world.origins[0].requests() < 2 {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        daemon.signal(nix::sys::signal::Signal::SIGTERM)?;
        assert_eq!(running.await??.status, 200);
        Ok(())
    })?;
    assert_eq!(daemon.wait()?.code(), Some(0));
    Ok(())
}
