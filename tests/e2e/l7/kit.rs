//! What these tests share: a namespace whose loopback holds everything, origins, clients.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use anyhow::Result;
use lb_tests::{
    Daemon, Namespace,
    client::http1::{Answer, Connection},
    server::{Origin, TcpServer},
};

/// Bound of patience; never what a test asserts.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The entry point `web`.
pub(crate) const WEB: SocketAddr = local(8080);

/// A port of loopback.
pub(crate) const fn local(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// Where the origin of this number listens.
pub(crate) fn origin_at(number: usize) -> SocketAddr {
    SocketAddr::from(([127, 0, 1, 1 + number as u8], 8000))
}

/// A namespace and the origins `a`, `b`, `c`, … in it.
pub(crate) struct World {
    pub(crate) ns: Namespace,
    pub(crate) origins: Vec<Origin>,
}

impl World {
    /// As many origins as said.
    pub(crate) fn new(origins: usize) -> Result<Self> {
        let ns = Namespace::new("l7")?;
        let mut world = Self { ns, origins: Vec::new() };
        for _ in 0..origins {
            world.add_origin()?;
        }
        Ok(world)
    }

    /// One more origin.
    pub(crate) fn add_origin(&mut self) -> Result<()> {
        let number = self.origins.len();
        let name = char::from(b'a' + number as u8).to_string();
        self.origins.push(Origin::start(&self.ns, origin_at(number), &name)?);
        Ok(())
    }

    /// Starts a daemon.
    pub(crate) fn start(&self, config: &str) -> Result<Daemon<'_>> {
        Daemon::start(&self.ns, config)
    }

    /// A connection to the entry point `web`.
    pub(crate) fn connect(&self) -> Result<Connection> {
        self.connect_to(WEB)
    }

    /// A connection to another address.
    pub(crate) fn connect_to(&self, address: SocketAddr) -> Result<Connection> {
        self.ns.run(|| Connection::open(address))
    }

    /// One request on a connection of its own.
    pub(crate) fn get(&self, path: &str) -> Result<Answer> {
        self.connect()?.get(path, &[("Connection", "close")])
    }

    /// Sends these bytes on a connection of its own; everything that comes back.
    pub(crate) fn raw(&self, bytes: &[u8]) -> Result<String> {
        let mut connection = self.connect()?;
        connection.send(bytes)?;
        Ok(String::from_utf8_lossy(&connection.rest()?).into_owned())
    }
}

/// Entry point `web`, and a router `all` for everything, to a service `app` of these origins
/// with more keys of its load balancer.
pub(crate) fn app(origins: &[usize], more: &str) -> String {
    format!(
        "{}http:\n  routers:\n    all: {{ rule: \"PathPrefix(`/`)\", service: app }}\n  services:\n{}",
        ENTRY,
        service("app", origins, more)
    )
}

/// The entry point `web` alone.
pub(crate) const ENTRY: &str = "entryPoints:\n  web: { address: \"127.0.0.1:8080\" }\n";

/// A service of these origins, to be put under `http.services`.
pub(crate) fn service(name: &str, origins: &[usize], more: &str) -> String {
    let servers: Vec<String> =
        origins.iter().map(|&n| format!("{{ url: \"http://{}\" }}", origin_at(n))).collect();
    let more = if more.is_empty() { String::new() } else { format!(", {more}") };
    format!("    {name}: {{ loadBalancer: {{ servers: [ {} ]{more} }} }}\n", servers.join(", "))
}

/// A server in an origin's place that answers each connection's first bytes with these, and ends it.
pub(crate) fn fixed(world: &World, number: usize, answer: Vec<u8>) -> Result<TcpServer> {
    let handler = move |mut stream: TcpStream| {
        let mut buffer = [0; 65_536];
        // A client that goes away is no fault of the server.
        let _ = stream.read(&mut buffer);
        let _ = stream.write_all(&answer);
        let _ = stream.shutdown(Shutdown::Write);
        let _ = stream.read(&mut buffer);
    };
    TcpServer::start(&world.ns, origin_at(number), Arc::new(handler))
}
