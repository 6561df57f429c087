//! A real Consul: its services and its keys, and what stays while it is away.

use std::{
    fs::File,
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use lb_tests::{Daemon, Namespace, engine, server::Origin};
use nix::{sys::signal::Signal, unistd::Pid};
use tempfile::TempDir;

use super::agent::{ask, bash, get, register, until, visit};

/// A server with its data in a folder, so that it may be killed and started again.
pub(crate) struct Consul<'a> {
    ns: &'a Namespace,
    folder: TempDir,
    host: &'a str,
    args: Vec<String>,
    /// Asks whether it has a leader; prints a status.
    probe: String,
    child: Option<Child>,
}

impl<'a> Consul<'a> {
    /// Starts one and waits for its leader.
    pub(crate) fn start(ns: &'a Namespace) -> Result<Self> {
        Self::with(ns, "127.0.0.1", &[], "")
    }

    /// At this address, with more arguments; `curl` is what its probe asks with beside the usual.
    pub(super) fn with(
        ns: &'a Namespace,
        host: &'a str,
        args: &[&str],
        curl: &str,
    ) -> Result<Self> {
        let url = if curl.contains("--cacert") {
            format!("https://{host}:8501")
        } else {
            format!("http://{host}:8500")
        };
        let probe = format!(
            "curl {curl} -m 5 {url}/v1/kv/none -o /dev/null -s -w '%{{http_code}}' || true"
        );
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        let mut consul = Self { ns, folder: tempfile::tempdir()?, host, args, probe, child: None };
        consul.run()?;
        Ok(consul)
    }

    pub(crate) fn run(&mut self) -> Result<()> {
        let folder = self.folder.path();
        let log = File::options().create(true).append(true).open(folder.join("log"))?;
        let mut command = Command::new(engine::program("consul"));
        command
            .args(["agent", "-server", "-bootstrap-expect=1", "-disable-host-node-id", "-node=one"])
            .args([format!("-bind={}", self.host), format!("-client={}", self.host)])
            .args(["-hcl", "performance { raft_multiplier = 1 }"])
            .arg(format!("-data-dir={}", folder.join("data").display()))
            .args(&self.args)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        self.child = Some(self.ns.start(&mut command)?);
        until("Consul has a leader", || Ok(bash(self.ns, &self.probe)? == "404"))?;
        Ok(())
    }

    pub(super) fn ns(&self) -> &'a Namespace {
        self.ns
    }

    /// Sends it a signal.
    pub(super) fn signal(&self, signal: Signal) -> Result<()> {
        let child = self.child.as_ref().context("it runs")?;
        Ok(nix::sys::signal::kill(Pid::from_raw(i32::try_from(child.id())?), signal)?)
    }

    pub(crate) fn kill(&mut self) -> Result<()> {
        let mut child = self.child.take().context("it runs")?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }
}

impl Drop for Consul<'_> {
    fn drop(&mut self) {
        if self.child.is_some() {
            let _ended = self.kill();
        }
    }
}

fn provider(daemon: &Daemon<'_>, name: &str) -> Result<serde_json::Value> {
    let status = daemon.json(&["status"])?;
    let all = status["providers"].as_array().context("providers")?;
    all.iter().find(|one| one["name"] == name).cloned().with_context(|| format!("{status}"))
}

#[test]
fn services_come_and_go_and_stay_while_consul_is_away() -> Result<()> {
    const CONFIG: &str = r#"
entryPoints:
  web: { address: "127.0.0.1:8080" }
providers:
  consulCatalog:
    exposedByDefault: false
    defaultRule: "Host(`{{ .Name }}.example.com`)"
    endpoint: { address: "127.0.0.1:8500", endpointWaitTime: 5s }
"#;
    let ns = Namespace::new("catalog")?;
    let mut consul = Consul::start(&ns)?;
    let a = Origin::start(&ns, "127.0.0.1:9001".parse()?, "a")?;
    let _b = Origin::start(&ns, "127.0.0.1:9002".parse()?, "b")?;
    let mut daemon = Daemon::start(&ns, CONFIG)?;
    // The bare tag is enough: the rule is the default one.
    register(&ns, "api-1", 9001, &["traefik.enable=true"])?;
    until("the first is routed", || Ok(visit(&ns)? == (200, "a".to_owned())))?;
    register(&ns, "api-2", 9002, &["traefik.enable=true"])?;
    register(&ns, "api-3", 9003, &[])?;
    until("the second too", || Ok(visit(&ns)?.1 == "b"))?;

    a.set_health(503);
    until("the first serves no more", || {
        let seen: Vec<_> = (0..10).map(|_| visit(&ns)).collect::<Result<_>>()?;
        Ok(seen.iter().all(|seen| *seen == (200, "b".to_owned())))
    })?;

    // Away: what it said last stays, over a restart of lb too.
    consul.kill()?;
    until("lb has noticed", || Ok(provider(&daemon, "consulCatalog")?["lastError"].is_string()))?;
    assert_eq!(visit(&ns)?, (200, "b".to_owned()));
    // A crash may lose the last second of what sources say.
    std::thread::sleep(std::time::Duration::from_millis(1500));
    daemon.crash()?;
    daemon.run(&[])?;
    until("what was kept serves", || Ok(visit(&ns)? == (200, "b".to_owned())))?;

    // Back: what changes is followed again.
    consul.run()?;
    a.set_health(200);
    until("the first is back", || Ok(visit(&ns)?.1 == "a"))?;
    ask(&ns, "PUT", "/v1/agent/service/deregister/api-1", "")?;
    ask(&ns, "PUT", "/v1/agent/service/deregister/api-2", "")?;
    until("nobody is there", || Ok(visit(&ns)?.0 == 404))?;
    Ok(())
}

#[test]
fn keys_are_configuration_and_garbage_takes_nothing_away() -> Result<()> {
    const CONFIG: &str = r#"
entryPoints:
  web: { address: "127.0.0.1:8080" }
providers:
  consul: { endpoints: ["127.0.0.1:8500"], rootKey: lb/config }
"#;
    let ns = Namespace::new("keys")?;
    let mut consul = Consul::start(&ns)?;
    let _a = Origin::start(&ns, "127.0.0.1:9001".parse()?, "a")?;
    let _b = Origin::start(&ns, "127.0.0.1:9002".parse()?, "b")?;
    let daemon = Daemon::start(&ns, CONFIG)?;
    let put = |key: &str, value: &str| ask(&ns, "PUT", &format!("/v1/kv/lb/config/{key}"), value);
    put("http/services/api/loadBalancer/servers/0/url", "http://127.0.0.1:9001")?;
    put("http/routers/api/service", "api")?;
    put("http/routers/api/rule", "Host(`api.example.com`)")?;
    until("routed", || Ok(visit(&ns)? == (200, "a".to_owned())))?;

    put("http/routers/api/rulle", "garbage")?;
    until("the fault is told", || Ok(daemon.ok(&["status"])?.contains("rulle")))?;
    assert_eq!(visit(&ns)?, (200, "a".to_owned()));
    ask(&ns, "DELETE", "/v1/kv/lb/config/http/routers/api/rulle", "")?;
    put("http/services/api/loadBalancer/servers/0/url", "http://127.0.0.1:9002")?;
    until("the change is taken", || Ok(visit(&ns)? == (200, "b".to_owned())))?;

    consul.kill()?;
    assert_eq!(visit(&ns)?, (200, "b".to_owned()));
    consul.run()?;
    put("http/services/api/loadBalancer/servers/0/url", "http://127.0.0.1:9001")?;
    until("followed again", || Ok(visit(&ns)? == (200, "a".to_owned())))?;
    ensure!(get(&ns, "/v1/kv/lb/config?recurse")?.is_array());
    Ok(())
}
