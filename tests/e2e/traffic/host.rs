//! What a VIP is on its host: an address that lb adds, announces and takes
//! away, and whose other ports are the host's.

use std::{
    io::{ErrorKind, Read},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream},
};

use anyhow::{Context, Result, ensure};
use lb_common::csum;
use lb_tests::{
    Daemon, Lab, Shape,
    client::{
        tcp::{self, Echo},
        udp::Pinger,
    },
    lab::{VIP4, VIP6},
    server::{UdpEcho, echo},
};
use socket2::{Domain, Protocol, Socket, Type};

use super::{
    config::Config,
    kit::{PATIENCE, Rig, eventually, rig},
};
use crate::net::{kit::inside, sniff::Sniffer};

#[test]
fn other_ports_of_a_vip_are_the_hosts() -> Result<()> {
    rig(
        Shape::default(),
        |config| config,
        |rig| {
            for vip in [rig.lab.vip(8080), rig.lab.vip6(8080)] {
                let _tcp = echo::start(&rig.lab.lb, vip, "lb")?;
                let _udp = UdpEcho::start(&rig.lab.lb, vip, "lb")?;
                ensure!(rig.client(|| tcp::transfer(vip, 1 << 20, 1))? == "lb");
                ensure!(rig.client(|| Pinger::new(vip)?.ping(&[7; 4000]))? == "lb");
            }
            // lb's own ports go where they did.
            rig.connect()?.ping(b"beside it")
        },
    )
}

#[test]
fn closed_ports_of_a_vip_are_refused_by_the_host() -> Result<()> {
    rig(
        Shape::default(),
        |config| config,
        |rig| {
            for vip in [rig.lab.vip(8080), rig.lab.vip6(8080)] {
                let refused = rig.client(|| TcpStream::connect_timeout(&vip, PATIENCE));
                let kind = refused.err().context("connected")?.kind();
                ensure!(kind == ErrorKind::ConnectionRefused, "{vip}: {kind}");
            }
            Ok(())
        },
    )
}

/// The answer to an echo request of so many bytes.
fn ping(to: IpAddr, len: usize) -> Result<()> {
    let (domain, protocol, request, reply) = match to {
        IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4, 8, 0),
        IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6, 128, 129),
    };
    let socket = Socket::new(domain, Type::RAW, Some(protocol))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut packet = vec![request, 0, 0, 0, 0x12, 0x34, 0, 1];
    packet.resize(8 + len, 0xa5);
    // The kernel does it for ICMPv6 (RFC 3542 §3.1).
    if to.is_ipv4() {
        let sum = csum::of(&[&packet]);
        packet[2..4].copy_from_slice(&sum.to_ne_bytes());
    }
    socket.send_to(&packet, &SocketAddr::new(to, 0).into())?;
    loop {
        let mut buffer = [0; 65_536];
        let n = (&socket).read(&mut buffer).with_context(|| format!("an answer of {to}"))?;
        let header = if to.is_ipv4() { 20 } else { 0 };
        let answer = buffer.get(header..n).unwrap_or_default();
        if answer.first() == Some(&reply) && answer.get(4..8) == packet.get(4..8) {
            ensure!(answer[8..] == packet[8..], "the answer differs");
            return Ok(());
        }
    }
}

#[test]
fn the_host_answers_pings_of_its_vips() -> Result<()> {
    rig(
        Shape::default(),
        |config| config,
        |rig| {
            for vip in [IpAddr::from(VIP4), VIP6.into()] {
                for len in [0, 56, 1400] {
                    rig.client(|| ping(vip, len))?;
                }
            }
            Ok(())
        },
    )
}

/// In fragments, which only VIP traffic of lb's own ports must not get.
#[test]
fn the_host_answers_pings_in_fragments() -> Result<()> {
    rig(
        Shape::default(),
        |config| config,
        |rig| {
            rig.client(|| ping(VIP4.into(), 8000))?;
            rig.client(|| ping(VIP6.into(), 8000))
        },
    )
}

const MORE4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 77);

/// With one more entry point of `tcp4`, at an address of its own.
fn with_more(config: &Config, address: &str) -> String {
    let text = config.to_string();
    let text = text.replace(
        "entryPoints:\n",
        &format!("entryPoints:\n  more: {{ address: \"{address}:7000\" }}\n"),
    );
    text.replace("entryPoints: [tcp4]", "entryPoints: [tcp4, more]")
}

fn addresses(rig: &Rig<'_>) -> Result<String> {
    rig.lab.lb.ip("-br addr show")
}

#[test]
fn a_vip_comes_and_goes_with_its_entry_point() -> Result<()> {
    rig(
        Shape::default(),
        |config| config,
        |rig| {
            let (plain, more) = (Config::of(rig.lab), SocketAddr::from((MORE4, 7000)));
            ensure!(!addresses(rig)?.contains("198.51.100.77"));
            rig.daemon.configure(&with_more(&plain, "198.51.100.77"))?;
            rig.daemon.ok(&["reload"])?;
            eventually("the address is there", || {
                ensure!(addresses(rig)?.contains("198.51.100.77/32"));
                Ok(())
            })?;
            rig.client(|| tcp::short_connections(more, 10))?;
            let mut kept = rig.client(|| Echo::connect(more))?;
            rig.reload(&plain)?;
            eventually("the address is gone", || {
                ensure!(!addresses(rig)?.contains("198.51.100.77"));
                Ok(())
            })?;
            let patience = std::time::Duration::from_secs(1);
            ensure!(
                rig.client(|| Echo::connect_within(more, patience)).is_err(),
                "still forwarded"
            );
            ensure!(kept.ping(b"of no VIP").is_err(), "still forwarded");
            rig.connect()?.ping(b"the others stay")
        },
    )
}

/// Whether both families are announced where clients are.
#[test]
fn a_new_vip_is_announced() -> Result<()> {
    for address in ["198.51.100.77", "2001:db8:100::77"] {
        let ip: IpAddr = address.parse()?;
        let shown = if ip.is_ipv4() { address.to_owned() } else { format!("[{address}]") };
        let tcp = if ip.is_ipv4() { "tcp4" } else { "tcp6" };
        rig(
            Shape::default(),
            |config| config,
            |rig| {
                let sniffer = Sniffer::start(&rig.lab.client, ip)?;
                let text = with_more(&Config::of(rig.lab), &shown);
                let text = text.replace("[tcp4, more]", "[tcp4]");
                let text = text.replace(
                    &format!("{{ entryPoints: [{tcp}]"),
                    &format!("{{ entryPoints: [{tcp}, more]"),
                );
                rig.daemon.configure(&text)?;
                rig.daemon.ok(&["reload"])?;
                let mac = inside(&rig.lab.client, async || sniffer.next().await)?;
                ensure!(mac == rig.lab.lb.mac("eth0")?, "{address} at {mac:x?}");
                Ok(())
            },
        )?;
    }
    Ok(())
}

#[test]
fn an_address_of_the_hosts_own_is_used_and_left() -> Result<()> {
    let lab = Lab::new(Shape::default())?;
    lab.lb.ip(&format!("addr add {VIP4}/32 dev lo"))?;
    let daemon = Daemon::start(&lab.lb, &Config::of(&lab).to_string())?;
    let status = daemon.json(&["status"])?;
    let rows = status["datapath"]["addresses"].as_array().context("no addresses")?;
    let added = |ip: IpAddr| {
        let row = rows.iter().find(|row| row["address"] == ip.to_string().as_str());
        row.and_then(|row| row["added"].as_bool())
    };
    ensure!((added(VIP4.into()), added(VIP6.into())) == (Some(false), Some(true)), "{rows:?}");
    daemon.ok(&["detach"])?;
    let left = lab.lb.ip("addr show")?;
    ensure!(left.contains(&VIP4.to_string()), "removed: {left}");
    ensure!(!left.contains(&VIP6.to_string()), "left: {left}");
    Ok(())
}
