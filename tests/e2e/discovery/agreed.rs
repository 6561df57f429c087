//! Nodes that share a bucket of NATS choose the same backend for the same flow.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::{Result, ensure};
use lb_tests::{
    Daemon, Lab, Namespace, Shape,
    client::{http1::Connection, tcp::Echo},
    lab::VIP4,
    link,
    server::{Origin, TcpServer, echo},
};
use socket2::{Domain, Socket, Type};

use super::agent::until;
use crate::events::kit::Nats;

const PORT: u16 = 7000;
const BY_SOURCE: u16 = 7001;
const WEB: u16 = 8080;
/// Flows that are compared.
const FLOWS: u16 = 40;

/// A lab, whose addresses are those of every other one, its servers and its daemon.
struct Node<'a> {
    lab: &'a Lab,
    daemon: Daemon<'a>,
    _servers: (Vec<TcpServer>, Vec<Origin>),
}

impl<'a> Node<'a> {
    /// `order`: in which order the configuration has the backends.
    fn start(lab: &'a Lab, nats: &str, order: [usize; 3]) -> Result<Self> {
        let mut servers = (Vec::new(), Vec::new());
        for host in &lab.backends {
            servers.0.push(echo::start(&host.ns, host.at(PORT), &host.name)?);
            servers.1.push(Origin::start(&host.ns, host.at(WEB), &host.name)?);
        }
        let list = |kind: &str, scheme: &str, port: u16| {
            let server =
                |at: usize| format!("{{ {kind}: \"{scheme}{}\" }}", lab.backends[at].at(port));
            order.map(server).join(", ")
        };
        let (raw, urls) = (list("address", "", PORT), list("url", "http://", WEB));
        let config = format!(
            "datapath: {{ interfaces: [eth0], connections: 16384, backends: 256 }}\n\
             providers: {{ nats: {{ servers: \"{nats}\" }} }}\n\
             entryPoints:\n  raw: {{ address: \"{VIP4}:{PORT}\" }}\n\
             \x20 source: {{ address: \"{VIP4}:{BY_SOURCE}\" }}\n  web: {{ address: \"{VIP4}:{WEB}\" }}\n\
             tcp:\n  routers:\n    raw: {{ entryPoints: [raw], service: raw }}\n\
             \x20   source: {{ entryPoints: [source], service: source }}\n  services:\n\
             \x20   raw: {{ loadBalancer: {{ servers: [ {raw} ] }} }}\n\
             \x20   source: {{ loadBalancer: {{ algorithm: sourceHash, servers: [ {raw} ] }} }}\n\
             http:\n  routers: {{ web: {{ entryPoints: [web], rule: \"PathPrefix(`/`)\", service: web }} }}\n\
             \x20 services: {{ web: {{ loadBalancer: {{ strategy: hrw, servers: [ {urls} ] }} }} }}\n"
        );
        Ok(Self { lab, daemon: Daemon::start(&lab.lb, &config)?, _servers: servers })
    }

    /// Which backends new flows from ports `first` on would get.
    fn explained(&self, first: u16) -> Result<Vec<String>> {
        let vip = format!("{VIP4}:{PORT}");
        let of = |port| {
            let client = format!("192.0.2.2:{port}");
            let explained = self.daemon.json(&["explain", "l4", "tcp", &client, &vip])?;
            let backend = explained["backend"].as_str().map(str::to_owned);
            Ok(backend.unwrap_or_else(|| explained.to_string()))
        };
        (first..first + FLOWS).map(of).collect()
    }

    /// Connections from ports `first` on.
    fn connect(&self, first: u16) -> Result<Vec<Echo>> {
        let vip = SocketAddr::from((VIP4, PORT));
        let from = |port| SocketAddr::from(([192, 0, 2, 2], port));
        self.lab.client.run(|| {
            (first..first + FLOWS).map(|port| Echo::connect_from(from(port), vip)).collect()
        })
    }

    /// Who answers each of the client's addresses, at L4.
    fn by_source(&self) -> Result<Vec<String>> {
        let vip = SocketAddr::from((VIP4, BY_SOURCE));
        let name = |ip| Ok(Echo::connect_from((ip, 0).into(), vip)?.server);
        self.lab.client.run(|| sources().map(name).collect())
    }

    /// Who answers each of the client's addresses, at L7.
    fn by_hrw(&self) -> Result<Vec<String>> {
        self.lab.client.run(|| sources().map(|ip| visit(ip, (VIP4, WEB).into())).collect())
    }
}

/// Addresses of the client's.
fn sources() -> impl Iterator<Item = IpAddr> {
    (101..131).map(|n| Ipv4Addr::new(192, 0, 2, n).into())
}

fn visit(from: IpAddr, to: SocketAddr) -> Result<String> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((from, 0)).into())?;
    socket.connect(&to.into())?;
    let mut connection = Connection::over(std::net::TcpStream::from(socket));
    Ok(connection.get("/", &[("Host", "x.example"), ("Connection", "close")])?.brief().1)
}

fn lab() -> Result<Lab> {
    let lab = Lab::new(Shape::default())?;
    let lines: String = sources().map(|ip| format!("addr add {ip}/24 dev eth0\n")).collect();
    lab.client.ip_batch(&lines)?;
    Ok(lab)
}

/// Waits until both nodes would choose alike.
fn agree(one: &Node<'_>, other: &Node<'_>) -> Result<Vec<String>> {
    let mut choices = Vec::new();
    until("both choose alike", || {
        choices = one.explained(20_000)?;
        Ok(choices.iter().all(|choice| choice.contains(":7000"))
            && choices == other.explained(20_000)?)
    })?;
    let mut backends = choices.clone();
    backends.sort();
    backends.dedup();
    ensure!(backends.len() == 3, "{choices:?}");
    Ok(choices)
}

fn names(flows: &[Echo]) -> Vec<&str> {
    flows.iter().map(|flow| flow.server.as_str()).collect()
}

/// Sets the secret that the bucket has.
fn agree_on(nats: &Nats<'_>, secret: &'static str) -> Result<()> {
    nats.client(async |client| {
        let context = async_nats::jetstream::new(client);
        let bucket = context.get_key_value("lb").await?;
        bucket.put("runtime/hashKey", secret.into()).await?;
        Ok(())
    })
}

#[test]
fn nodes_that_share_a_bucket_choose_alike() -> Result<()> {
    let (first, second, hub) = (lab()?, lab()?, Namespace::new("hub")?);
    for (at, lab) in [(1, &first), (2, &second)] {
        let device = format!("node{at}");
        link::veth((&hub, &device), (&lab.lb, "hub"))?;
        hub.ip(&format!("addr add 172.31.{at}.1/24 dev {device}"))?;
        lab.lb.ip(&format!("addr add 172.31.{at}.2/24 dev hub"))?;
    }
    let mut nats = Nats::on(&hub, "0.0.0.0")?;
    let one = Node::start(&first, "nats://172.31.1.1:4222", [0, 1, 2])?;
    let mut other = Node::start(&second, "nats://172.31.2.1:4222", [2, 0, 1])?;

    // The kernel: as explained, and as flows go.
    let choices = agree(&one, &other)?;
    let (mut here, mut there) = (one.connect(30_000)?, other.connect(30_000)?);
    assert_eq!(names(&here), names(&there));
    let by_source = one.by_source()?;
    assert_eq!(by_source, other.by_source()?);
    ensure!(by_source.iter().any(|name| *name != by_source[0]), "{by_source:?}");
    // The proxy.
    let by_hrw = one.by_hrw()?;
    assert_eq!(by_hrw, other.by_hrw()?);
    ensure!(by_hrw.iter().any(|name| *name != by_hrw[0]), "{by_hrw:?}");

    // Another secret: new flows go by it on both, established ones stay where they are.
    agree_on(&nats, "a secret of the test's own")?;
    until("the secret is taken", || Ok(one.explained(20_000)? != choices))?;
    let changed = agree(&one, &other)?;
    for (flow, other) in here.iter_mut().zip(&mut there) {
        flow.ping(b"still there")?;
        other.ping(b"still there")?;
    }
    assert_eq!(names(&one.connect(31_000)?), names(&other.connect(31_000)?));

    // A restart while the bucket is away, of the tables too: what was agreed on is kept.
    nats.kill()?;
    ensure!(other.daemon.terminate()?.success());
    other.daemon.ok(&["detach"])?;
    other.daemon.run(&[])?;
    assert_eq!(agree(&one, &other)?, changed);
    Ok(())
}
