//! What operators do to backends: drain, weigh, add and remove, under connections.

use std::io::{ErrorKind, Read};

use anyhow::{Context, Result, ensure};
use lb_tests::{
    Shape,
    client::{tcp::Echo, udp::Pinger},
};

use super::{
    config::Config,
    kit::{PATIENCE, Rig, names, rig},
};

/// Connections of which some are on each of three backends.
const SOME: usize = 40;
const B1: &str = "10.0.1.11:7000";

/// Splits connections into those on `b1` and the others.
fn on_b1(echoes: Vec<Echo>) -> Result<(Vec<Echo>, Vec<Echo>)> {
    let (on_it, others): (Vec<_>, Vec<_>) = echoes.into_iter().partition(|e| e.server == "b1");
    ensure!(!on_it.is_empty() && !others.is_empty(), "badly spread");
    Ok((on_it, others))
}

fn all_live(echoes: &mut [Echo]) -> Result<()> {
    echoes.iter_mut().try_for_each(|echo| echo.ping(b"live"))
}

/// Every one ends by RST, without sending anything.
fn all_reset(echoes: Vec<Echo>) -> Result<()> {
    for mut echo in echoes {
        echo.stream.set_read_timeout(Some(PATIENCE))?;
        let end = echo.stream.read(&mut [0; 1]).err().context("not an error")?;
        ensure!(end.kind() == ErrorKind::ConnectionReset, "{}: {end}", echo.server);
    }
    Ok(())
}

#[test]
fn a_drained_backend_keeps_what_it_has_and_gets_nothing_new() -> Result<()> {
    rig(
        Shape::default(),
        |config| config,
        |rig| {
            let mut echoes = rig.connect_all(SOME)?;
            rig.daemon.ok(&["drain", "tcp4", B1])?;
            ensure!(names(&rig.spread(SOME)?) == ["b2", "b3"]);
            all_live(&mut echoes)?;
            ensure!(names(&rig.udp_spread(SOME)?) == ["b1", "b2", "b3"], "udp4 was not drained");
            Ok(())
        },
    )
}

#[test]
fn an_undrained_backend_gets_new_ones_again() -> Result<()> {
    rig(
        Shape::default(),
        |config| config,
        |rig| {
            let mut echoes = rig.connect_all(SOME)?;
            rig.daemon.ok(&["drain", "tcp4", B1])?;
            let mut more = rig.connect_all(SOME)?;
            ensure!(more.iter().all(|echo| echo.server != "b1"));
            rig.daemon.ok(&["undrain", "tcp4", B1])?;
            ensure!(names(&rig.spread(SOME)?) == ["b1", "b2", "b3"]);
            all_live(&mut echoes)?;
            all_live(&mut more)
        },
    )
}

#[test]
fn a_drained_udp_backend_keeps_its_clients() -> Result<()> {
    rig(
        Shape::default(),
        |config| config,
        |rig| {
            let vip = rig.vip();
            let pingers: Vec<Pinger> =
                rig.client(|| (0..SOME).map(|_| Pinger::new(vip)).collect::<Result<_>>())?;
            let ping = || pingers.iter().map(|p| p.ping(b"x")).collect::<Result<Vec<String>>>();
            let before = ping()?;
            rig.daemon.ok(&["drain", "udp4", B1])?;
            ensure!(names(&rig.udp_spread(SOME)?) == ["b2", "b3"]);
            ensure!(ping()? == before);
            Ok(())
        },
    )
}

#[test]
fn past_its_drain_time_a_drained_backend_loses_its_connections() -> Result<()> {
    rig(
        Shape::default(),
        |config| config.service("drainTimeout: 2s"),
        |rig| {
            let (on_it, mut others) = on_b1(rig.connect_all(SOME)?)?;
            rig.daemon.ok(&["drain", "tcp4", B1])?;
            all_reset(on_it)?;
            all_live(&mut others)
        },
    )
}

#[test]
fn within_its_drain_time_a_backend_can_be_taken_back() -> Result<()> {
    rig(
        Shape::default(),
        |config| config.service("drainTimeout: 3s"),
        |rig| {
            let mut echoes = rig.connect_all(SOME)?;
            rig.daemon.ok(&["drain", "tcp4", B1])?;
            rig.daemon.ok(&["undrain", "tcp4", B1])?;
            std::thread::sleep(std::time::Duration::from_secs(4));
            all_live(&mut echoes)
        },
    )
}

/// Takes `b1` out of the file.
fn without_b1(rig: &Rig<'_>, options: &str) -> Result<()> {
    let mut config = Config::of(rig.lab).service(options);
    config.servers.remove(0);
    rig.reload(&config)
}

#[test]
fn a_removed_backend_keeps_what_it_has() -> Result<()> {
    rig(
        Shape::default(),
        |config| config,
        |rig| {
            let mut echoes = rig.connect_all(SOME)?;
            without_b1(rig, "drainTimeout: 5m")?;
            ensure!(names(&rig.spread(SOME)?) == ["b2", "b3"]);
            ensure!(rig.backend("tcp4", "b1")?["leaving"] == true);
            all_live(&mut echoes)
        },
    )
}

#[test]
fn past_its_drain_time_a_removed_backend_loses_its_connections() -> Result<()> {
    rig(
        Shape::default(),
        |config| config.service("drainTimeout: 2s"),
        |rig| {
            let (on_it, mut others) = on_b1(rig.connect_all(SOME)?)?;
            without_b1(rig, "drainTimeout: 2s")?;
            all_reset(on_it)?;
            all_live(&mut others)
        },
    )
}

#[test]
fn a_removed_backend_can_return_to_its_connections() -> Result<()> {
    rig(
        Shape::default(),
        |config| config,
        |rig| {
            let mut echoes = rig.connect_all(SOME)?;
            without_b1(rig, "drainTimeout: 5m")?;
            rig.reload(&Config::of(rig.lab))?;
            ensure!(names(&rig.spread(SOME)?) == ["b1", "b2", "b3"]);
            all_live(&mut echoes)
        },
    )
}

/// `count` connections in turn, compared with the weights: each CPU has a
/// rotation of its own, so that what they left unfinished may differ.
fn follows(rig: &Rig<'_>, weights: [u64; 3]) -> Result<()> {
    let round: u64 = weights.iter().sum();
    let rounds = 20;
    let spread = rig.spread(usize::try_from(round * rounds)?)?;
    let cpus = std::thread::available_parallelism()?.get() as u64;
    for (name, weight) in ["b1", "b2", "b3"].into_iter().zip(weights) {
        let (got, fair) = (spread.get(name).copied().unwrap_or(0), weight * rounds);
        ensure!(got.abs_diff(fair) <= weight * cpus, "{name} of weight {weight}: {spread:?}");
    }
    Ok(())
}

#[test]
fn the_spread_follows_the_weights() -> Result<()> {
    let configure = |config: Config| config.weights(&[4, 1, 2]).service("algorithm: roundRobin");
    rig(Shape::default(), configure, |rig| follows(rig, [4, 1, 2]))
}

#[test]
fn the_spread_follows_lb_weight_and_its_reset() -> Result<()> {
    rig(
        Shape::default(),
        |config| config.service("algorithm: roundRobin"),
        |rig| {
            let mut echoes = rig.connect_all(SOME)?;
            rig.daemon.ok(&["weight", "tcp4", B1, "5"])?;
            follows(rig, [5, 1, 1])?;
            rig.daemon.ok(&["weight", "tcp4", B1, "0"])?;
            follows(rig, [0, 1, 1])?;
            rig.daemon.ok(&["weight", "tcp4", B1, "--reset"])?;
            follows(rig, [1, 1, 1])?;
            all_live(&mut echoes)
        },
    )
}

#[test]
fn the_spread_follows_weights_in_the_file() -> Result<()> {
    let configure = |config: Config| config.service("algorithm: roundRobin");
    rig(Shape::default(), configure, |rig| {
        let mut echoes = rig.connect_all(SOME)?;
        rig.reload(&configure(Config::of(rig.lab)).weights(&[1, 3, 0]))?;
        follows(rig, [1, 3, 0])?;
        all_live(&mut echoes)
    })
}
