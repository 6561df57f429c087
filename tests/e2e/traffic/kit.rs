//! A lab with servers on every backend and the real daemon before them.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail};
use lb_tests::{
    Daemon, Lab, Shape,
    client::{Spread, tcp, tcp::Echo, udp},
    server::{TcpServer, UdpEcho, echo},
};
use serde_json::Value;

use super::config::Config;

/// The port of the VIPs and of the servers.
pub(super) const PORT: u16 = 7000;

/// Longest wait for something that lb is to notice by itself.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// What runs while a test does its work.
pub(super) struct Rig<'a> {
    pub(super) lab: &'a Lab,
    pub(super) daemon: Daemon<'a>,
    /// By backend.
    pub(super) servers: Vec<Servers>,
}

/// One backend's echo servers, of both families.
pub(super) struct Servers {
    pub(super) tcp: [TcpServer; 2],
    pub(super) udp: [UdpEcho; 2],
}

/// Builds a lab, starts servers and daemon, and does the work. An error also
/// tells what the daemon showed and logged.
pub(super) fn rig(
    shape: Shape,
    configure: impl FnOnce(Config) -> Config,
    work: impl FnOnce(&mut Rig<'_>) -> Result<()>,
) -> Result<()> {
    let lab = Lab::new(shape)?;
    let config = configure(Config::of(&lab));
    rig_on(&lab, &config, work)
}

/// As [`rig`], in a lab of the caller's.
pub(super) fn rig_on(
    lab: &Lab,
    config: &Config,
    work: impl FnOnce(&mut Rig<'_>) -> Result<()>,
) -> Result<()> {
    let servers = lab.backends.iter().map(Servers::start).collect::<Result<Vec<_>>>()?;
    let daemon = Daemon::start(&lab.lb, &config.to_string())?;
    let mut rig = Rig { lab, daemon, servers };
    let begun = rig.wait_all_up();
    begun.and_then(|()| work(&mut rig)).map_err(|error| anyhow!("{error:#}\n\n{}", rig.report()))
}

impl Servers {
    fn start(host: &lb_tests::lab::Host) -> Result<Self> {
        let [v4, v6] = [host.at(PORT), host.at6(PORT)];
        let (ns, name) = (&host.ns, &host.name);
        Ok(Self {
            tcp: [echo::start(ns, v4, name)?, echo::start(ns, v6, name)?],
            udp: [UdpEcho::start(ns, v4, name)?, UdpEcho::start(ns, v6, name)?],
        })
    }

    /// As [`TcpServer::kill`], all of them.
    pub(super) fn kill(&mut self) {
        self.tcp.iter_mut().for_each(TcpServer::kill);
        self.udp.iter_mut().for_each(UdpEcho::kill);
    }

    /// Makes them listen again.
    pub(super) fn revive(&mut self, host: &lb_tests::lab::Host) -> Result<()> {
        self.tcp.iter_mut().try_for_each(|server| server.listen(&host.ns))?;
        self.udp.iter_mut().try_for_each(|server| server.listen(&host.ns))
    }
}

impl Rig<'_> {
    /// Where clients connect, IPv4.
    pub(super) fn vip(&self) -> SocketAddr {
        self.lab.vip(PORT)
    }

    /// Where clients connect, IPv6.
    pub(super) fn vip6(&self) -> SocketAddr {
        self.lab.vip6(PORT)
    }

    /// Does something where the client is.
    pub(super) fn client<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.lab.client.run(work)
    }

    /// A connection to the IPv4 VIP.
    pub(super) fn connect(&self) -> Result<Echo> {
        self.client(|| Echo::connect(self.vip()))
    }

    /// `count` connections to the IPv4 VIP, open.
    pub(super) fn connect_all(&self, count: usize) -> Result<Vec<Echo>> {
        let vip = self.vip();
        self.client(|| {
            (0..count)
                .map(|n| Echo::connect(vip).with_context(|| format!("connection {n}")))
                .collect()
        })
    }

    /// Where `count` short connections to the IPv4 VIP went.
    pub(super) fn spread(&self, count: usize) -> Result<Spread> {
        self.client(|| tcp::short_connections(self.vip(), count))
    }

    /// Where `count` datagrams to the IPv4 VIP went.
    pub(super) fn udp_spread(&self, count: usize) -> Result<Spread> {
        self.client(|| udp::spread(self.vip(), count))
    }

    /// Replaces the configuration and has it read.
    pub(super) fn reload(&self, config: &Config) -> Result<()> {
        self.daemon.configure(&config.to_string())?;
        self.daemon.ok(&["reload"]).map(drop)
    }

    /// What was dropped so far, by reason.
    pub(super) fn drops(&self) -> Result<BTreeMap<String, u64>> {
        let status = self.daemon.json(&["status"])?;
        let rows = status["drops"].as_array().context("no drops in the status")?;
        let row = |row: &Value| Some((row["reason"].as_str()?.to_owned(), row["count"].as_u64()?));
        rows.iter().map(|r| row(r).context("a drop without reason or count")).collect()
    }

    /// Mode and reason of each interface.
    pub(super) fn modes(&self) -> Result<BTreeMap<String, (String, String)>> {
        let status = self.daemon.json(&["status"])?;
        let rows = status["datapath"]["interfaces"].as_array().context("no interfaces")?.clone();
        let text = |row: &Value, key: &str| Some(row[key].as_str()?.to_owned());
        let row =
            |row: &Value| Some((text(row, "name")?, (text(row, "mode")?, text(row, "reason")?)));
        rows.iter().map(|r| row(r).context("an interface without a name")).collect()
    }

    /// `lb backends SERVICE`, the row of one backend by its name.
    pub(super) fn backend(&self, service: &str, name: &str) -> Result<Value> {
        let host = self.lab.backends.iter().find(|host| host.name == name);
        let host = host.with_context(|| format!("no {name}"))?;
        let (v4, v6) = (host.at(PORT).to_string(), host.at6(PORT).to_string());
        let rows = self.daemon.json(&["backends", service])?;
        let found = rows.as_array().and_then(|rows| {
            rows.iter().find(|row| row["address"] == v4.as_str() || row["address"] == v6.as_str())
        });
        found.cloned().with_context(|| format!("no {name} in {rows}"))
    }

    /// Waits until every backend of every service takes connections.
    pub(super) fn wait_all_up(&self) -> Result<()> {
        self.daemon.wait_for("every backend is up", PATIENCE, |daemon| {
            let counts = daemon.json(&["status"])?["counts"].clone();
            Ok(counts["backends"] == counts["backendsUp"])
        })
    }

    /// Waits until a backend has this state.
    pub(super) fn wait_state(&self, service: &str, name: &str, state: &str) -> Result<()> {
        self.daemon.wait_for(&format!("{name} of {service} is {state}"), PATIENCE, |_| {
            Ok(self.backend(service, name)?["state"] == state)
        })
    }

    /// `lb flows` with these filters.
    pub(super) fn flows(&self, filters: &[&str]) -> Result<Vec<Value>> {
        let rows = self.daemon.json(&[&["flows"], filters].concat())?;
        Ok(rows.as_array().context("no list of flows")?.clone())
    }

    /// Everything that helps to understand a failure.
    fn report(&self) -> String {
        let shown = |args: &[&str]| match self.daemon.cli(args) {
            Ok(outcome) => format!("$ lb {}\n{}{}", args.join(" "), outcome.stdout, outcome.stderr),
            Err(error) => format!("$ lb {}\n{error:#}\n", args.join(" ")),
        };
        let host = |line: &str| self.lab.lb.ip(line).unwrap_or_else(|error| format!("{error:#}\n"));
        [
            shown(&["status"]),
            shown(&["backends"]),
            shown(&["flows", "--limit", "30"]),
            format!("$ ip addr\n{}", host("-br addr")),
            format!("$ ip route\n{}{}", host("route"), host("-6 route")),
            format!("$ ip neigh\n{}", host("neigh")),
            format!("--- log\n{}", self.daemon.log()),
        ]
        .join("\n")
    }
}

/// Tries again and again until it succeeds, for at most [`PATIENCE`].
pub(super) fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match attempt() {
            Ok(done) => return Ok(done),
            Err(error) if Instant::now() > deadline => {
                bail!("not within {PATIENCE:?}: {what}: {error:#}")
            }
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// The names of a spread.
pub(super) fn names(spread: &Spread) -> Vec<&str> {
    spread.keys().map(String::as_str).collect()
}
