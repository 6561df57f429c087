//! A source that dies, hangs or is cut off takes nothing away, and what it says afterwards applies soon.
//! `LB_OUTAGE` is how many seconds each outage lasts.

use std::{cell::RefCell, time::Duration};

use anyhow::{Result, ensure};
use lb_tests::{Daemon, Docker, Namespace, docker::Container, link, server::Origin};
use nix::sys::signal::Signal;

use super::{
    agent::{bash, until, visit},
    consul::Consul,
    kit::provider,
};
use crate::events::kit::Nats;

/// Where the engine is, over a link that can be cut.
const HUB: &str = "172.31.9.1";

fn wire(hub: &Namespace, edge: &Namespace) -> Result<()> {
    link::veth((hub, "ctl"), (edge, "ctl"))?;
    hub.ip(&format!("addr add {HUB}/24 dev ctl"))?;
    edge.ip("addr add 172.31.9.2/24 dev ctl")?;
    Ok(())
}

/// What becomes of the engine.
#[derive(Clone, Copy, Debug)]
enum Outage {
    Killed,
    Hung,
    CutOff,
}

/// What a test does with its engine.
trait Engine {
    /// `lb status` calls the provider so.
    const PROVIDER: &'static str;
    /// Has `api.example.com` served by this one alone, `a` or `b`.
    fn serve(&self, name: &str) -> Result<()>;
    fn kill(&mut self) -> Result<()>;
    fn run(&mut self) -> Result<()>;
    fn signal(&self, signal: Signal) -> Result<()>;
}

/// How long an outage lasts.
fn outage() -> Duration {
    let seconds = std::env::var("LB_OUTAGE").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(2))
}

fn goes_through<E: Engine>(engine: &mut E, edge: &Namespace, config: &str) -> Result<()> {
    let mut daemon = Daemon::start(edge, config)?;
    engine.serve("a")?;
    until("a serves", || Ok(visit(edge)? == (200, "a".to_owned())))?;
    let mut serving = ["a", "b"];
    for kind in [Outage::Hung, Outage::CutOff, Outage::Killed] {
        match kind {
            Outage::Killed => engine.kill()?,
            Outage::Hung => engine.signal(Signal::SIGSTOP)?,
            Outage::CutOff => drop(edge.ip("link set ctl down")?),
        }
        std::thread::sleep(outage());
        // A Docker that is killed takes its containers along; what was known of them stays.
        let is_there = daemon.ok(&["backends"])?.lines().count() > 1;
        ensure!(is_there, "{kind:?}: {}", daemon.ok(&["backends"])?);
        if !(matches!(kind, Outage::Killed) && E::PROVIDER == "docker") {
            assert_eq!(visit(edge)?, (200, serving[0].to_owned()), "{kind:?}");
        }
        serving.reverse();
        match kind {
            Outage::Killed => {
                // A restart in the middle of it: what was kept serves.
                ensure!(daemon.terminate()?.success());
                daemon.run(&[])?;
                ensure!(provider(&daemon, E::PROVIDER)?["kept"] == true);
                engine.run()?;
                engine.serve(serving[0])?;
            }
            Outage::Hung => {
                engine.signal(Signal::SIGCONT)?;
                engine.serve(serving[0])?;
            }
            Outage::CutOff => {
                engine.serve(serving[0])?;
                edge.ip("link set ctl up")?;
            }
        }
        let name = serving[0];
        let took = until(name, || Ok(serves(edge, name)))?;
        eprintln!("{} {kind:?} for {:?}: followed again after {took:?}", E::PROVIDER, outage());
    }
    Ok(())
}

/// Whether a request is answered by this one soon: one into a container that is gone waits for
/// seconds for its address, which says nothing about the source.
fn serves(edge: &Namespace, name: &str) -> bool {
    let ask = "curl -f -m 0.5 -H 'Host: api.example.com' http://127.0.0.1:8080/";
    bash(edge, ask).is_ok_and(|said| said.trim() == name)
}

/// Both servers, where lb is.
fn origins(edge: &Namespace) -> Result<[Origin; 2]> {
    let start = |at: &str, name| Origin::start(edge, at.parse()?, name);
    Ok([start("127.0.0.1:9001", "a")?, start("127.0.0.1:9002", "b")?])
}

fn port(name: &str) -> u16 {
    if name == "a" { 9001 } else { 9002 }
}

const WEB: &str = "entryPoints: { web: { address: \"127.0.0.1:8080\" } }\n";

impl Engine for Consul<'_> {
    const PROVIDER: &'static str = "consulCatalog";

    fn serve(&self, name: &str) -> Result<()> {
        let body =
            format!(r#"{{"ID":"api-1","Name":"api","Address":"127.0.0.1","Port":{}}}"#, port(name));
        let url = format!("http://{HUB}:8500/v1/agent/service/register");
        bash(self.ns(), &format!("curl -f -X PUT {url} -d '{body}'")).map(drop)
    }

    fn kill(&mut self) -> Result<()> {
        Consul::kill(self)
    }

    fn run(&mut self) -> Result<()> {
        Consul::run(self)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        Consul::signal(self, signal)
    }
}

#[test]
fn a_consul_that_is_away_takes_nothing_away() -> Result<()> {
    let (hub, edge) = (Namespace::new("hub")?, Namespace::new("edge")?);
    wire(&hub, &edge)?;
    let _origins = origins(&edge)?;
    let mut consul = Consul::with(&hub, HUB, &[], "")?;
    let config = format!(
        "{WEB}providers: {{ consulCatalog: {{ defaultRule: \"Host(`{{{{ .Name }}}}.example.com`)\", endpoint: {{ address: \"{HUB}:8500\" }} }} }}\n"
    );
    goes_through(&mut consul, &edge, &config)
}

impl Engine for Nats<'_> {
    const PROVIDER: &'static str = "nats";

    fn serve(&self, name: &str) -> Result<()> {
        let value = format!(r#"{{"address":"127.0.0.1:{}"}}"#, port(name));
        self.client(async |client| {
            let context = async_nats::jetstream::new(client);
            let bucket = loop {
                match context.get_key_value("lb").await {
                    Ok(bucket) => break bucket,
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            };
            bucket.put("services/api/1", value.into()).await?;
            Ok(())
        })
    }

    fn kill(&mut self) -> Result<()> {
        Nats::kill(self)
    }

    fn run(&mut self) -> Result<()> {
        Nats::run(self)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        Nats::signal(self, signal)
    }
}

#[test]
fn a_nats_that_is_away_takes_nothing_away() -> Result<()> {
    let (hub, edge) = (Namespace::new("hub")?, Namespace::new("edge")?);
    wire(&hub, &edge)?;
    let _origins = origins(&edge)?;
    let mut nats = Nats::on(&hub, "0.0.0.0")?;
    let config = format!(
        "{WEB}providers: {{ nats: {{ servers: \"nats://{HUB}:4222\", defaultRule: \"Host(`{{{{ .Name }}}}.example.com`)\" }} }}\n"
    );
    goes_through(&mut nats, &edge, &config)
}

/// Containers are reached over a link of their own.
struct Containers {
    docker: Docker,
    running: RefCell<Option<String>>,
}

impl Engine for Containers {
    const PROVIDER: &'static str = "docker";

    fn serve(&self, name: &str) -> Result<()> {
        let rule = "traefik.http.routers.api.rule=Host(`api.example.com`)";
        let (own, says) = (format!("one-{name}"), format!("NAME={name}"));
        // It is removed by the next one.
        std::mem::forget::<Container<'_>>(self.docker.run(&own, &[rule], &["-e", &says])?);
        if let Some(before) = self.running.replace(Some(own)) {
            self.docker.ok(&["rm", "-f", &before])?;
        }
        Ok(())
    }

    fn kill(&mut self) -> Result<()> {
        self.docker.kill()
    }

    fn run(&mut self) -> Result<()> {
        self.docker.run_again()
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        self.docker.signal(signal)
    }
}

#[test]
fn a_docker_that_is_away_takes_nothing_away() -> Result<()> {
    let edge = Namespace::new("edge")?;
    let docker = Docker::start_with(|_| {
        Ok(vec!["-H=tcp://0.0.0.0:2375".to_owned(), "--tls=false".to_owned()])
    })?;
    wire(&docker.ns, &edge)?;
    link::veth((&docker.ns, "data"), (&edge, "data"))?;
    docker.ns.ip("addr add 172.31.8.1/24 dev data")?;
    docker.ns.sysctl("net/ipv4/ip_forward", "1")?;
    edge.ip_batch("addr add 172.31.8.2/24 dev data\nroute add 172.17.0.0/16 via 172.31.8.1\n")?;
    let config = format!("{WEB}providers: {{ docker: {{ endpoint: \"tcp://{HUB}:2375\" }} }}\n");
    let mut containers = Containers { docker, running: RefCell::default() };
    goes_through(&mut containers, &edge, &config)
}
