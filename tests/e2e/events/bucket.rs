//! `providers.nats`: configuration and instances in a bucket of the real server.

use std::time::Duration;

use anyhow::{Result, ensure};
use async_nats::jetstream::{self, kv::Store};
use lb_tests::{Daemon, Namespace};
use serde_json::Value;

use super::kit::{Nats, PATIENCE};

const PROVIDER: &str = "providers: { nats: { servers: \"nats://127.0.0.1:4222\", bucket: lb, rootKey: edge } }\n\
     entryPoints: { web: { address: \"127.0.0.1:8080\" } }\n";

/// The bucket that daemons make.
pub(super) async fn bucket(client: async_nats::Client) -> Result<Store> {
    let context = jetstream::new(client);
    loop {
        match context.get_key_value("lb").await {
            Ok(store) => return Ok(store),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// Puts keys; an empty value deletes.
fn put(nats: &Nats<'_>, entries: &[(&str, &str)]) -> Result<()> {
    nats.client(async |client| {
        let store = bucket(client).await?;
        for (key, value) in entries {
            while let Err(error) = write(&store, key, value).await {
                // A server that has just begun knows its streams before it takes messages for them.
                ensure!(error.to_string().contains("no stream found"), "{key}: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        Ok(())
    })
}

async fn write(store: &Store, key: &str, value: &str) -> Result<()> {
    match value.is_empty() {
        true => store.delete(key).await?,
        false => drop(store.put(key, value.to_owned().into()).await?),
    }
    Ok(())
}

/// The servers of `api@nats` that take new connections.
fn servers(daemon: &Daemon<'_>) -> Result<Vec<String>> {
    let outcome = daemon.cli(&["backends", "api@nats", "-o", "json"])?;
    let rows: Value = serde_json::from_str(&outcome.stdout).unwrap_or_default();
    let rows = rows.as_array().cloned().unwrap_or_default();
    let up = rows.iter().filter(|row| row["weight"] != 0);
    Ok(up.filter_map(|row| row["address"].as_str().map(str::to_owned)).collect())
}

fn wait(daemon: &Daemon<'_>, wanted: &[&str]) -> Result<()> {
    daemon.wait_for(&format!("servers {wanted:?}"), PATIENCE, |d| Ok(servers(d)? == wanted))
}

#[test]
fn keys_and_instances_are_followed_and_an_outage_is_caught_up_on() -> Result<()> {
    let ns = Namespace::new("bucket")?;
    let mut nats = Nats::start(&ns)?;
    let mut daemon = Daemon::start(&ns, PROVIDER)?;
    put(
        &nats,
        &[
            ("edge/http/routers/api/rule", "PathPrefix(`/api`)"),
            ("edge/http/routers/api/service", "api"),
            ("edge/services/api/1", r#"{"address":"10.0.0.1:80","weight":2}"#),
            ("edge/services/api/2", r#"{"address":"10.0.0.2:80"}"#),
            ("elsewhere/services/api/3", r#"{"address":"10.0.0.3:80"}"#),
        ],
    )?;
    wait(&daemon, &["10.0.0.1:80", "10.0.0.2:80"])?;
    let explained = daemon.ok(&["explain", "http", "GET", "http://x.example:8080/api/a"])?;
    assert!(explained.contains("api@nats"), "{explained}");
    put(&nats, &[("edge/services/api/1", "")])?;
    wait(&daemon, &["10.0.0.2:80"])?;

    nats.kill()?;
    daemon.wait_for("the outage is seen", PATIENCE, |daemon| {
        Ok(daemon.json(&["status"])?["providers"].to_string().contains("lastError"))
    })?;
    assert_eq!(servers(&daemon)?, ["10.0.0.2:80"], "the last good state stays");
    // A restart while NATS is away serves what was known.
    assert!(daemon.terminate()?.success());
    daemon.run(&[])?;
    wait(&daemon, &["10.0.0.2:80"])?;
    nats.run()?;
    put(&nats, &[("edge/services/api/4", r#"{"address":"10.0.0.4:80"}"#)])?;
    wait(&daemon, &["10.0.0.2:80", "10.0.0.4:80"])
}

#[test]
fn what_makes_no_sense_takes_nothing_else_away() -> Result<()> {
    let ns = Namespace::new("bucket")?;
    let nats = Nats::start(&ns)?;
    let daemon = Daemon::start(&ns, PROVIDER)?;
    put(&nats, &[("edge/services/api/1", r#"{"address":"10.0.0.1:80"}"#)])?;
    wait(&daemon, &["10.0.0.1:80"])?;
    put(&nats, &[("edge/services/api/2", "garbage"), ("edge/http/routers/x/rul", "y")])?;
    daemon.wait_for("the fault is told", PATIENCE, |daemon| {
        Ok(daemon.json(&["status"])?["faults"].to_string().contains("routers/x/rul"))
    })?;
    assert_eq!(servers(&daemon)?, ["10.0.0.1:80"]);
    put(&nats, &[("edge/http/routers/x/rul", "")])?;
    daemon.wait_for("the instance is listed as skipped", PATIENCE, |daemon| {
        let status = daemon.json(&["status"])?;
        let is_sound = !status["faults"].to_string().contains("routers/x/rul");
        Ok(is_sound && status["providers"].to_string().contains("api/2"))
    })?;
    wait(&daemon, &["10.0.0.1:80"])
}

#[test]
fn instances_that_are_not_renewed_go() -> Result<()> {
    let ns = Namespace::new("bucket")?;
    let nats = Nats::start(&ns)?;
    let daemon = Daemon::start(&ns, PROVIDER)?;
    let short = r#"{"address":"10.0.0.1:80","ttl":"1s"}"#;
    put(&nats, &[("edge/services/api/2", r#"{"address":"10.0.0.2:80"}"#)])?;
    wait(&daemon, &["10.0.0.2:80"])?;
    // Renewed for longer than it lasts.
    for _ in 0..15 {
        put(&nats, &[("edge/services/api/1", short)])?;
        std::thread::sleep(Duration::from_millis(100));
    }
    wait(&daemon, &["10.0.0.1:80", "10.0.0.2:80"])?;
    wait(&daemon, &["10.0.0.2:80"])?;
    // A daemon that comes later doesn't find it either.
    let later = Daemon::start(&ns, &PROVIDER.replace("8080", "8081"))?;
    wait(&later, &["10.0.0.2:80"])
}
