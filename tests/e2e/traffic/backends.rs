//! Backends that die, are cut off, stop, and come back; services without any.

use std::io::{ErrorKind, Read};

use anyhow::{Context, Result, ensure};
use lb_tests::{
    Shape,
    client::{
        tcp::{self, Echo},
        udp::Pinger,
    },
};

use super::kit::{PATIENCE, Rig, eventually, names, rig};

/// Connections of which some are on each of three backends.
const SOME: usize = 40;

#[test]
fn a_killed_backend_is_taken_out_and_the_others_are_unharmed() -> Result<()> {
    rig(
        Shape::default(),
        |config| config.checked(),
        |rig| {
            let mut echoes = rig.connect_all(SOME)?;
            rig.servers[0].kill();
            for service in ["tcp4", "tcp6", "udp4", "udp6"] {
                rig.wait_state(service, "b1", "down")?;
            }
            ensure!(names(&rig.spread(SOME)?) == ["b2", "b3"]);
            ensure!(names(&rig.udp_spread(SOME)?) == ["b2", "b3"]);
            for echo in &mut echoes {
                let alive = echo.ping(b"still here?").is_ok();
                ensure!(alive == (echo.server != "b1"), "{} alive: {alive}", echo.server);
            }
            let why = rig.backend("tcp4", "b1")?["lastCheck"].clone();
            ensure!(why.as_str().is_some_and(|why| why.contains("refused")), "{why}");
            Ok(())
        },
    )
}

#[test]
fn a_backend_that_returns_is_taken_in_again() -> Result<()> {
    rig(
        Shape::default(),
        |config| config.checked(),
        |rig| {
            rig.servers[0].kill();
            rig.wait_state("tcp4", "b1", "down")?;
            let mut echoes = rig.connect_all(SOME)?;
            let host = &rig.lab.backends[0];
            rig.servers[0].revive(host)?;
            rig.wait_all_up()?;
            ensure!(names(&rig.spread(SOME)?) == ["b1", "b2", "b3"]);
            ensure!(names(&rig.udp_spread(SOME)?) == ["b1", "b2", "b3"]);
            echoes.iter_mut().try_for_each(|echo| echo.ping(b"unmoved"))
        },
    )
}

#[test]
fn udp_clients_of_a_killed_backend_move_at_once() -> Result<()> {
    rig(
        Shape::default(),
        |config| config.checked(),
        |rig| {
            let vip = rig.vip();
            let pingers: Vec<Pinger> =
                rig.client(|| (0..SOME).map(|_| Pinger::new(vip)).collect::<Result<_>>())?;
            let before: Vec<String> =
                pingers.iter().map(|p| p.ping(b"before")).collect::<Result<_>>()?;
            ensure!(before.iter().any(|name| name == "b1"), "{before:?}");
            rig.servers[0].kill();
            rig.wait_state("udp4", "b1", "down")?;
            for (pinger, before) in pingers.iter().zip(&before) {
                let now = pinger.ping(b"after")?;
                ensure!(now != "b1" && (before == "b1" || now == *before), "{before} became {now}");
            }
            Ok(())
        },
    )
}

/// A server that no longer listens is found dead, while the connections it has would go on.
fn stopped(option: &str, work: impl FnOnce(&mut Echo) -> Result<()>) -> Result<()> {
    rig(
        Shape::default(),
        |config| config.checked().tcp(option),
        |rig| {
            let mut echoes = rig.connect_all(SOME)?;
            rig.servers[0].tcp[0].stop();
            rig.wait_state("tcp4", "b1", "down")?;
            ensure!(names(&rig.spread(SOME)?) == ["b2", "b3"]);
            let on_it = echoes.iter().position(|echo| echo.server == "b1").context("none on b1")?;
            work(&mut echoes.swap_remove(on_it))?;
            let mut others = echoes.iter_mut().filter(|echo| echo.server != "b1");
            others.try_for_each(|echo| echo.ping(b"unharmed"))
        },
    )
}

#[test]
fn on_down_keep_leaves_connections_to_their_backend() -> Result<()> {
    stopped("onDown: keep", |echo| echo.ping(b"it still answers"))
}

#[test]
fn keep_is_the_default_of_on_down() -> Result<()> {
    stopped("onEmpty: drop", |echo| echo.ping(b"it still answers"))
}

#[test]
fn on_down_reset_ends_connections_even_idle_ones() -> Result<()> {
    stopped("onDown: reset", |echo| {
        let end = echo.stream.read(&mut [0; 1]).err().context("not an error")?;
        ensure!(end.kind() == ErrorKind::ConnectionReset, "{end}");
        Ok(())
    })
}

/// With every server killed.
fn emptied(option: &str, work: impl FnOnce(&mut Rig<'_>) -> Result<()>) -> Result<()> {
    rig(
        Shape::default(),
        |config| config.checked().service(option),
        |rig| {
            rig.servers.iter_mut().for_each(super::kit::Servers::kill);
            for service in ["tcp4", "tcp6", "udp4", "udp6"] {
                for name in ["b1", "b2", "b3"] {
                    rig.wait_state(service, name, "down")?;
                }
            }
            work(rig)
        },
    )
}

#[test]
fn on_empty_reset_refuses_clients() -> Result<()> {
    emptied("onEmpty: reset", |rig| {
        for vip in [rig.vip(), rig.vip6()] {
            let refused = rig.client(|| std::net::TcpStream::connect_timeout(&vip, PATIENCE));
            let kind = refused.err().context("connected")?.kind();
            ensure!(kind == ErrorKind::ConnectionRefused, "TCP to {vip}: {kind}");
            let refused = rig.client(|| {
                let pinger = Pinger::new(vip)?;
                pinger.socket.send(b"anybody?")?;
                Ok::<_, anyhow::Error>(pinger.socket.recv(&mut [0; 16]))
            })?;
            let kind = refused.err().context("answered")?.kind();
            ensure!(kind == ErrorKind::ConnectionRefused, "UDP to {vip}: {kind}");
        }
        let drops = rig.drops()?;
        ensure!(drops.get("no_backend_reset").is_some_and(|n| *n >= 4), "{drops:?}");
        Ok(())
    })
}

#[test]
fn on_empty_drop_leaves_clients_without_an_answer() -> Result<()> {
    emptied("onEmpty: drop", |rig| {
        let patience = std::time::Duration::from_secs(1);
        for vip in [rig.vip(), rig.vip6()] {
            let silent = rig.client(|| std::net::TcpStream::connect_timeout(&vip, patience));
            let kind = silent.err().context("connected")?.kind();
            ensure!(kind == ErrorKind::TimedOut, "TCP to {vip}: {kind}");
            let silent = rig.client(|| {
                let pinger = Pinger::new(vip)?;
                pinger.socket.set_read_timeout(Some(patience))?;
                pinger.socket.send(b"anybody?")?;
                Ok::<_, anyhow::Error>(pinger.socket.recv(&mut [0; 16]))
            })?;
            let kind = silent.err().context("answered")?.kind();
            ensure!(kind == ErrorKind::WouldBlock, "UDP to {vip}: {kind}");
        }
        let drops = rig.drops()?;
        ensure!(drops.get("no_backend").is_some_and(|n| *n >= 4), "{drops:?}");
        Ok(())
    })
}

#[test]
fn an_emptied_service_serves_again_when_one_returns() -> Result<()> {
    emptied("onEmpty: reset", |rig| {
        let host = &rig.lab.backends[1];
        rig.servers[1].revive(host)?;
        rig.wait_state("tcp4", "b2", "up")?;
        ensure!(names(&rig.spread(10)?) == ["b2"]);
        Ok(())
    })
}

#[test]
fn a_host_that_is_cut_off_times_out_and_comes_back() -> Result<()> {
    let check = "healthCheck: { port: 7000, interval: 200ms, timeout: 500ms, rise: 1, fall: 2 }";
    rig(
        Shape::default(),
        |config| config.service(check),
        |rig| {
            let mut echoes = rig.connect_all(SOME)?;
            let host = &rig.lab.backends[0];
            host.cut()?;
            rig.wait_state("tcp4", "b1", "down")?;
            rig.wait_state("udp4", "b1", "down")?;
            ensure!(names(&rig.spread(SOME)?) == ["b2", "b3"]);
            ensure!(names(&rig.udp_spread(SOME)?) == ["b2", "b3"]);
            host.restore()?;
            rig.wait_all_up()?;
            ensure!(names(&rig.spread(SOME)?) == ["b1", "b2", "b3"]);
            // `onDown: keep`: those on the host that was away live on, too.
            echoes.iter_mut().try_for_each(|echo| echo.ping(b"back again"))
        },
    )
}

#[test]
fn an_unchecked_host_that_is_cut_off_is_unresolved_until_it_returns() -> Result<()> {
    let shape = Shape { backends: 1, ..Shape::default() };
    rig(
        shape,
        |config| config,
        |rig| {
            let mut echo = rig.connect()?;
            let host = &rig.lab.backends[0];
            host.cut()?;
            rig.daemon.wait_for("the obstacle is told", PATIENCE, |_| {
                Ok(rig.backend("tcp4", "b1")?["obstacle"].is_string())
            })?;
            let obstacle = rig.backend("tcp4", "b1")?["obstacle"].to_string();
            ensure!(obstacle.contains("10.0.1.11"), "{obstacle}");
            let patience = std::time::Duration::from_secs(1);
            let vip = rig.vip();
            ensure!(rig.client(|| Echo::connect_within(vip, patience)).is_err());
            let drops = rig.drops()?;
            ensure!(drops.contains_key("unresolved_next_hop"), "{drops:?}");
            host.restore()?;
            eventually("the host is reached again", || {
                rig.client(|| tcp::short_connections(vip, 1))
            })?;
            ensure!(rig.backend("tcp4", "b1")?["obstacle"].is_null());
            echo.ping(b"back again")
        },
    )
}
