//! What these tests share: configurations, the API over its unix socket, and
//! `lb` without a daemon.

use std::{
    io::{Read, Write},
    net::SocketAddr,
    os::unix::net::UnixStream,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use lb_tests::{
    Daemon, Lab, Namespace, Shape,
    daemon::{Outcome, binary},
    server::{TcpServer, echo},
};
use serde_json::Value;

/// Bound of patience; never what a test asserts.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// Services that no router names: nothing is loaded into the kernel.
pub(super) const QUIET: &str = r#"
tcp:
  services:
    pg:
      loadBalancer:
        servers: [ { address: "10.0.1.11:5432", weight: 3 }, { address: "10.0.1.12:5432" } ]
    dns: { loadBalancer: { servers: [ { address: "10.0.1.11:53" } ] } }
udp:
  services:
    dns: { loadBalancer: { servers: [ { address: "10.0.1.11:53" } ] } }
"#;

/// What makes the kernel path small and quick to load, on the lab's interfaces.
pub(super) const DATAPATH: &str =
    "datapath: { interfaces: [eth0, eth1], connections: 8192, backends: 256 }\n";

/// The routers that `lb routers` lists, and whether they are on.
pub(super) fn states(daemon: &Daemon) -> Result<Vec<(String, bool)>> {
    let rows = daemon.json(&["routers"])?;
    let rows = rows.as_array().context("rows")?.iter();
    rows.map(|row| {
        let name = row["router"].as_str().context("a name")?;
        let is_on = match row["state"].as_str() {
            Some("enabled") => true,
            Some("disabled") => false,
            other => bail!("{name}: state {other:?}"),
        };
        Ok((name.to_owned(), is_on))
    })
    .collect()
}

/// The lab's two backends behind `198.51.100.10:5432`, taking turns, unchecked.
pub(super) fn pg() -> String {
    turns("198.51.100.10:5432", &["10.0.1.11:5432", "10.0.1.12:5432"])
}

/// Service `pg` of these servers behind this entry point.
pub(super) fn turns(vip: &str, servers: &[&str]) -> String {
    let servers: Vec<String> =
        servers.iter().map(|server| format!("{{ address: \"{server}\" }}")).collect();
    format!(
        r#"{DATAPATH}
entryPoints:
  pg: {{ address: "{vip}" }}
tcp:
  routers:
    pg: {{ entryPoints: [pg], rule: "HostSNI(`*`)", service: pg }}
  services:
    pg:
      loadBalancer:
        algorithm: roundRobin
        servers: [ {} ]
"#,
        servers.join(", ")
    )
}

/// A lab of two backends, each with an echo server at port 5432.
pub(super) fn lab() -> Result<(Lab, Vec<TcpServer>)> {
    let lab = Lab::new(Shape { backends: 2, ..Shape::default() })?;
    let servers =
        lab.backends.iter().map(|host| echo::start(&host.ns, host.at(5432), &host.name)).collect();
    let servers = Result::from_iter::<Vec<Result<TcpServer>>>(servers)?;
    Ok((lab, servers))
}

/// Starts a daemon and waits until the lab's backends can be reached: before that one of them
/// isn't chosen while others are.
pub(super) fn start<'a>(lab: &'a Lab, config: &str) -> Result<Daemon<'a>> {
    let daemon = Daemon::start(&lab.lb, config)?;
    daemon.wait_for("every backend is reached", PATIENCE, |daemon| {
        let rows = daemon.json(&["backends"])?;
        Ok(rows.as_array().context("rows")?.iter().all(|row| row["obstacle"].is_null()))
    })?;
    Ok(daemon)
}

/// A daemon of [`QUIET`] with more lines before it, in a namespace of its own.
pub(super) fn quiet<'a>(ns: &'a Namespace, more: &str) -> Result<Daemon<'a>> {
    Daemon::start(ns, &format!("{more}{QUIET}"))
}

/// `lb <args>` without an instance.
pub(super) fn lb(args: &[&str]) -> Result<Outcome> {
    let output = Command::new(binary()).args(args).stdin(Stdio::null()).output()?;
    Ok(Outcome {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// An answer of the API.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(super) status: u16,
    /// Status line and headers.
    pub(super) head: String,
    pub(super) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.body).with_context(|| format!("no JSON: {self:?}"))
    }

    /// The message of an error's body.
    pub(super) fn message(&self) -> Result<String> {
        let body = self.json()?;
        Ok(body["message"].as_str().with_context(|| format!("no message: {self:?}"))?.to_owned())
    }
}

/// One request over the instance's unix socket.
pub(crate) fn ask(daemon: &Daemon<'_>, method: &str, path: &str, body: &str) -> Result<Answer> {
    exchange(UnixStream::connect(daemon.socket())?, method, path, body)
}

/// `GET path` over the unix socket, which must answer 200 and JSON.
pub(super) fn get(daemon: &Daemon<'_>, path: &str) -> Result<Value> {
    let answer = ask(daemon, "GET", path, "")?;
    ensure!(answer.status == 200, "{path}: {answer:?}");
    answer.json()
}

/// `GET path` over TCP, from inside `ns`.
pub(super) fn get_tcp(ns: &Namespace, address: SocketAddr, path: &str) -> Result<Answer> {
    ns.run(|| exchange(std::net::TcpStream::connect_timeout(&address, PATIENCE)?, "GET", path, ""))
}

fn exchange(mut stream: impl Read + Write, method: &str, path: &str, body: &str) -> Result<Answer> {
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: lb\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let (head, body) = text.split_once("\r\n\r\n").with_context(|| format!("{path}: {text:?}"))?;
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
    Ok(Answer {
        status: status.with_context(|| format!("no status in {head:?}"))?,
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    })
}

/// The row of `lb backends` whose address or server is `backend`.
pub(super) fn row(daemon: &Daemon<'_>, backend: &str) -> Result<Value> {
    let rows = daemon.json(&["backends"])?;
    let rows = rows.as_array().context("rows")?;
    let named = |row: &&Value| row["address"] == backend || row["server"] == backend;
    rows.iter().find(named).cloned().with_context(|| format!("no {backend} in {rows:?}"))
}

/// Waits until a field of [`row`] is `value`.
pub(super) fn wait_row(daemon: &Daemon<'_>, backend: &str, field: &str, value: &str) -> Result<()> {
    daemon.wait_for(&format!("{backend} {field} {value}"), PATIENCE, |daemon| {
        Ok(row(daemon, backend).is_ok_and(|row| row[field] == value))
    })
}

/// Waits until the log holds `part`.
pub(super) fn wait_log(daemon: &Daemon<'_>, part: &str) -> Result<()> {
    daemon.wait_for(part, PATIENCE, |daemon| Ok(daemon.log().contains(part)))
}

/// Writes a file as an editor does: a new one, renamed into place.
pub(super) fn put(path: &Path, text: &str) -> Result<()> {
    let new = path.with_extension("being-written");
    std::fs::write(&new, text)?;
    std::fs::rename(new, path)?;
    Ok(())
}

/// Faults that `lb status` shows.
pub(super) fn faults(daemon: &Daemon<'_>) -> Result<Vec<String>> {
    Ok(serde_json::from_value(daemon.json(&["status"])?["faults"].clone())?)
}
