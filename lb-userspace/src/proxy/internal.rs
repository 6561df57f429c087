//! Services of lb's own that routers may name: `api@internal` and the like.

use std::sync::Arc;

use http_body_util::BodyExt;
use tower::ServiceExt;

use super::{Answer, Body, Exchange, Head, Reply};
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
        .header("content-type", exchange.request.text_of("content-type").unwrap_or_default())
        .body(axum::body::Body::from(body));
    let Ok(request) = request else {
        return Reply::text(400, "bad_request", "the request is malformed").into();
    };
    let router = internals.api.clone();
    let asked = internals.runtime.spawn(async move {
        let Ok(response) = router.oneshot(request).await;
        let (head, body) = response.into_parts();
        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        (head, body)
    });
    match asked.await {
        Ok((parts, body)) => {
            let mut head = Head::response(parts.status.as_u16());
            for (name, value) in &parts.headers {
                if name != http::header::CONTENT_LENGTH {
                    head.add(name.as_str(), value.as_bytes());
                }
            }
            Answer { head, body: Body::Full(body), reason: Some("api") }
        }
        Err(_) => Reply::text(500, "api_failed", "the API failed").into(),
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
