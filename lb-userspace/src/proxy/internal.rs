//! Services of lb's own that routers may name: `api@internal` and the like.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body_util::BodyExt;
use tokio::sync::mpsc;
use tower::ServiceExt;

use super::{
    Answer, Body, Exchange, Head, Reply,
    body::{BodyError, Frame, Source},
};
use crate::api::Daemon;

/// What internal services are made of.
#[derive(Clone)]
pub struct Internals {
    /// Where the API runs: its handlers may block, which a worker must not.
    pub runtime: tokio::runtime::Handle,
    /// The API with its dashboard.
    pub api: axum::Router,
    /// For metrics.
    pub daemon: Arc<dyn Daemon>,
}

/// One of them.
#[derive(Clone)]
pub(crate) enum Internal {
    /// `api@internal` and `dashboard@internal`.
    Api(Internals),
    /// `prometheus@internal`.
    Prometheus(Internals),
    /// `ping@internal`.
    Ping,
    /// `noop@internal`: for routers whose middlewares answer.
    Noop,
}

impl Internal {
    /// The service of this name, without its provider.
    pub(crate) fn of(name: &str, internals: Option<&Internals>) -> Option<Self> {
        match name {
            "api" | "dashboard" => internals.cloned().map(Self::Api),
            "prometheus" => internals.cloned().map(Self::Prometheus),
            "ping" => Some(Self::Ping),
            "noop" => Some(Self::Noop),
            _ => None,
        }
    }

    /// Answers.
    pub(crate) async fn answer(&self, exchange: &mut Exchange) {
        exchange.answer = match self {
            Self::Api(internals) => api(internals, exchange).await,
            Self::Prometheus(internals) => metrics(internals).await,
            Self::Ping => Reply::text(200, "ping", "OK").into(),
            Self::Noop => Reply::text(418, "noop", "no service").into(),
        };
    }
}

/// Longest body that the API takes.
const LONGEST: u64 = 1 << 20;

async fn api(internals: &Internals, exchange: &mut Exchange) -> Answer {
    let Ok((body, _)) = exchange.body.collect(LONGEST).await else {
        return Reply::text(413, "api_body_too_large", "the body is too large").into();
    };
    let request = http::Request::builder()
        .method(exchange.request.method())
        .uri(exchange.request.target())
        .header("host", exchange.request.text_of("host").unwrap_or_default())
        .header("last-event-id", exchange.request.text_of("last-event-id").unwrap_or_default())
        .header("content-type", exchange.request.text_of("content-type").unwrap_or_default())
        .body(axum::body::Body::from(body));
    let Ok(request) = request else {
        return Reply::text(400, "bad_request", "the request is malformed").into();
    };
    let router = internals.api.clone();
    let asked = internals.runtime.spawn(async move {
        let Ok(response) = router.oneshot(request).await;
        let (head, body) = response.into_parts();
        if head.headers.get(http::header::CONTENT_TYPE).is_some_and(|kind| kind == EVENTS) {
            return (head, streamed(body));
        }
        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        (head, Either::Whole(body))
    });
    match asked.await {
        Ok((parts, body)) => {
            let mut head = Head::response(parts.status.as_u16());
            for (name, value) in &parts.headers {
                if name != http::header::CONTENT_LENGTH {
                    head.add(name.as_str(), value.as_bytes());
                }
            }
            let body = match body {
                Either::Whole(bytes) => Body::Full(bytes),
                Either::Pieces(pieces) => Body::Stream(Box::new(Pieces(pieces))),
            };
            Answer { head, body, reason: Some("api") }
        }
        Err(_) => Reply::text(500, "api_failed", "the API failed").into(),
    }
}

/// The type of a stream of events, which ends with the daemon.
const EVENTS: &str = "text/event-stream";
/// Pieces of a stream that may wait for the client.
const WAITING: usize = 16;

/// A body on its way from the API's runtime to a worker.
enum Either {
    Whole(Bytes),
    Pieces(mpsc::Receiver<Bytes>),
}

/// Hands the body on piece by piece, until the client has gone.
fn streamed(mut body: axum::body::Body) -> Either {
    let (sender, pieces) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        loop {
            let frame = tokio::select! {
                () = sender.closed() => return,
                frame = body.frame() => frame,
            };
            let Some(Ok(frame)) = frame else { return };
            let Ok(bytes) = frame.into_data() else { continue };
            if sender.send(bytes).await.is_err() {
                return;
            }
        }
    });
    Either::Pieces(pieces)
}

struct Pieces(mpsc::Receiver<Bytes>);

impl Source for Pieces {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|bytes| Ok(Frame::Data(bytes))))
    }
}

async fn metrics(internals: &Internals) -> Answer {
    let daemon = Arc::clone(&internals.daemon);
    let rendered = internals.runtime.spawn_blocking(move || daemon.metrics()).await;
    match rendered {
        Ok(Ok(text)) => {
            let mut head = Head::response(200);
            head.add("Content-Type", "text/plain; version=0.0.4; charset=utf-8");
            Answer { head, body: Body::Full(text.into()), reason: Some("metrics") }
        }
        _ => Reply::text(503, "metrics_failed", "the metrics can't be read").into(),
    }
}
