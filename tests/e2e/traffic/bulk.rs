//! Much at once: large transfers, and thousands of short connections.

use anyhow::{Context, Result, ensure};
use lb_tests::{
    Back, Front, Shape,
    client::tcp::{self, Echo},
};

use super::{
    config::Config,
    kit::{Rig, names, rig},
};

const PLAIN: Shape =
    Shape { backends: 3, front: Front::Direct, back: Back::Switch, back_mtu: 1500, wires: false };
const WIRES: Shape = Shape { wires: true, ..PLAIN };

/// Bytes of a large transfer, in each direction.
const LARGE: usize = 48 << 20;

fn plain(config: Config) -> Config {
    config
}

fn native(config: Config) -> Config {
    config.interfaces("eth0, eth1").datapath("mode: native")
}

/// Bytes back and forth, each compared, and counted by lb.
fn transfer(rig: &Rig<'_>) -> Result<()> {
    for vip in [rig.vip(), rig.vip6()] {
        rig.client(|| tcp::transfer(vip, LARGE, 5)).with_context(|| vip.to_string())?;
    }
    for service in ["tcp4", "tcp6"] {
        let rows = rig.daemon.json(&["backends", service])?;
        let sum = |key: &str| -> u64 {
            rows.as_array().into_iter().flatten().filter_map(|row| row[key].as_u64()).sum()
        };
        let (there, back) = (sum("bytes"), sum("replyBytes"));
        ensure!(there >= LARGE as u64 && back >= LARGE as u64, "{service}: {there} and {back}");
    }
    let drops = rig.drops()?;
    ensure!(drops.is_empty(), "dropped: {drops:?}");
    Ok(())
}

#[test]
fn large_transfers() -> Result<()> {
    rig(PLAIN, plain, |rig| transfer(rig))
}

#[test]
fn large_transfers_in_native_mode() -> Result<()> {
    rig(WIRES, native, |rig| transfer(rig))
}

#[test]
fn large_transfers_to_containers() -> Result<()> {
    rig(Shape { back: Back::Bridge, ..PLAIN }, plain, |rig| transfer(rig))
}

/// Side by side, so that neither direction is ever idle.
#[test]
fn many_transfers_at_once() -> Result<()> {
    rig(PLAIN, plain, |rig| {
        let echoes = rig.connect_all(24)?;
        std::thread::scope(|scope| {
            let start =
                |(seed, echo): (u64, Echo)| scope.spawn(move || echo.transfer(2 << 20, seed));
            let running: Vec<_> = (0..).zip(echoes).map(start).collect();
            running.into_iter().try_for_each(|t| t.join().expect("a client panicked"))
        })
    })
}

/// From several threads at once, of both families.
fn short(rig: &Rig<'_>, each: usize) -> Result<()> {
    let vips = [rig.vip(), rig.vip6(), rig.vip(), rig.vip6()];
    std::thread::scope(|scope| {
        let start = |vip| scope.spawn(move || rig.client(|| tcp::short_connections(vip, each)));
        let running: Vec<_> = vips.into_iter().map(start).collect();
        for thread in running {
            let spread = thread.join().expect("a client panicked")?;
            ensure!(names(&spread) == ["b1", "b2", "b3"], "{spread:?}");
            ensure!(spread.values().sum::<u64>() == each as u64, "{spread:?}");
        }
        Ok(())
    })?;
    let drops = rig.drops()?;
    ensure!(drops.is_empty(), "dropped: {drops:?}");
    Ok(())
}

#[test]
fn thousands_of_short_connections() -> Result<()> {
    rig(PLAIN, plain, |rig| short(rig, 1000))
}

#[test]
fn thousands_of_short_connections_in_native_mode() -> Result<()> {
    rig(WIRES, native, |rig| short(rig, 1000))
}

/// More than the table holds in all: closed ones make room.
#[test]
fn more_connections_in_turn_than_the_table_holds() -> Result<()> {
    rig(PLAIN, |config| config.connections(1024), |rig| short(rig, 1500))
}
