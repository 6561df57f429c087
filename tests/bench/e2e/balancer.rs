//! What stands between client and server: each in a lab of its own, alike but
//! for the balancer.

use std::{
    fs,
    net::SocketAddr,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use lb_tests::{Back, Daemon, Lab, Namespace, Shape, shell};
use tempfile::TempDir;

use super::server;

/// Port of the VIP and of the server.
const PORT: u16 = 80;

/// Who forwards.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Balancer {
    /// Nobody: the kernel routes, and the client knows the server's address.
    Routing,
    /// Destination NAT and masquerading.
    Nftables,
    /// A proxy of bytes.
    Haproxy,
    /// lb's kernel path, as `datapath.mode: auto` has it.
    Lb,
}

impl Balancer {
    pub(crate) const ALL: [Self; 4] = [Self::Routing, Self::Nftables, Self::Haproxy, Self::Lb];

    /// The name shown.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Routing => "plain routing",
            Self::Nftables => "nftables DNAT + masquerade",
            Self::Haproxy => "HAProxy, tcp",
            Self::Lb => "lb",
        }
    }
}

/// Client, balancer and server.
pub(crate) fn lab() -> Result<Lab> {
    let lab = Lab::new(Shape { backends: 1, back: Back::Routed, ..Shape::default() })?;
    server::start(&lab.backends[0].ns, lab.backends[0].at(PORT))?;
    Ok(lab)
}

/// A balancer at work; taken down on drop.
pub(crate) struct Running<'a> {
    pub(crate) balancer: Balancer,
    pub(crate) lab: &'a Lab,
    /// Where the client connects to.
    pub(crate) target: SocketAddr,
    /// What `lb status` says of the path, for lb.
    pub(crate) note: Option<String>,
    _proxy: Option<Process>,
    _daemon: Option<Daemon<'a>>,
}

impl<'a> Running<'a> {
    /// Sets the balancer of a lab up.
    pub(crate) fn start(balancer: Balancer, lab: &'a Lab) -> Result<Self> {
        let mut running =
            Self { balancer, lab, target: lab.vip(PORT), note: None, _proxy: None, _daemon: None };
        match balancer {
            Balancer::Routing => {
                lab.lb.sysctl("net/ipv4/ip_forward", "1")?;
                lab.client.ip("route add 10.0.1.0/24 via 192.0.2.1")?;
                running.target = lab.backends[0].at(PORT);
            }
            Balancer::Nftables => {
                lab.lb.sysctl("net/ipv4/ip_forward", "1")?;
                nftables(lab, running.target)?;
            }
            Balancer::Haproxy => running._proxy = Some(haproxy(lab, running.target)?),
            Balancer::Lb => {
                let daemon = Daemon::start(&lab.lb, &configuration(lab, running.target))?;
                running.note = Some(interfaces(&daemon)?);
                running._daemon = Some(daemon);
            }
        }
        wait_for(&lab.client, running.target)?;
        Ok(running)
    }
}

fn nftables(lab: &Lab, vip: SocketAddr) -> Result<()> {
    let (ip, port, server) = (vip.ip(), vip.port(), lab.backends[0].at(PORT));
    let rules = format!(
        "table ip lb {{\n\
         chain in {{ type nat hook prerouting priority dstnat; ip daddr {ip} tcp dport {port} dnat to {server}; }}\n\
         chain out {{ type nat hook postrouting priority srcnat; ip daddr {} masquerade; }}\n}}\n",
        server.ip()
    );
    let file = tempfile::NamedTempFile::new()?;
    fs::write(file.path(), rules)?;
    lab.lb.shell(&format!("nft -f {}", file.path().display())).map(drop)
}

fn haproxy(lab: &Lab, vip: SocketAddr) -> Result<Process> {
    lab.lb.ip(&format!("addr add {}/32 dev lo", vip.ip()))?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("haproxy.cfg");
    let server = lab.backends[0].at(PORT);
    fs::write(
        &path,
        format!(
            "defaults\n mode tcp\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n\
             frontend in\n bind {vip}\n default_backend out\n\
             backend out\n server one {server}\n"
        ),
    )?;
    let mut command = Command::new("haproxy");
    command.arg("-db").arg("-q").arg("-f").arg(&path).stdin(Stdio::null());
    let child = lab.lb.start(&mut command).context("haproxy does not start")?;
    Ok(Process { child, _folder: folder })
}

fn configuration(lab: &Lab, vip: SocketAddr) -> String {
    let server = lab.backends[0].at(PORT);
    format!(
        "entryPoints: {{ web: {{ address: \"{vip}\" }} }}\n\
         datapath: {{ interfaces: [eth0] }}\n\
         tcp:\n  routers: {{ web: {{ entryPoints: [web], rule: \"HostSNI(`*`)\", service: web }} }}\n  \
         services: {{ web: {{ loadBalancer: {{ servers: [ {{ address: \"{server}\" }} ] }} }} }}\n"
    )
}

/// How lb is attached, in its own words.
fn interfaces(daemon: &Daemon<'_>) -> Result<String> {
    let status = daemon.json(&["status"])?;
    let interfaces = status["datapath"]["interfaces"].as_array();
    let modes = interfaces.into_iter().flatten().map(|interface| {
        let text = |field: &str| interface[field].as_str().unwrap_or("?").to_owned();
        format!("{} by {}", text("name"), text("mode"))
    });
    Ok(format!("lb is attached to {}", modes.collect::<Vec<_>>().join(", ")))
}

/// Waits until the server answers by way of the balancer.
fn wait_for(client: &Namespace, target: SocketAddr) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match client.run(|| lb_tests::client::http::get(target, "/")) {
            Ok(_) => return Ok(()),
            Err(error) if Instant::now() > deadline => bail!("no way to {target}: {error:#}"),
            Err(_) => thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// A process, ended when dropped.
struct Process {
    child: Child,
    _folder: TempDir,
}

impl Drop for Process {
    fn drop(&mut self) {
        // Its own end, should it have come before, is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The version of a program that is compared with.
pub(crate) fn version(command: &str) -> String {
    let text = shell::run(command).unwrap_or_else(|error| error.to_string());
    text.lines().next().unwrap_or_default().to_owned()
}
