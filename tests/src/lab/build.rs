//! How the shapes are built.

use anyhow::Result;

use super::{Back, Front, Lab};
use crate::{
    Namespace,
    bytecode::{Attached, tag},
    link::{bridge, make_wire, veth},
};

impl Lab {
    pub(super) fn build(&mut self) -> Result<()> {
        if self.shape.back == Back::OneArm {
            return self.build_one_arm();
        }
        match self.shape.front {
            Front::Direct => self.build_direct()?,
            Front::Vlan(id) => {
                self.build_direct()?;
                self.build_tags(id)?;
            }
            Front::Router(mtu) => self.build_router(mtu)?,
        }
        match self.shape.back {
            Back::Switch | Back::OneArm => self.build_switched(),
            Back::Gateway(mtu) => self.build_gateway(mtu),
            Back::Bridge => self.build_bridge(),
            Back::Routed => self.build_routed(),
        }
    }

    fn build_direct(&mut self) -> Result<()> {
        veth((&self.client, "eth0"), (&self.lb, "eth0"))?;
        let wire = self.wire_up("eth0", &self.client, "eth0")?;
        self.attached.extend(wire);
        self.address_front()
    }

    /// Tags what the client sends. The balancer's host has no VLAN device: it
    /// would not answer ARP, so the client knows its MAC.
    fn build_tags(&mut self, id: u16) -> Result<()> {
        self.attached.extend(tag(&self.client, "eth0", id)?);
        let mac = self.lb.mac("eth0")?.map(|byte| format!("{byte:02x}")).join(":");
        self.client.ip_batch(&format!(
            "neigh replace 192.0.2.1 lladdr {mac} dev eth0\nneigh replace 2001:db8:1::1 lladdr {mac} dev eth0\n"
        ))
    }

    fn address_front(&self) -> Result<()> {
        self.client.ip_batch(
            "addr add 192.0.2.2/24 dev eth0\naddr add 2001:db8:1::2/64 dev eth0 nodad\n\
             route add 198.51.100.0/24 via 192.0.2.1\n\
             route add 2001:db8:100::/64 via 2001:db8:1::1\n",
        )?;
        self.lb
            .ip_batch("addr add 192.0.2.1/24 dev eth0\naddr add 2001:db8:1::1/64 dev eth0 nodad\n")
    }

    fn build_router(&mut self, mtu: u32) -> Result<()> {
        let router = Namespace::new("router")?;
        veth((&self.client, "eth0"), (&router, "eth0"))?;
        veth((&router, "eth1"), (&self.lb, "eth0"))?;
        let wire = self.wire_up("eth0", &router, "eth1")?;
        self.attached.extend(wire);
        forwarding(&router)?;
        self.client.ip_batch(
            "addr add 192.0.2.2/24 dev eth0\naddr add 2001:db8:1::2/64 dev eth0 nodad\n\
             route add default via 192.0.2.1\nroute add default via 2001:db8:1::1\n",
        )?;
        router.ip_batch(&format!(
            "addr add 192.0.2.1/24 dev eth0\naddr add 2001:db8:1::1/64 dev eth0 nodad\n\
             addr add 203.0.113.2/24 dev eth1\naddr add 2001:db8:4::2/64 dev eth1 nodad\n\
             route replace 192.0.2.0/24 dev eth0 mtu lock {mtu}\n\
             route replace 2001:db8:1::/64 dev eth0 mtu lock {mtu}\n\
             route add 198.51.100.0/24 via 203.0.113.1 mtu lock {mtu}\n\
             route add 2001:db8:100::/64 via 2001:db8:4::1 mtu lock {mtu}\n"
        ))?;
        self.lb.ip_batch(
            "addr add 203.0.113.1/24 dev eth0\naddr add 2001:db8:4::1/64 dev eth0 nodad\n\
             route add 192.0.2.0/24 via 203.0.113.2\nroute add 2001:db8:1::/64 via 2001:db8:4::2\n",
        )?;
        self.between.push(router);
        Ok(())
    }

    fn build_switched(&mut self) -> Result<()> {
        let switch = self.build_switch(None)?;
        let wire = self.wire_up("eth1", &switch, "uplink")?;
        self.attached.extend(wire);
        self.between.push(switch);
        self.address_lb("eth1")?;
        self.address_hosts()
    }

    /// A switch with a port `pN` for each backend and an `uplink`.
    fn build_switch(&self, uplink: Option<(&Namespace, &str)>) -> Result<Namespace> {
        let switch = Namespace::new("sw")?;
        let mut ports = vec!["uplink".to_owned()];
        veth(uplink.unwrap_or((&self.lb, "eth1")), (&switch, "uplink"))?;
        for (n, host) in self.backends.iter().enumerate() {
            ports.push(format!("p{n}"));
            veth((&host.ns, "eth0"), (&switch, &ports[n + 1]))?;
        }
        let ports: Vec<&str> = ports.iter().map(String::as_str).collect();
        bridge(&switch, "br0", &ports)?;
        for port in ports.iter().chain(&["br0"]) {
            switch.ip(&format!("link set {port} mtu {}", self.shape.back_mtu))?;
        }
        Ok(switch)
    }

    fn address_lb(&self, dev: &str) -> Result<()> {
        self.lb.ip_batch(&format!(
            "link set {dev} mtu {}\n\
             addr add 10.0.1.1/24 dev {dev}\naddr add 2001:db8:2::1/64 dev {dev} nodad\n",
            self.shape.back_mtu
        ))
    }

    fn address_hosts(&self) -> Result<()> {
        let mtu = self.shape.back_mtu;
        for host in &self.backends {
            let (v4, v6) = (host.v4, host.v6);
            host.ns.ip_batch(&format!(
                "link set eth0 mtu {mtu}\naddr add {v4}/24 dev eth0\naddr add {v6}/64 dev eth0 nodad\n"
            ))?;
        }
        Ok(())
    }

    fn build_gateway(&mut self, path: u32) -> Result<()> {
        let gateway = Namespace::new("gw")?;
        veth((&self.lb, "eth1"), (&gateway, "eth0"))?;
        let wire = self.wire_up("eth1", &gateway, "eth0")?;
        self.attached.extend(wire);
        let switch = self.build_switch(Some((&gateway, "eth1")))?;
        forwarding(&gateway)?;
        self.lb.ip_batch(
            "addr add 10.0.3.1/24 dev eth1\naddr add 2001:db8:3::1/64 dev eth1 nodad\n\
             route add 10.0.1.0/24 via 10.0.3.2\nroute add 2001:db8:2::/64 via 2001:db8:3::2\n",
        )?;
        gateway.ip_batch(&format!(
            "addr add 10.0.3.2/24 dev eth0\naddr add 2001:db8:3::2/64 dev eth0 nodad\n\
             addr add 10.0.1.1/24 dev eth1\naddr add 2001:db8:2::1/64 dev eth1 nodad\n\
             route replace 10.0.3.0/24 dev eth0 mtu lock {path}\n\
             route replace 2001:db8:3::/64 dev eth0 mtu lock {path}\n\
             route replace 10.0.1.0/24 dev eth1 mtu lock {path}\n\
             route replace 2001:db8:2::/64 dev eth1 mtu lock {path}\n"
        ))?;
        self.address_hosts()?;
        for host in &self.backends {
            host.ns.ip_batch(
                "route add 10.0.3.0/24 via 10.0.1.1\nroute add 2001:db8:3::/64 via 2001:db8:2::1\n",
            )?;
        }
        self.between.extend([gateway, switch]);
        Ok(())
    }

    fn build_bridge(&mut self) -> Result<()> {
        let mtu = self.shape.back_mtu;
        let mut ports = Vec::new();
        for host in &self.backends {
            let port = format!("v{}", host.name);
            veth((&host.ns, "eth0"), (&self.lb, &port))?;
            self.lb.ip(&format!("link set {port} mtu {mtu}"))?;
            ports.push(port);
        }
        let ports: Vec<&str> = ports.iter().map(String::as_str).collect();
        bridge(&self.lb, "br0", &ports)?;
        self.address_lb("br0")?;
        self.address_hosts()
    }

    fn build_routed(&mut self) -> Result<()> {
        let mtu = self.shape.back_mtu;
        for host in &self.backends {
            let (port, v4, v6) = (format!("v{}", host.name), host.v4, host.v6);
            veth((&host.ns, "eth0"), (&self.lb, &port))?;
            self.lb.ip_batch(&format!(
                "link set {port} mtu {mtu}\naddr add 10.0.1.1/32 dev {port}\n\
                 addr add 2001:db8:2::1/128 dev {port} nodad\n\
                 route add {v4}/32 dev {port} src 10.0.1.1\nroute add {v6}/128 dev {port}\n"
            ))?;
            host.ns.ip_batch(&format!(
                "link set eth0 mtu {mtu}\naddr add {v4}/32 dev eth0\naddr add {v6}/128 dev eth0 nodad\n\
                 route add 10.0.1.1/32 dev eth0\nroute add 2001:db8:2::1/128 dev eth0\n\
                 route add default via 10.0.1.1\nroute add default via 2001:db8:2::1\n"
            ))?;
        }
        Ok(())
    }

    /// Client, balancer and backends on one switch, the balancer with one interface.
    fn build_one_arm(&mut self) -> Result<()> {
        let switch = self.build_switch(Some((&self.lb, "eth0")))?;
        veth((&self.client, "eth0"), (&switch, "client"))?;
        switch.ip("link set client master br0")?;
        let wire = self.wire_up("eth0", &switch, "uplink")?;
        self.attached.extend(wire);
        self.between.push(switch);
        self.address_front()?;
        self.address_lb("eth0")?;
        self.address_hosts()
    }

    fn wire_up(&self, dev: &str, far: &Namespace, far_dev: &str) -> Result<Option<Attached>> {
        if !self.shape.wires {
            return Ok(None);
        }
        make_wire((&self.lb, dev), (far, far_dev)).map(Some)
    }
}

fn forwarding(ns: &Namespace) -> Result<()> {
    ns.sysctl("net/ipv4/ip_forward", "1")?;
    ns.sysctl("net/ipv6/conf/all/forwarding", "1")
}
