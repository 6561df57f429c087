//! Floods of packets that begin connections and never finish them.

use std::{
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    sync::atomic::{AtomicBool, Ordering},
};

use anyhow::{Context, Result, ensure};
use lb_common::csum;
use lb_tests::{Shape, client::tcp::Echo, lab::VIP4};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::kit::{PORT, Rig, rig};

/// Packets of a flood: many times what the table holds.
const FLOOD: u32 = 100_000;
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

/// A TCP packet without payload, from an address of the client's network that no one has.
fn packet(n: u32, flags: u8) -> [u8; 40] {
    let source = Ipv4Addr::new(192, 0, 2, 10 + (n % 240) as u8);
    let port = 1024 + (n / 240 % 64_000) as u16;
    let mut packet = [0; 40];
    packet[..12].copy_from_slice(&[0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0]);
    packet[12..16].copy_from_slice(&source.octets());
    packet[16..20].copy_from_slice(&VIP4.octets());
    packet[20..22].copy_from_slice(&port.to_be_bytes());
    packet[22..24].copy_from_slice(&PORT.to_be_bytes());
    packet[24..28].copy_from_slice(&n.wrapping_mul(0x9e37_79b9).to_be_bytes());
    packet[32..36].copy_from_slice(&[5 << 4, flags, 0x20, 0]);
    let sum = csum::of(&[&packet[12..20], &[0, 6, 0, 20], &packet[20..]]);
    packet[36..38].copy_from_slice(&sum.to_ne_bytes());
    packet
}

/// Sends the flood; each packet is of a connection of its own.
fn flood(flags: u8) -> Result<()> {
    let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(255)))?;
    let to = SockAddr::from(SocketAddrV4::new(VIP4, PORT));
    for n in 0..FLOOD {
        // A full queue on the way out is part of a flood.
        match socket.send_to(&packet(n, flags), &to) {
            Err(e) if e.raw_os_error() != Some(105) => Err(e).context("sending the flood")?,
            _ => {}
        }
    }
    Ok(())
}

/// A client that comes in the middle of it.
fn fresh(vip: SocketAddr) -> Result<()> {
    let mut echo = Echo::connect(vip)?;
    echo.ping(b"in between")?;
    echo.close()
}

/// Established connections go on through it, and others begin.
fn withstand(rig: &Rig<'_>, flags: u8) -> Result<()> {
    let mut echoes = rig.connect_all(300)?;
    let (vip, over) = (rig.vip(), AtomicBool::new(false));
    let through = std::thread::scope(|scope| -> Result<u64> {
        let flooding = scope.spawn(|| {
            let sent = rig.client(|| flood(flags));
            over.store(true, Ordering::Relaxed);
            sent
        });
        let clients = scope.spawn(|| {
            rig.client(|| {
                let mut count = 0;
                while !over.load(Ordering::Relaxed) {
                    count += u64::from(fresh(vip).is_ok());
                }
                count
            })
        });
        while !over.load(Ordering::Relaxed) {
            for (n, echo) in echoes.iter_mut().enumerate() {
                echo.ping(b"still here").with_context(|| format!("established {n}"))?;
            }
        }
        flooding.join().expect("the flood panicked")?;
        Ok(clients.join().expect("a client panicked"))
    })?;
    ensure!(through > 0, "no fresh client got through");
    for (n, echo) in echoes.iter_mut().enumerate() {
        echo.ping(b"after all").with_context(|| format!("established {n}, after the flood"))?;
    }
    let flows = rig.flows(&["--service", "tcp4", "--state", "established", "--limit", "0"])?;
    ensure!(flows.len() >= echoes.len(), "{} established flows are left", flows.len());
    rig.spread(20).map(drop)
}

#[test]
fn a_flood_of_syns_throws_no_established_flow_out() -> Result<()> {
    rig(Shape::default(), |config| config.connections(1024), |rig| withstand(rig, SYN))
}

#[test]
fn a_flood_of_syns_throws_no_established_flow_out_in_native_mode() -> Result<()> {
    let shape = Shape { wires: true, ..Shape::default() };
    rig(
        shape,
        |config| config.connections(1024).interfaces("eth0, eth1").datapath("mode: native"),
        |rig| withstand(rig, SYN),
    )
}

/// ACKs of no connection are picked up where backends are chosen by hash, and get no room
/// among the established.
#[test]
fn a_flood_of_acks_throws_no_established_flow_out() -> Result<()> {
    rig(Shape::default(), |config| config.connections(1024), |rig| withstand(rig, ACK))
}
