//! What these tests share.

use std::{net::SocketAddr, time::Duration};

use anyhow::Result;
use lb_tests::{
    Daemon, Docker, Namespace,
    client::http1::{Answer, Connection},
};
use serde_json::Value;

/// Bound of patience; never what a test asserts.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// A configuration for the containers that are labelled `test=NAME`, web at a port of its own.
pub(super) fn config(docker: &Docker, name: &str, port: u16, more: &str) -> String {
    format!(
        "entryPoints: {{ web: {{ address: \"127.0.0.1:{port}\" }} }}\n\
         providers:\n  docker:\n    endpoint: \"{}\"\n    constraints: \"Label(`test`, `{name}`)\"\n{more}",
        docker.endpoint()
    )
}

/// A request of a connection of its own.
pub(super) fn get(ns: &Namespace, port: u16, host: &str, path: &str) -> Result<Answer> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    ns.run(|| Connection::open(address)?.get(path, &[("Host", host), ("Connection", "close")]))
}

/// Waits until a host is answered by this text.
pub(super) fn wait_text(
    daemon: &Daemon<'_>,
    docker: &Docker,
    port: u16,
    host: &str,
    text: &str,
) -> Result<()> {
    daemon.wait_for(&format!("{host} says {text}"), PATIENCE, |_| {
        Ok(get(&docker.ns, port, host, "/")?.text() == text)
    })
}

/// Waits until a host is answered with this status.
pub(super) fn wait_status(
    daemon: &Daemon<'_>,
    docker: &Docker,
    port: u16,
    host: &str,
    status: u16,
) -> Result<()> {
    daemon.wait_for(&format!("{host} answers {status}"), PATIENCE, |_| {
        Ok(get(&docker.ns, port, host, "/")?.status == status)
    })
}

/// The provider of this name as `lb status` shows it.
pub(super) fn provider(daemon: &Daemon<'_>, name: &str) -> Result<Value> {
    let status = daemon.json(&["status"])?;
    let all = status["providers"].as_array().cloned().unwrap_or_default();
    Ok(all.into_iter().find(|one| one["name"] == name).unwrap_or_default())
}

/// Why an instance serves nothing: reason and detail; `None` where it isn't skipped.
pub(super) fn skipped(daemon: &Daemon<'_>, name: &str) -> Result<Option<(String, String)>> {
    let provider = provider(daemon, "docker")?;
    let all = provider["skipped"].as_array().cloned().unwrap_or_default();
    let origin = format!("docker container {name:?}");
    let found = all.into_iter().find(|one| one["instance"] == origin.as_str());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Ok(found.map(|one| (text(&one["reason"]), text(&one["detail"]))))
}

/// How many backends of a service take new connections.
pub(super) fn takes_new(daemon: &Daemon<'_>, service: &str) -> Result<usize> {
    let rows = daemon.json(&["backends"])?;
    let is_in = |row: &&Value| {
        let leaving = row["state"].as_str().is_some_and(|state| state.contains("leaving"));
        row["service"] == service && row["weight"] != 0 && !leaving
    };
    Ok(rows.as_array().into_iter().flatten().filter(is_in).count())
}
