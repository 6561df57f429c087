//! A configuration that fits a lab: services `tcp4`, `tcp6`, `udp4` and `udp6`
//! on one port of both VIPs, each with all backends.

use std::fmt;

use lb_tests::{
    Lab,
    lab::{VIP4, VIP6},
};

use super::kit::PORT;

/// What `lb.yaml` is made from. Options are YAML's own, as between braces.
#[derive(Clone)]
pub(super) struct Config {
    interfaces: String,
    connections: u32,
    datapath: String,
    service: String,
    tcp: String,
    /// Backends that are configured, with their weights.
    pub(super) servers: Vec<Server>,
}

/// One backend.
#[derive(Clone)]
pub(super) struct Server {
    v4: String,
    v6: String,
    /// What the configuration says.
    pub(super) weight: u32,
}

impl Config {
    /// All backends with weight 1, on the interface towards the client.
    pub(super) fn of(lab: &Lab) -> Self {
        let servers = lab.backends.iter().map(|host| Server {
            v4: host.at(PORT).to_string(),
            v6: host.at6(PORT).to_string(),
            weight: 1,
        });
        Self {
            interfaces: "eth0".to_owned(),
            connections: 16_384,
            datapath: String::new(),
            service: String::new(),
            tcp: String::new(),
            servers: servers.collect(),
        }
    }

    /// `datapath.interfaces`.
    pub(super) fn interfaces(self, names: &str) -> Self {
        Self { interfaces: names.to_owned(), ..self }
    }

    /// `datapath.connections`.
    pub(super) fn connections(self, connections: u32) -> Self {
        Self { connections, ..self }
    }

    /// More keys of `datapath`.
    pub(super) fn datapath(self, options: &str) -> Self {
        Self { datapath: self.datapath + ", " + options, ..self }
    }

    /// Keys of every service.
    pub(super) fn service(self, options: &str) -> Self {
        Self { service: self.service + ", " + options, ..self }
    }

    /// Keys of the TCP services alone.
    pub(super) fn tcp(self, options: &str) -> Self {
        Self { tcp: self.tcp + ", " + options, ..self }
    }

    /// Weights, one for each backend.
    pub(super) fn weights(mut self, weights: &[u32]) -> Self {
        self.servers.iter_mut().zip(weights).for_each(|(server, weight)| server.weight = *weight);
        self
    }

    /// A TCP check that finds out soon; also of UDP services, whose hosts have TCP on the same port.
    pub(super) fn checked(self) -> Self {
        let check = format!(
            "healthCheck: {{ port: {PORT}, interval: 200ms, timeout: 2s, rise: 1, fall: 2 }}"
        );
        self.service(&check)
    }

    fn services(&self, f: &mut fmt::Formatter<'_>, proto: &str, options: &str) -> fmt::Result {
        writeln!(f, "{proto}:\n  routers:")?;
        for n in [4, 6] {
            writeln!(f, "    {proto}{n}: {{ entryPoints: [{proto}{n}], service: {proto}{n} }}")?;
        }
        writeln!(f, "  services:")?;
        for n in [4, 6] {
            write!(f, "    {proto}{n}: {{ loadBalancer: {{ servers: [ ")?;
            for (at, server) in self.servers.iter().enumerate() {
                let address = if n == 4 { &server.v4 } else { &server.v6 };
                let comma = if at > 0 { ", " } else { "" };
                write!(f, "{comma}{{ address: \"{address}\", weight: {} }}", server.weight)?;
            }
            writeln!(f, " ]{}{options} }} }}", self.service)?;
        }
        Ok(())
    }
}

impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { interfaces, connections, datapath, .. } = self;
        writeln!(f, "entryPoints:")?;
        for proto in ["tcp", "udp"] {
            writeln!(f, "  {proto}4: {{ address: \"{VIP4}:{PORT}/{proto}\" }}")?;
            writeln!(f, "  {proto}6: {{ address: \"[{VIP6}]:{PORT}/{proto}\" }}")?;
        }
        writeln!(
            f,
            "datapath: {{ interfaces: [{interfaces}], connections: {connections}, backends: 256{datapath} }}"
        )?;
        self.services(f, "tcp", &self.tcp)?;
        self.services(f, "udp", "")
    }
}
