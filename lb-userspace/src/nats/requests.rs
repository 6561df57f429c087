//! `lb.api.*` and `lb.NODE.api.*`: the admin API over NATS. The former are in one queue group, so
//! that one node answers; the latter are a node's own.

use std::sync::Arc;

use async_nats::{Client, HeaderMap, Message, jetstream::kv::Store};
use axum::{Router, body::Body};
use futures_util::StreamExt;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde::Deserialize;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{link::chain, runtime};
use crate::{
    api::{
        self, Daemon,
        types::{BackendChange, BackendRow, ErrorBody},
    },
    events::token,
};

/// The queue group of all nodes.
const GROUP: &str = "lb";
/// Requests that are answered at the same time.
const AT_ONCE: usize = 16;

/// Answers requests.
pub(super) struct Requests {
    router: Router,
    bucket: Store,
}

/// The body of a request; what it doesn't need must not stand there.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Asked {
    service: Option<String>,
    backend: Option<String>,
    drain: Option<bool>,
    #[serde(deserialize_with = "present")]
    weight: Option<Option<u16>>,
}

fn present<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Option<Option<u16>>, D::Error> {
    Option::<u16>::deserialize(d).map(Some)
}

impl Requests {
    pub(super) fn new(daemon: &Arc<dyn Daemon>, bucket: Store) -> Self {
        Self { router: api::public(Arc::clone(daemon)), bucket }
    }

    /// Answers until the connection breaks.
    pub(super) async fn run(&self, client: &Client, node: &str) -> Result<(), String> {
        let told = |e: async_nats::SubscribeError| format!("lb.api: {}", chain(&e));
        let shared = client.queue_subscribe("lb.api.*", GROUP.to_owned()).await.map_err(told)?;
        let own = format!("lb.{}.api.*", token(node));
        let own = client.subscribe(own).await.map_err(told)?;
        let answer = |message: Message| async move {
            let Some(reply) = message.reply.clone() else { return };
            let (headers, body) = self.answer(&message).await;
            // Who asked may have gone.
            let _gone = client.publish_with_headers(reply, headers, body.into()).await;
        };
        futures_util::stream::select(shared, own).for_each_concurrent(AT_ONCE, answer).await;
        Err("lb.api: the subscription ended".to_owned())
    }

    async fn answer(&self, message: &Message) -> (HeaderMap, Vec<u8>) {
        let verb = message.subject.rsplit('.').next().unwrap_or_default();
        let (status, body) = match self.done(verb, &message.payload).await {
            Ok(answer) => answer,
            Err(error) => {
                let status = match error.code.as_str() {
                    "not_found" => StatusCode::NOT_FOUND,
                    "unavailable" => StatusCode::SERVICE_UNAVAILABLE,
                    _ => StatusCode::BAD_REQUEST,
                };
                (status, serde_json::to_vec(&error).unwrap_or_default())
            }
        };
        let mut headers = HeaderMap::new();
        headers.insert("Content-Type", "application/json");
        if !status.is_success() {
            // As services of NATS's own framework say it, so that its tools show it.
            let error: ErrorBody = serde_json::from_slice(&body).unwrap_or_default();
            headers.insert("Nats-Service-Error-Code", status.as_str());
            headers.insert("Nats-Service-Error", error.message.replace(['\r', '\n'], " ").as_str());
        }
        (headers, body)
    }

    async fn done(&self, verb: &str, payload: &[u8]) -> Result<(StatusCode, Vec<u8>), ErrorBody> {
        let asked: Asked = match payload.trim_ascii().is_empty() {
            true => Asked::default(),
            false => serde_json::from_slice(payload).map_err(|e| refused(format!("body: {e}")))?,
        };
        match verb {
            "status" => Ok(self.ask(Method::GET, "/api/status", Value::Null).await),
            "backends" => {
                let of = asked.service.as_deref().map(api::encode);
                let query = of.map(|service| format!("?service={service}")).unwrap_or_default();
                let path = format!("/api/l4/backends{query}");
                Ok(self.ask(Method::GET, &path, Value::Null).await)
            }
            "drain" => {
                let drain = Some(asked.drain.unwrap_or(true));
                self.change(&asked, BackendChange { drain, weight: None }).await
            }
            "weight" => {
                let weight = asked.weight.ok_or_else(|| {
                    refused("body: \"weight\" is missing: 0 to 65535, or null".to_owned())
                })?;
                self.change(&asked, BackendChange { drain: None, weight: Some(weight) }).await
            }
            other => Err(ErrorBody {
                message: format!("no {other:?}: ask for status, backends, drain or weight"),
                code: "not_found".to_owned(),
                details: Vec::new(),
            }),
        }
    }

    /// Changes it here, then for all nodes.
    async fn change(
        &self,
        asked: &Asked,
        change: BackendChange,
    ) -> Result<(StatusCode, Vec<u8>), ErrorBody> {
        let (Some(service), Some(backend)) = (&asked.service, &asked.backend) else {
            return Err(refused("body: expected \"service\" and \"backend\"".to_owned()));
        };
        let path = format!("/api/backends/{}/{}", api::encode(service), api::encode(backend));
        let (status, body) = self.ask(Method::PUT, &path, json!(change)).await;
        if !status.is_success() {
            return Ok((status, body));
        }
        let rows: Vec<BackendRow> = serde_json::from_slice(&body).unwrap_or_default();
        for row in &rows {
            runtime::put(&self.bucket, row, change).await.map_err(|why| ErrorBody {
                message: format!("done on this node, but the others can't be told: {why}"),
                code: "unavailable".to_owned(),
                details: Vec::new(),
            })?;
        }
        Ok((status, body))
    }

    /// Asks the API as any client does.
    async fn ask(&self, method: Method, path: &str, body: Value) -> (StatusCode, Vec<u8>) {
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        let request = Request::builder().method(method).uri(path).body(body);
        let Ok(request) = request else { return (StatusCode::BAD_REQUEST, Vec::new()) };
        let Ok(response) = self.router.clone().oneshot(request).await;
        let status = response.status();
        let body = response.into_body().collect().await.map(|body| body.to_bytes());
        (status, body.unwrap_or_default().to_vec())
    }
}

fn refused(message: String) -> ErrorBody {
    ErrorBody { message, code: "bad_request".to_owned(), details: Vec::new() }
}
