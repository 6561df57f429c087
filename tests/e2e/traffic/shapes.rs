//! Every shape of network, by TCP and UDP, IPv4 and IPv6, in the mode that is right there.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use lb_tests::{
    Back, Front, Shape,
    client::{
        tcp::{self, Echo},
        udp::Pinger,
    },
    pattern,
};

use super::kit::{Rig, names, rig};

/// Why TC, on interfaces that packets of this very machine come in by.
const VETH: (&str, &str) = ("tc", "veth hands over GSO frames and unfinished checksums");
const BRIDGE: (&str, &str) = ("tc", "a bridge hands over GSO frames and unfinished checksums");
const NATIVE: (&str, &str) = (
    "native",
    "as configured, though right only where every peer sends finished checksums and no GSO frames",
);

const PLAIN: Shape =
    Shape { backends: 3, front: Front::Direct, back: Back::Switch, back_mtu: 1500, wires: false };
const WIRES: Shape = Shape { wires: true, ..PLAIN };

/// What a way must carry, whatever its MTU: both sides have to find it out.
fn carries_tcp(rig: &Rig<'_>, vip: SocketAddr) -> Result<()> {
    for seed in 0..3 {
        rig.client(|| tcp::transfer(vip, 4 << 20, seed)).context("a transfer")?;
    }
    let spread = rig.client(|| tcp::short_connections(vip, 60))?;
    ensure!(names(&spread) == ["b1", "b2", "b3"], "{spread:?}");
    // Both directions at once, on several connections side by side.
    std::thread::scope(|scope| {
        let echoes = (0..4).map(|n| {
            let echo = rig.client(|| Echo::connect(vip))?;
            Ok(scope.spawn(move || echo.transfer(1 << 20, n)))
        });
        let running = echoes.collect::<Result<Vec<_>>>()?;
        running.into_iter().try_for_each(|t| t.join().expect("a client panicked"))
    })
}

/// Datagrams of one byte up to the longest, in fragments where they must be.
fn carries_udp(rig: &Rig<'_>, vip: SocketAddr) -> Result<()> {
    let spread = rig.client(|| lb_tests::client::udp::spread(vip, 60))?;
    ensure!(names(&spread) == ["b1", "b2", "b3"], "{spread:?}");
    rig.client(|| {
        let pinger = Pinger::new(vip)?;
        for len in [1, 1000, 1200, 1400, 1472, 1473, 3000, 9000, 60_000] {
            found_out(&pinger, len).with_context(|| format!("a datagram of {len} bytes"))?;
        }
        Ok(())
    })
}

/// A datagram may be lost while the MTU of the path is being found out, at each end and hop.
fn found_out(pinger: &Pinger, len: usize) -> Result<String> {
    let payload = pattern::bytes(len, 3);
    pinger.socket.set_read_timeout(Some(std::time::Duration::from_secs(1)))?;
    let mut attempts = (0..6).map(|_| pinger.ping(&payload));
    attempts.find(|answer| answer.is_ok()).unwrap_or_else(|| pinger.ping(&payload))
}

/// What may be dropped: only what the MTU of a path explains.
fn nothing_lost(rig: &Rig<'_>, small: bool) -> Result<()> {
    let mut drops = rig.drops()?;
    if small {
        drops.remove("too_big");
        drops.remove("fragment_without_first");
    }
    ensure!(drops.is_empty(), "dropped: {drops:?}");
    Ok(())
}

fn run(
    shape: Shape,
    modes: &[(&str, (&str, &str))],
    work: fn(&Rig<'_>) -> Result<()>,
) -> Result<()> {
    let named: Vec<&str> =
        modes.iter().filter(|(_, mode)| *mode == NATIVE).map(|(name, _)| *name).collect();
    let configure = |config: super::config::Config| match named.is_empty() {
        true => config,
        false => config.interfaces(&named.join(", ")).datapath("mode: native"),
    };
    rig(shape, configure, |rig| {
        let found = rig.modes()?;
        let found: Vec<_> = (found.iter())
            .map(|(name, (mode, why))| (name.as_str(), (mode.as_str(), why.as_str())))
            .collect();
        ensure!(found == modes, "attached: {found:?}");
        work(rig)?;
        let small = shape.back_mtu < 1500
            || matches!(shape.front, Front::Router(_))
            || matches!(shape.back, Back::Gateway(_));
        nothing_lost(rig, small)
    })
}

macro_rules! shapes {
    ($($name:ident: $shape:expr, [$($dev:literal $mode:expr),+];)+) => {$(
        mod $name {
            use super::*;

            const MODES: &[(&str, (&str, &str))] = &[$(($dev, $mode)),+];

            #[test]
            fn tcp4() -> Result<()> {
                run($shape, MODES, |rig| carries_tcp(rig, rig.vip()))
            }

            #[test]
            fn tcp6() -> Result<()> {
                run($shape, MODES, |rig| carries_tcp(rig, rig.vip6()))
            }

            #[test]
            fn udp4() -> Result<()> {
                run($shape, MODES, |rig| carries_udp(rig, rig.vip()))
            }

            #[test]
            fn udp6() -> Result<()> {
                run($shape, MODES, |rig| carries_udp(rig, rig.vip6()))
            }
        }
    )+};
}

shapes! {
    switch: PLAIN, ["eth0" VETH, "eth1" VETH];
    switch_of_wires: WIRES, ["eth0" NATIVE, "eth1" NATIVE];
    small_mtu: Shape { back_mtu: 1280, ..PLAIN }, ["eth0" VETH, "eth1" VETH];
    small_mtu_of_wires: Shape { back_mtu: 1280, ..WIRES }, ["eth0" NATIVE, "eth1" NATIVE];
    router: Shape { front: Front::Router(1280), ..PLAIN }, ["eth0" VETH, "eth1" VETH];
    router_of_wires: Shape { front: Front::Router(1280), ..WIRES }, ["eth0" NATIVE, "eth1" NATIVE];
    gateway: Shape { back: Back::Gateway(1280), ..PLAIN }, ["eth0" VETH, "eth1" VETH];
    gateway_of_wires: Shape { back: Back::Gateway(1280), ..WIRES }, ["eth0" NATIVE, "eth1" NATIVE];
    router_and_gateway: Shape { front: Front::Router(1400), back: Back::Gateway(1280), ..PLAIN },
        ["eth0" VETH, "eth1" VETH];
    bridge: Shape { back: Back::Bridge, ..PLAIN }, ["br0" BRIDGE, "eth0" VETH];
    bridge_behind_a_wire: Shape { back: Back::Bridge, ..WIRES }, ["br0" BRIDGE, "eth0" NATIVE];
    routed: Shape { back: Back::Routed, ..PLAIN },
        ["eth0" VETH, "vb1" VETH, "vb2" VETH, "vb3" VETH];
    routed_behind_a_wire: Shape { back: Back::Routed, ..WIRES },
        ["eth0" NATIVE, "vb1" VETH, "vb2" VETH, "vb3" VETH];
    one_arm: Shape { back: Back::OneArm, ..PLAIN }, ["eth0" VETH];
    one_arm_of_wires: Shape { back: Back::OneArm, ..WIRES }, ["eth0" NATIVE];
    vlan: Shape { front: Front::Vlan(100), ..PLAIN }, ["eth0" VETH, "eth1" VETH];
    vlan_of_wires: Shape { front: Front::Vlan(100), ..WIRES }, ["eth0" NATIVE, "eth1" NATIVE];
}
