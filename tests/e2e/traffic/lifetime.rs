//! Nothing is lost: reloads, crashes, ends and starts of the daemon under load.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use lb_tests::{Shape, client::load::Load};
use serde_json::Value;

use super::{
    config::Config,
    kit::{PATIENCE, Rig, rig},
};

/// Load of both families on its threads: connections and UDP flows that stay, and short connections.
struct Both([Load; 2]);

impl Both {
    fn start(rig: &Rig<'_>) -> Result<Self> {
        let client = &rig.lab.client;
        let one = |vip| {
            let mut load = Load::start(client, vip, 8, 1)?;
            load.add_udp(client, vip, 4)?;
            Ok::<_, anyhow::Error>(load)
        };
        Ok(Self([one(rig.vip())?, one(rig.vip6())?]))
    }

    /// Goes on for at least `more` short connections of each family.
    fn go_on(&self, more: u64) -> Result<()> {
        let wanted = self.0.each_ref().map(|load| load.connections() + more);
        let deadline = Instant::now() + PATIENCE;
        while self.0.iter().zip(wanted).any(|(load, wanted)| load.connections() < wanted) {
            ensure!(Instant::now() < deadline, "fewer than {more} connections in {PATIENCE:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Not one failure.
    fn finish(self) -> Result<()> {
        for load in self.0 {
            let outcome = load.finish();
            outcome.check()?;
            ensure!(outcome.datagrams > 0, "{outcome:?}");
        }
        Ok(())
    }
}

/// Ids of the programs, by name.
fn programs(rig: &Rig<'_>) -> Result<Vec<Value>> {
    let status = rig.daemon.json(&["status"])?;
    let rows = status["datapath"]["programs"].as_array().cloned().unwrap_or_default();
    ensure!(!rows.is_empty(), "no programs: {status}");
    Ok(rows)
}

/// How the kernel path came to be, as `lb status` tells it.
fn origin(rig: &Rig<'_>) -> Result<String> {
    Ok(rig.daemon.json(&["status"])?["datapath"]["detail"].to_string())
}

fn wires(config: Config) -> Config {
    config.interfaces("eth0, eth1").datapath("mode: native")
}

/// What an operator may change in a file, one after the other.
fn variants(rig: &Rig<'_>) -> Vec<Config> {
    let plain = Config::of(rig.lab);
    let mut fewer = plain.clone();
    fewer.servers.pop();
    vec![
        plain.clone().weights(&[5, 1, 3]),
        fewer.clone(),
        plain.clone().service("algorithm: leastConn"),
        fewer.service("algorithm: roundRobin"),
        plain.clone().service("onDown: reset, onEmpty: drop").weights(&[0, 1, 1]),
        plain.clone().checked(),
        plain,
    ]
}

fn reloads(shape: Shape, configure: fn(Config) -> Config) -> Result<()> {
    rig(shape, configure, |rig| {
        let load = Both::start(rig)?;
        let generation = rig.daemon.json(&["status"])?["generation"].as_u64();
        let variants = variants(rig);
        for config in variants.into_iter().cycle().take(100) {
            rig.reload(&configure(config))?;
        }
        load.go_on(100)?;
        load.finish()?;
        let now = rig.daemon.json(&["status"])?["generation"].as_u64();
        ensure!(now >= generation.map(|n| n + 100), "generation {generation:?} became {now:?}");
        Ok(())
    })
}

#[test]
fn a_hundred_reloads_lose_nothing() -> Result<()> {
    reloads(Shape::default(), |config| config)
}

#[test]
fn a_hundred_reloads_lose_nothing_in_native_mode() -> Result<()> {
    reloads(Shape { wires: true, ..Shape::default() }, wires)
}

/// The daemon ends in some way and the next one takes over, all under load.
fn successor(
    shape: Shape,
    configure: fn(Config) -> Config,
    end: impl FnOnce(&mut Rig<'_>) -> Result<()>,
    expected: &str,
) -> Result<()> {
    rig(shape, configure, |rig| {
        let before = programs(rig)?;
        let load = Both::start(rig)?;
        end(rig)?;
        load.go_on(200)?;
        rig.daemon.run(&[])?;
        load.go_on(200)?;
        load.finish()?;
        let origin = origin(rig)?;
        ensure!(origin.contains(expected), "{origin}");
        let after = programs(rig)?;
        ensure!(after.len() == before.len(), "{before:?} became {after:?}");
        ensure!(after.iter().all(|program| !before.contains(program)), "not swapped: {after:?}");
        Ok(())
    })
}

#[test]
fn after_a_crash_the_next_start_adopts_under_load() -> Result<()> {
    successor(Shape::default(), |c| c, |rig| rig.daemon.crash(), "adopted")
}

#[test]
fn after_a_crash_the_next_start_adopts_native_programs_under_load() -> Result<()> {
    let shape = Shape { wires: true, ..Shape::default() };
    successor(shape, wires, |rig| rig.daemon.crash(), "adopted")
}

#[test]
fn sigterm_leaves_forwarding_and_the_next_start_adopts() -> Result<()> {
    let end = |rig: &mut Rig<'_>| {
        let status = rig.daemon.terminate()?;
        ensure!(status.success(), "{status}");
        ensure!(rig.daemon.cli(&["status"])?.code == 3, "somebody still answers");
        Ok(())
    };
    successor(Shape::default(), |config| config, end, "adopted")
}

#[test]
fn a_start_with_tables_of_another_size_carries_flows_over_under_load() -> Result<()> {
    let end = |rig: &mut Rig<'_>| {
        rig.daemon.terminate()?;
        rig.daemon.configure(&Config::of(rig.lab).connections(40_000).to_string())
    };
    successor(Shape::default(), |config| config, end, "carried over")
}

#[test]
fn a_reload_with_tables_of_another_size_carries_flows_over_under_load() -> Result<()> {
    rig(
        Shape::default(),
        |config| config,
        |rig| {
            let load = Both::start(rig)?;
            for connections in [40_000, 60_000, 100_000] {
                rig.reload(&Config::of(rig.lab).connections(connections))?;
                load.go_on(50)?;
                let origin = origin(rig)?;
                ensure!(origin.contains("carried over"), "{origin}");
            }
            load.finish()
        },
    )
}

#[test]
fn crashes_again_and_again_lose_nothing() -> Result<()> {
    rig(
        Shape::default(),
        |config| config.checked(),
        |rig| {
            let load = Both::start(rig)?;
            for _ in 0..5 {
                rig.daemon.crash()?;
                rig.daemon.run(&[])?;
            }
            load.go_on(50)?;
            load.finish()
        },
    )
}

#[test]
fn a_crash_in_the_middle_of_a_reload_loses_nothing() -> Result<()> {
    rig(
        Shape::default(),
        |config| config,
        |rig| {
            let load = Both::start(rig)?;
            for config in variants(rig) {
                rig.daemon.configure(&config.to_string())?;
                rig.daemon.signal(nix::sys::signal::Signal::SIGHUP)?;
                rig.daemon.crash()?;
                rig.daemon.run(&[])?;
            }
            load.go_on(50)?;
            load.finish()
        },
    )
}

#[test]
fn what_was_changed_while_no_daemon_ran_is_applied_by_the_next() -> Result<()> {
    rig(
        Shape::default(),
        |config| config,
        |rig| {
            let load = Both::start(rig)?;
            rig.daemon.crash()?;
            let mut config = Config::of(rig.lab);
            config.servers.remove(0);
            rig.daemon.configure(&config.to_string())?;
            rig.daemon.run(&[])?;
            ensure!(!rig.spread(40)?.contains_key("b1"));
            load.go_on(50)?;
            load.finish()
        },
    )
}

#[test]
fn detach_takes_everything_off() -> Result<()> {
    rig(
        Shape::default(),
        |config| config,
        |rig| {
            let vip = rig.vip().ip().to_string();
            ensure!(rig.lab.lb.ip("addr show")?.contains(&vip));
            rig.daemon.ok(&["detach"])?;
            rig.daemon.wait()?;
            ensure!(rig.connect().is_err(), "still forwarded");
            ensure!(!rig.lab.lb.ip("addr show")?.contains(&vip), "{vip} is left");
            ensure!(!rig.daemon.pins().exists(), "pins are left");
            Ok(())
        },
    )
}

#[test]
fn detach_on_exit_takes_everything_off() -> Result<()> {
    rig(
        Shape::default(),
        |config| config,
        |rig| {
            rig.daemon.crash()?;
            rig.daemon.run(&["--detach-on-exit"])?;
            rig.connect()?.ping(b"adopted")?;
            rig.daemon.terminate()?;
            ensure!(rig.connect().is_err(), "still forwarded");
            ensure!(!rig.daemon.pins().exists(), "pins are left");
            Ok(())
        },
    )
}
