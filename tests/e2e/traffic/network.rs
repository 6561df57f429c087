//! A network that changes under traffic: neighbours, routes and interfaces are followed.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result, ensure};
use lb_tests::{Back, Lab, Namespace, Shape, client::tcp::Echo, link::veth};

use super::{
    config::Config,
    kit::{PATIENCE, Rig, eventually, names, rig, rig_on},
};

/// Connections of which some are on each of three backends.
const SOME: usize = 40;

/// Every connection goes on; each may wait for its packets to find the new way.
fn go_on(echoes: &mut [Echo]) -> Result<()> {
    for (n, echo) in echoes.iter_mut().enumerate() {
        echo.stream.set_read_timeout(Some(PATIENCE))?;
        echo.ping(b"go on").with_context(|| format!("connection {n}, on {}", echo.server))?;
    }
    Ok(())
}

/// New connections get to all backends again, in the end.
fn all_served(rig: &Rig<'_>, vip: SocketAddr) -> Result<()> {
    eventually("every backend is reached", || {
        let spread = rig.client(|| {
            let patience = Duration::from_secs(2);
            let mut spread = lb_tests::client::Spread::new();
            for _ in 0..SOME {
                let echo = Echo::connect_within(vip, patience)?;
                *spread.entry(echo.server.clone()).or_default() += 1;
            }
            Ok::<_, anyhow::Error>(spread)
        })?;
        ensure!(names(&spread) == ["b1", "b2", "b3"], "{spread:?}");
        Ok(())
    })
}

#[test]
fn a_backend_that_changes_its_mac_is_followed() -> Result<()> {
    rig(
        Shape::default(),
        |config| config,
        |rig| {
            let mut echoes = rig.connect_all(SOME)?;
            // It says so, as hosts do that take over from others: the balancer's host believes a
            // neighbour that says nothing for up to a minute, and one that speaks once a second.
            let host = &rig.lab.backends[0].ns;
            host.sysctl("net/ipv4/conf/eth0/arp_notify", "1")?;
            host.sysctl("net/ipv6/conf/eth0/ndisc_notify", "1")?;
            std::thread::sleep(Duration::from_millis(1500));
            rig.lab.backends[0].ns.ip("link set eth0 address 02:00:00:00:00:99")?;
            go_on(&mut echoes)?;
            all_served(rig, rig.vip())?;
            all_served(rig, rig.vip6())
        },
    )
}

#[test]
fn a_client_that_changes_its_mac_is_followed() -> Result<()> {
    rig(
        Shape::default(),
        |config| config,
        |rig| {
            let mut echoes = rig.connect_all(SOME)?;
            rig.lab.client.ip("link set eth0 address 02:00:00:00:00:99")?;
            go_on(&mut echoes)?;
            all_served(rig, rig.vip())
        },
    )
}

#[test]
fn a_balancer_that_changes_its_mac_goes_on() -> Result<()> {
    rig(
        Shape::default(),
        |config| config,
        |rig| {
            let mut echoes = rig.connect_all(SOME)?;
            rig.lab.lb.ip("link set eth1 address 02:00:00:00:00:98")?;
            rig.lab.lb.ip("link set eth0 address 02:00:00:00:00:99")?;
            // Where nobody announces it, neighbours forget the old one by themselves.
            rig.lab.client.ip("neigh flush dev eth0")?;
            for host in &rig.lab.backends {
                host.ns.ip("neigh flush dev eth0")?;
            }
            go_on(&mut echoes)?;
            all_served(rig, rig.vip())?;
            all_served(rig, rig.vip6())
        },
    )
}

/// Packets that a namespace has forwarded, IPv4.
fn forwarded(ns: &Namespace) -> Result<u64> {
    let text = ns.run(|| std::fs::read_to_string("/proc/thread-self/net/snmp"))?;
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Ip: "));
    let (keys, values) = (lines.next().context("no keys")?, lines.next().context("no values")?);
    let mut pairs = keys.split(' ').zip(values.split(' '));
    let (_, count) = pairs.find(|(key, _)| *key == "ForwDatagrams").context("no such counter")?;
    Ok(count.parse()?)
}

/// The way to `b2` leads over `b1`, and back to the direct one.
#[test]
fn a_route_that_moves_to_another_gateway_is_followed() -> Result<()> {
    rig(
        Shape::default(),
        |config| config,
        |rig| {
            let [b1, b2, ..] = &rig.lab.backends[..] else { anyhow::bail!("too few backends") };
            b1.ns.sysctl("net/ipv4/ip_forward", "1")?;
            b1.ns.sysctl("net/ipv4/conf/all/send_redirects", "0")?;
            b1.ns.sysctl("net/ipv4/conf/eth0/send_redirects", "0")?;
            let mut echoes = rig.connect_all(SOME)?;
            rig.lab.lb.ip(&format!("route add {}/32 via {}", b2.v4, b1.v4))?;
            eventually("b1 forwards", || {
                go_on(&mut echoes)?;
                ensure!(forwarded(&b1.ns)? > 0, "nothing is forwarded");
                Ok(())
            })?;
            all_served(rig, rig.vip())?;
            rig.lab.lb.ip(&format!("route del {}/32", b2.v4))?;
            eventually("b1 no longer forwards", || {
                let before = forwarded(&b1.ns)?;
                go_on(&mut echoes)?;
                ensure!(forwarded(&b1.ns)? == before, "still forwarded");
                Ok(())
            })
        },
    )
}

/// A second gateway, on an interface `eth2` of the balancer's.
fn second_gateway(lab: &Lab) -> Result<Namespace> {
    let gateway = Namespace::new("gw2")?;
    let switch = lab.between.last().context("no switch")?;
    veth((&lab.lb, "eth2"), (&gateway, "eth0"))?;
    veth((switch, "gw2"), (&gateway, "eth1"))?;
    switch.ip("link set gw2 master br0")?;
    gateway.sysctl("net/ipv4/ip_forward", "1")?;
    lab.lb.ip("addr add 10.0.4.1/24 dev eth2")?;
    gateway.ip_batch("addr add 10.0.4.2/24 dev eth0\naddr add 10.0.1.2/24 dev eth1\n")?;
    for host in &lab.backends {
        host.ns.ip("route add 10.0.4.0/24 via 10.0.1.2")?;
    }
    Ok(gateway)
}

#[test]
fn a_route_that_moves_to_another_interface_is_followed() -> Result<()> {
    let shape = Shape { back: Back::Gateway(1500), ..Shape::default() };
    rig(
        shape,
        |config| config,
        |rig| {
            let gateway = second_gateway(rig.lab)?;
            // Its way back leads over the first gateway, whatever this one does.
            gateway.ip("route add 10.0.3.0/24 via 10.0.1.1")?;
            let mut echoes = rig.connect_all(SOME)?;
            rig.lab.lb.ip("route replace 10.0.1.0/24 via 10.0.4.2")?;
            // So that no backend is left behind the first interface.
            rig.lab.lb.ip("-6 route del 2001:db8:2::/64")?;
            eventually("the second gateway forwards", || {
                go_on(&mut echoes)?;
                ensure!(forwarded(&gateway)? > 0, "nothing is forwarded");
                Ok(())
            })?;
            all_served(rig, rig.vip())?;
            let mut more = rig.connect_all(SOME)?;
            let moved = rig.flows(&["--state", "established"])?;
            let source = |flow: &serde_json::Value, ip: &str| {
                flow["nat"].as_str().is_some_and(|nat| nat.starts_with(ip))
            };
            ensure!(moved.iter().any(|flow| source(flow, "10.0.4.1:")), "{moved:?}");
            ensure!(moved.iter().any(|flow| source(flow, "10.0.3.1:")), "{moved:?}");
            go_on(&mut echoes)?;
            go_on(&mut more)
        },
    )
}

#[test]
fn an_interface_to_backends_that_goes_down_and_returns_is_followed() -> Result<()> {
    rig(
        Shape::default(),
        |config| config,
        |rig| {
            let mut echoes = rig.connect_all(SOME)?;
            rig.lab.lb.ip("link set eth1 down")?;
            rig.daemon.wait_for("the obstacle is told", PATIENCE, |_| {
                Ok(rig.backend("tcp4", "b1")?["obstacle"].is_string())
            })?;
            rig.lab
                .lb
                .ip_batch("link set eth1 up\naddr replace 2001:db8:2::1/64 dev eth1 nodad\n")?;
            all_served(rig, rig.vip())?;
            all_served(rig, rig.vip6())?;
            go_on(&mut echoes)
        },
    )
}

#[test]
fn an_interface_to_clients_that_goes_down_and_returns_is_followed() -> Result<()> {
    rig(
        Shape::default(),
        |config| config,
        |rig| {
            let mut echoes = rig.connect_all(SOME)?;
            rig.lab.lb.ip("link set eth0 down")?;
            rig.lab
                .lb
                .ip_batch("link set eth0 up\naddr replace 2001:db8:1::1/64 dev eth0 nodad\n")?;
            all_served(rig, rig.vip())?;
            all_served(rig, rig.vip6())?;
            go_on(&mut echoes)
        },
    )
}

#[test]
fn an_interface_to_backends_that_is_made_anew_is_followed() -> Result<()> {
    rig(
        Shape::default(),
        |config| config,
        |rig| {
            let mut echoes = rig.connect_all(SOME)?;
            let switch = rig.lab.between.last().context("no switch")?;
            rig.lab.lb.ip("link del eth1")?;
            veth((&rig.lab.lb, "eth1"), (switch, "uplink"))?;
            switch.ip("link set uplink master br0")?;
            rig.lab.lb.ip_batch(
                "addr add 10.0.1.1/24 dev eth1\naddr add 2001:db8:2::1/64 dev eth1 nodad\n",
            )?;
            all_served(rig, rig.vip())?;
            all_served(rig, rig.vip6())?;
            go_on(&mut echoes)
        },
    )
}

#[test]
fn an_interface_to_clients_that_is_made_anew_is_followed() -> Result<()> {
    rig(
        Shape::default(),
        |config| config,
        |rig| {
            let mut echoes = rig.connect_all(SOME)?;
            rig.lab.lb.ip("link del eth0")?;
            veth((&rig.lab.client, "eth0"), (&rig.lab.lb, "eth0"))?;
            rig.lab.lb.ip_batch(
                "addr add 192.0.2.1/24 dev eth0\naddr add 2001:db8:1::1/64 dev eth0 nodad\n",
            )?;
            rig.lab.client.ip_batch(
                "addr add 192.0.2.2/24 dev eth0\naddr add 2001:db8:1::2/64 dev eth0 nodad\n\
             route add 198.51.100.0/24 via 192.0.2.1\n\
             route add 2001:db8:100::/64 via 2001:db8:1::1\n",
            )?;
            all_served(rig, rig.vip())?;
            all_served(rig, rig.vip6())?;
            go_on(&mut echoes)
        },
    )
}

/// An interface that is named but not there yet.
#[test]
fn an_interface_that_appears_later_is_attached_to() -> Result<()> {
    rig(
        Shape::default(),
        |config| config.interfaces("eth0, eth7"),
        |rig| {
            rig.connect()?.ping(b"by eth0")?;
            let other = Namespace::new("client2")?;
            veth((&other, "eth0"), (&rig.lab.lb, "eth7"))?;
            rig.lab.lb.ip("addr add 192.0.3.1/24 dev eth7")?;
            other.ip_batch(
                "addr add 192.0.3.2/24 dev eth0\nroute add 198.51.100.0/24 via 192.0.3.1\n",
            )?;
            let vip = rig.vip();
            eventually("served by eth7", || other.run(|| Echo::connect(vip)))?.ping(b"by eth7")
        },
    )
}

#[test]
fn replies_follow_a_client_that_comes_by_another_interface() -> Result<()> {
    let shape = Shape::default();
    rig(
        shape,
        |config| config.interfaces("eth0, eth7"),
        |rig| {
            veth((&rig.lab.client, "eth7"), (&rig.lab.lb, "eth7"))?;
            rig.lab.lb.ip("addr add 192.0.3.1/24 dev eth7")?;
            rig.lab.client.ip("addr add 192.0.3.2/24 dev eth7")?;
            rig.client(|| std::fs::write("/proc/sys/net/ipv4/conf/all/rp_filter", "0"))?;
            rig.client(|| std::fs::write("/proc/sys/net/ipv4/conf/eth7/rp_filter", "0"))?;
            eventually("eth7 is attached to", || {
                ensure!(rig.modes()?.contains_key("eth7"));
                Ok(())
            })?;
            let mut echoes = rig.connect_all(SOME)?;
            rig.lab.client.ip("route replace 198.51.100.0/24 via 192.0.3.1 src 192.0.2.2")?;
            go_on(&mut echoes)?;
            rig.lab.lb.ip("link set eth0 down")?;
            go_on(&mut echoes)
        },
    )
}

/// `lb status` names what stands in the way, and no more once it is gone.
#[test]
fn replies_follow_the_routing_table_where_the_host_forwards() -> Result<()> {
    let lab = Lab::new(Shape::default())?;
    let config = Config::of(&lab).datapath("returnPath: route");
    rig_on(&lab, &config, |rig| {
        let told = |rig: &Rig<'_>| -> Result<usize> {
            let faults = rig.daemon.json(&["status"])?["faults"].clone();
            let faults: Vec<String> = serde_json::from_value(faults)?;
            Ok(faults.iter().filter(|fault| fault.contains("returnPath: route")).count())
        };
        ensure!(told(rig)? > 0, "nothing says that the host doesn't forward");
        rig.lab.lb.sysctl("net/ipv4/ip_forward", "1")?;
        rig.lab.lb.sysctl("net/ipv6/conf/all/forwarding", "1")?;
        rig.reload(&config)?;
        eventually("the fault is gone", || {
            ensure!(told(rig)? == 0);
            Ok(())
        })?;
        all_served(rig, rig.vip())?;
        all_served(rig, rig.vip6())
    })
}
