//! `mode: grpc` against a real HTTP/2 server.

use std::{convert::Infallible, net::SocketAddr};

use http_body_util::{BodyExt, Full, StreamBody};
use hyper::{
    Request, Response,
    body::{Bytes, Frame, Incoming},
    server::conn::http2,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;

use super::{Host, Target, check, http, probe};
use crate::model::{CheckKind, Scheme};

fn grpc() -> CheckKind {
    CheckKind::Grpc { tls: None, hostname: None, headers: vec![("x-from".into(), "lb".into())] }
}

type Answer = Response<http_body_util::combinators::BoxBody<Bytes, Infallible>>;

/// `body`, then trailers with this `grpc-status`.
fn answer(body: &'static [u8], status: &'static str) -> Answer {
    let mut trailers = hyper::HeaderMap::new();
    trailers.insert("grpc-status", status.parse().unwrap());
    let frames = [Frame::data(Bytes::from_static(body)), Frame::trailers(trailers)];
    let frames = futures_util::stream::iter(frames.map(Ok::<_, Infallible>));
    Response::new(BodyExt::boxed(StreamBody::new(frames)))
}

/// An answer without a body, as errors have it.
fn head_alone(status: &'static str, message: &'static str) -> Answer {
    let response = Response::builder().header("grpc-status", status);
    let response = response.header("grpc-message", message);
    response.body(BodyExt::boxed(Full::new(Bytes::new()))).unwrap()
}

/// A server that answers each call so, once it has looked at it.
async fn server(answer: fn() -> Answer) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service_fn(move |request: Request<Incoming>| async move {
                assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
                assert_eq!(request.headers()["content-type"], "application/grpc");
                assert_eq!(request.headers()["te"], "trailers");
                assert_eq!(request.headers()["x-from"], "lb");
                let body = request.into_body().collect().await.unwrap().to_bytes();
                assert_eq!(&body[..], [0, 0, 0, 0, 0]);
                Ok::<_, Infallible>(answer())
            });
            let serving = http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service);
            tokio::spawn(serving);
        }
    });
    address
}

macro_rules! judged {
    ($($name:ident: $answer:expr => $outcome:expr;)+) => {
        $(#[tokio::test]
        async fn $name() {
            let address = server(|| $answer).await;
            let outcome: Result<&str, &str> = $outcome;
            let found = check(&grpc(), "127.0.0.1", address).await;
            assert_eq!(found.as_deref().map_err(String::as_str), outcome);
        })+
    };
}

judged! {
    serving_passes: answer(&[0, 0, 0, 0, 2, 8, 1], "0") => Ok("SERVING");
    not_serving_fails: answer(&[0, 0, 0, 0, 2, 8, 2], "0") => Err("NOT_SERVING");
    unknown_fails: answer(&[0, 0, 0, 0, 0], "0") => Err("serving status 0, wanted SERVING");
    an_unknown_service_fails: answer(&[0, 0, 0, 0, 2, 8, 3], "0") => Err("SERVICE_UNKNOWN");
    an_error_of_grpc_fails: head_alone("14", "too busy") => Err("grpc-status 14: too busy");
    an_error_in_the_trailers_fails: answer(&[], "2") => Err("grpc-status 2");
    no_health_service_fails: head_alone("12", "") =>
        Err("the server has no grpc.health.v1.Health (grpc-status 12)");
    a_page_is_no_answer: Response::new(BodyExt::boxed(Full::new(Bytes::from_static(b"hello")))) =>
        Err("not an answer of gRPC: HTTP status 200, no grpc-status");
    garbage_is_no_answer: answer(b"hello", "0") =>
        Err("not an answer of gRPC: its message can't be read");
}

#[tokio::test]
async fn nobody_there_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let found = check(&grpc(), "127.0.0.1", address).await;
    assert_eq!(found.as_deref().map_err(String::as_str), Err("connection refused"));
}

#[tokio::test]
async fn a_server_of_h2c_is_asked_by_http2() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let service = service_fn(|request: Request<Incoming>| async move {
            assert_eq!(request.version(), hyper::Version::HTTP_2);
            assert_eq!(request.uri().path(), "/healthz");
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"ok"))))
        });
        let builder = http2::Builder::new(TokioExecutor::new());
        builder.serve_connection(TokioIo::new(stream), service).await.unwrap();
    });
    let CheckKind::Http { method, tls, hostname, headers, status, follow_redirects, .. } = http()
    else {
        unreachable!("it is one of HTTP");
    };
    let path = "/healthz".to_owned();
    let kind = CheckKind::Http { method, path, tls, hostname, headers, status, follow_redirects };
    let here = Host { ports: Default::default(), tls: Default::default() };
    let target = Target { address, host: "127.0.0.1".to_owned(), scheme: Scheme::H2c };
    let found = probe::of(&kind, &target).check(&target, &here).await;
    assert_eq!(found.map_err(|failure| failure.to_string()).as_deref(), Ok("200 OK"));
}
