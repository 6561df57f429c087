//! lb as a service of a Consul, and of another lb's registry.

use anyhow::{Result, ensure};
use lb_tests::{Daemon, Namespace};

use super::{
    agent::{ask, get, until},
    consul::Consul,
};

const CONFIG: &str = r#"
entryPoints:
  web: { address: "127.0.0.1:8080" }
  tcp: { address: ":7000" }
events: { node: n1 }
providers:
  consulCatalog:
    exposedByDefault: false
    endpoint: { address: "127.0.0.1:8500" }
    register: { name: edge, tags: [blue], address: 127.0.0.1, ttl: 1s }
"#;

/// Ids of what is registered and passes, of these services.
fn passing(ns: &Namespace) -> Result<Vec<String>> {
    let mut ids = Vec::new();
    for name in ["edge", "edge-tcp", "edge-web"] {
        let found = get(ns, &format!("/v1/health/service/{name}?passing"))?;
        let found = found.as_array().into_iter().flatten();
        ids.extend(found.filter_map(|one| one["Service"]["ID"].as_str().map(str::to_owned)));
    }
    Ok(ids)
}

const ALL: [&str; 3] = ["edge-n1", "edge-n1-tcp", "edge-n1-web"];

/// Everything that holds of whatever answers Consul's API.
fn lives(ns: &Namespace) -> Result<()> {
    let mut daemon = Daemon::start(ns, CONFIG)?;
    until("all are registered", || Ok(passing(ns)? == ALL))?;
    let services = get(ns, "/v1/agent/services")?;
    let web = &services["edge-n1-web"];
    assert_eq!((&web["Address"], &web["Port"]), (&"127.0.0.1".into(), &8080.into()));
    assert_eq!(web["Tags"], serde_json::json!(["blue", "traefik.enable=false", "tcp"]));
    assert_eq!(services["edge-n1-tcp"]["Port"], 7000);
    // For longer than the check lives without being passed.
    std::thread::sleep(std::time::Duration::from_millis(2500));
    assert_eq!(passing(ns)?, ALL);

    // Lost there: registered again. Gone here: taken back.
    ask(ns, "PUT", "/v1/agent/service/deregister/edge-n1-web", "")?;
    until("it is there again", || Ok(passing(ns)? == ALL))?;
    daemon.configure(&CONFIG.replace("  tcp: { address: \":7000\" }\n", ""))?;
    daemon.ok(&["reload"])?;
    until("the entry point is out", || Ok(passing(ns)? == ["edge-n1", "edge-n1-web"]))?;
    daemon.configure(CONFIG)?;
    daemon.ok(&["reload"])?;
    until("and in again", || Ok(passing(ns)? == ALL))?;

    // Another process goes on with them.
    let before = daemon.take_over()?;
    before.wait()?;
    assert_eq!(passing(ns)?, ALL);

    ensure!(daemon.terminate()?.success());
    let services = get(ns, "/v1/agent/services")?;
    ensure!(!services.to_string().contains("edge-"), "{services}");
    Ok(())
}

#[test]
fn lb_is_a_service_of_a_consul() -> Result<()> {
    let ns = Namespace::new("register")?;
    let mut consul = Consul::start(&ns)?;
    lives(&ns)?;
    // One that isn't there, and comes with nothing of before.
    consul.kill()?;
    let daemon = Daemon::start(&ns, CONFIG)?;
    until("the trouble is told", || Ok(daemon.ok(&["status"])?.contains("registering in Consul")))?;
    let _other = Consul::start(&ns)?;
    until("all are registered", || Ok(passing(&ns)? == ALL))?;
    until("no trouble any more", || {
        Ok(!daemon.ok(&["status"])?.contains("registering in Consul"))
    })?;
    Ok(())
}

#[test]
fn lb_is_a_service_of_a_registry() -> Result<()> {
    let ns = Namespace::new("register")?;
    let _registry = Daemon::start(&ns, "registry: { address: \"127.0.0.1:8500\" }\n")?;
    lives(&ns)
}
