//! What these tests share: lines of a shell, agents that are asked over HTTP, and waiting.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use lb_tests::{Namespace, client::http1::Connection};
use serde_json::{Value, json};

/// Bound of patience; never what a test asserts.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Of Consul's API, the real one's or the registry's.
pub(crate) const AGENT: &str = "127.0.0.1:8500";
/// The entry point `web`.
pub(crate) const WEB: &str = "127.0.0.1:8080";

/// Runs lines of bash inside `ns`, where `consul` is this host; what they print.
pub(crate) fn bash(ns: &Namespace, lines: &str) -> Result<String> {
    let folder = tempfile::tempdir()?;
    let rc = "silent\nshow-error\nresolve = consul:8500:127.0.0.1\nresolve = consul-server:8500:127.0.0.1\n";
    std::fs::write(folder.path().join(".curlrc"), rc)?;
    let mut command = Command::new("bash");
    command.args(["-ec", lines]).env("CURL_HOME", folder.path()).env("HOME", folder.path());
    let output = ns.run(|| command.output())?;
    let (out, err) = (output.stdout, String::from_utf8_lossy(&output.stderr).into_owned());
    ensure!(output.status.success(), "{lines}: {}{err}", output.status);
    Ok(String::from_utf8(out)?)
}

/// Asks an agent.
pub(crate) fn ask(ns: &Namespace, method: &str, path: &str, body: &str) -> Result<String> {
    let body = body.replace('\'', "'\\''");
    bash(ns, &format!("curl -f -X {method} 'http://{AGENT}{path}' -d '{body}'"))
}

/// Asks an agent for JSON.
pub(crate) fn get(ns: &Namespace, path: &str) -> Result<Value> {
    let text = bash(ns, &format!("curl 'http://{AGENT}{path}'"))?;
    serde_json::from_str(&text).with_context(|| format!("{path}: {text}"))
}

/// Registers an instance of `api`, checked often by `GET /health`.
pub(crate) fn register(ns: &Namespace, id: &str, port: u16, tags: &[&str]) -> Result<()> {
    let health = format!("http://127.0.0.1:{port}/health");
    let body = json!({
        "ID": id, "Name": "api", "Address": "127.0.0.1", "Port": port, "Tags": tags,
        "Check": { "HTTP": health, "Interval": "100ms", "Timeout": "1s" },
    });
    ask(ns, "PUT", "/v1/agent/service/register", &body.to_string()).map(drop)
}

/// What `GET /` answers at the entry point: status and body.
pub(crate) fn visit(ns: &Namespace) -> Result<(u16, String)> {
    let mut connection = ns.run(|| Connection::open(WEB.parse()?))?;
    let headers = [("Host", "api.example.com"), ("Connection", "close")];
    Ok(connection.get("/", &headers)?.brief())
}

/// Waits until it is so; how long that took.
pub(crate) fn until(what: &str, mut is: impl FnMut() -> Result<bool>) -> Result<Duration> {
    let begun = Instant::now();
    while !is()? {
        ensure!(begun.elapsed() < PATIENCE, "not so after {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(begun.elapsed())
}
