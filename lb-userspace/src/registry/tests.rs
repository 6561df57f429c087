//! The API over its router, and the log, without a daemon around them.

mod answers;
mod on_disk;

use std::{net::SocketAddr, sync::Arc};

use axum::{
    body::Body,
    extract::ConnectInfo,
    http::{HeaderMap, Request},
};
use http_body_util::BodyExt;
use tempfile::TempDir;
use tokio::sync::watch;
use tower::ServiceExt;

use super::{
    api::{self, Node},
    checks::{Checks, Reports},
    hub::Hub,
};

/// A registry in a folder of its own, without sockets.
struct Bench {
    folder: TempDir,
    hub: Arc<Hub>,
    router: axum::Router,
    _ending: watch::Sender<bool>,
}

/// An answer.
#[derive(Debug)]
struct Got {
    status: u16,
    headers: HeaderMap,
    body: String,
}

impl Got {
    fn index(&self) -> u64 {
        self.headers["x-consul-index"].to_str().unwrap().parse().unwrap()
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

impl Bench {
    fn new() -> Self {
        Self::on(tempfile::tempdir().unwrap(), false)
    }

    fn on(folder: TempDir, scripts: bool) -> Self {
        let (hub, _notices) = Hub::open(&folder.path().join("registry.log")).unwrap();
        let hub = Arc::new(hub);
        let reports = Arc::<Reports>::default();
        let node = Node {
            name: "host".into(),
            address: "127.0.0.1".into(),
            id: "0".into(),
            datacenter: "dc1".into(),
        };
        let (ending, ended) = watch::channel(false);
        let hub_too = hub.clone();
        let checks = Checks::new(hub.clone(), Arc::default(), reports.clone());
        tokio::spawn(checks.run());
        let registry = api::Registry { hub: hub_too, reports, node, scripts, ended };
        Self { folder, hub, router: api::router(Arc::new(registry)), _ending: ending }
    }

    /// Sends one request, from 10.9.9.9.
    async fn ask(&self, method: &str, path: &str, body: &str) -> Got {
        let mut request =
            Request::builder().method(method).uri(path).body(Body::from(body.to_owned())).unwrap();
        let from: SocketAddr = "10.9.9.9:4000".parse().unwrap();
        request.extensions_mut().insert(ConnectInfo(from));
        let answer = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = answer.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let body = String::from_utf8_lossy(&body).into_owned();
        Got { status: head.status.as_u16(), headers: head.headers, body }
    }

    async fn put(&self, path: &str, body: &str) {
        let got = self.ask("PUT", path, body).await;
        assert_eq!(got.status, 200, "{path}: {got:?}");
    }

    async fn get(&self, path: &str) -> Got {
        self.ask("GET", path, "").await
    }

    /// Registers a service with a check that waits for reports.
    async fn service(&self, name: &str, id: &str, more: &str) {
        let body = format!(r#"{{"Name":"{name}","ID":"{id}","Port":80{more}}}"#);
        self.put("/v1/agent/service/register", &body).await;
    }
}
