//! The five algorithms as clients see them.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Result, ensure};
use lb_tests::{
    Shape,
    client::{Spread, tcp::Echo},
};

use super::{
    config::Config,
    kit::{Rig, names, rig},
};

fn with(algorithm: &str) -> impl FnOnce(Config) -> Config {
    let option = format!("algorithm: {algorithm}");
    move |config| config.service(&option)
}

/// Each of three backends near its third: five standard deviations and more either way.
fn even(spread: &Spread) -> Result<()> {
    let total: u64 = spread.values().sum();
    let third = total / 3;
    let slack = 5 * (total as f64 * 2.0 / 9.0).sqrt() as u64 + 1;
    ensure!(names(spread) == ["b1", "b2", "b3"], "{spread:?}");
    ensure!(spread.values().all(|n| n.abs_diff(third) <= slack), "{spread:?}");
    Ok(())
}

#[test]
fn maglev_spreads_connections_evenly() -> Result<()> {
    rig(Shape::default(), with("maglev"), |rig| {
        even(&rig.spread(300)?)?;
        even(&rig.udp_spread(300)?)
    })
}

#[test]
fn random_spreads_connections_evenly() -> Result<()> {
    rig(Shape::default(), with("random"), |rig| {
        even(&rig.spread(300)?)?;
        even(&rig.udp_spread(300)?)
    })
}

#[test]
fn round_robin_takes_turns() -> Result<()> {
    rig(Shape::default(), with("roundRobin"), |rig| {
        let spread = rig.spread(300)?;
        // Each CPU has turns of its own, at most one of them unfinished.
        let cpus = std::thread::available_parallelism()?.get() as u64;
        ensure!(names(&spread) == ["b1", "b2", "b3"], "{spread:?}");
        ensure!(spread.values().all(|n| n.abs_diff(100) <= cpus), "{spread:?}");
        Ok(())
    })
}

#[test]
fn least_conn_evens_out_open_connections() -> Result<()> {
    rig(Shape::default(), with("leastConn"), |rig| {
        // All but those on b1 are closed: it is the fullest then.
        let mut held = rig.connect_all(60)?;
        held.retain(|echo| echo.server == "b1");
        let before = held.len() as u64;
        ensure!((10..=30).contains(&before), "{before} of 60 on b1");
        rig.daemon.wait_for("closed ones are not counted", super::kit::PATIENCE, |_| {
            Ok(rig.flows(&["--state", "established"])?.len() as u64 == before)
        })?;
        held.extend(rig.connect_all(100)?);
        let mut open = Spread::new();
        held.iter().for_each(|echo| *open.entry(echo.server.clone()).or_default() += 1);
        let (least, most) = (open.values().min(), open.values().max());
        ensure!(open.len() == 3, "{open:?}");
        ensure!(most.zip(least).is_some_and(|(most, least)| most - least <= 20), "{open:?}");
        Ok(())
    })
}

/// `192.0.2.101` and on: more addresses of the client.
fn addresses(rig: &Rig<'_>, count: u8) -> Result<Vec<SocketAddr>> {
    let all: Vec<Ipv4Addr> = (101..101 + count).map(|n| Ipv4Addr::new(192, 0, 2, n)).collect();
    let lines: String = all.iter().map(|ip| format!("addr add {ip}/24 dev eth0\n")).collect();
    rig.lab.client.ip_batch(&lines)?;
    Ok(all.into_iter().map(|ip| (ip, 0).into()).collect())
}

#[test]
fn source_hash_sticks_to_the_client_address() -> Result<()> {
    rig(Shape::default(), with("sourceHash"), |rig| {
        let vip = rig.vip();
        let mut clients = Spread::new();
        for source in addresses(rig, 60)? {
            let first = rig.client(|| Echo::connect_from(source, vip))?;
            for _ in 0..4 {
                let again = rig.client(|| Echo::connect_from(source, vip))?;
                ensure!(again.server == first.server, "{} moved", source.ip());
            }
            *clients.entry(first.server).or_default() += 1;
        }
        ensure!(names(&clients) == ["b1", "b2", "b3"], "{clients:?}");
        Ok(())
    })
}

#[test]
fn source_hash_moves_only_the_clients_of_a_backend_that_leaves() -> Result<()> {
    rig(Shape::default(), with("sourceHash"), |rig| {
        let vip = rig.vip();
        let sources = addresses(rig, 60)?;
        let ask = |source: &SocketAddr| rig.client(|| Echo::connect_from(*source, vip));
        let before = sources.iter().map(ask).collect::<Result<Vec<_>>>()?;
        rig.daemon.ok(&["drain", "tcp4", "10.0.1.12:7000"])?;
        let mut moved = 0;
        for (source, before) in sources.iter().zip(&before) {
            let now = ask(source)?.server;
            ensure!(now != "b2", "{source} went to a drained backend");
            moved += usize::from(before.server != "b2" && now != before.server);
        }
        ensure!(moved <= 3, "{moved} of 60 moved without need");
        Ok(())
    })
}
