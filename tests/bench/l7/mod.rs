//! `l7`: what a request, a handshake, a MB and an idle connection cost lb's proxy, beside HAProxy,
//! nginx and Envoy. One worker each, all on one CPU in turn; origin and clients on another.
//!
//! Rounds are interleaved. What the origin's requests cost in a measurement says how fast the
//! machine was just then: the proxy's cost is taken relative to it.

mod client;
mod config;
mod load;
mod process;
mod proxy;
mod train;

use std::collections::HashMap;

use anyhow::{Context, Result};

use crate::report::{Mark, Report, median};
use load::Load;
use process::{Cpus, Used, memory};
use proxy::{Proxy, World};
pub(crate) use train::run as train;

/// Connections that idle.
const IDLE: usize = 5000;

/// One measurement.
#[derive(Clone, Copy, Debug)]
struct Sample {
    /// Seconds of CPU a unit.
    proxy: f64,
    /// Of the origin.
    origin: f64,
    user: Option<f64>,
}

type Samples = HashMap<(Load, Proxy), Vec<Sample>>;

/// Measures every proxy under every load, `rounds` times.
pub(crate) fn run(rounds: u32) -> Result<Report> {
    let cpus = Cpus::take()?;
    let note = process::go_first();
    let world = World::start(cpus, &Proxy::ALL)?;
    let mut samples = Samples::new();
    for (proxy, _) in &world.proxies {
        // What it does once is done before it is measured.
        Load::Small.run(&world.ns, *proxy).with_context(|| proxy.name())?;
    }
    let idle = idle(&world)?;
    let mut calls = Calls::new();
    for round in 1..=rounds {
        println!("round {round} of {rounds}");
        for load in Load::ALL {
            // Another one begins each time: the first has the caches of the load before.
            let (after, first) = world.proxies.split_at(round as usize % world.proxies.len());
            let turn = first.iter().chain(after);
            for (proxy, process) in turn.filter(|(proxy, _)| load.suits(*proxy)) {
                let sample = sample(&world, load, *proxy, process.pid());
                let sample =
                    sample.with_context(|| format!("{}, {}", proxy.name(), load.name()))?;
                samples.entry((load, *proxy)).or_default().push(sample);
            }
        }
        for load in COUNTED {
            calls.extend(count_calls(&world, load)?);
        }
    }
    let mut report = report(&samples, &idle, &calls, rounds);
    report.notes.extend(note);
    Ok(report)
}

fn sample(world: &World, load: Load, proxy: Proxy, pid: u32) -> Result<Sample> {
    let (here, there) = (Used::of(pid)?, Used::of(world.origin.pid())?);
    let units = load.run(&world.ns, proxy)?;
    let (here, there) = (Used::of(pid)?.since(here), Used::of(world.origin.pid())?.since(there));
    Ok(Sample { proxy: here.all / units, origin: there.all / units, user: here.user_share() })
}

/// Memory before and behind, by proxy.
fn idle(world: &World) -> Result<Vec<(Proxy, f64, f64)>> {
    let of = |(proxy, process): &(Proxy, process::Process)| {
        let before = memory(process.pid())?;
        let during = client::idle(&world.ns, proxy.plain(), IDLE, || memory(process.pid()));
        let during = during.with_context(|| format!("{}, idle", proxy.name()))?;
        Ok((*proxy, during, (during - before) / IDLE as f64))
    };
    world.proxies.iter().map(of).collect()
}

/// Loads whose system calls are counted: with few connections a proxy that is faster than its clients and
/// its origin often runs out of work and sleeps, with many it does so less.
const COUNTED: [Load; 2] = [Load::Small, Load::SmallOfMany];

/// System calls by request. A proxy's sleeps are among them, of which no two rounds have as many.
type Calls = Vec<(Load, Proxy, f64)>;

fn count_calls(world: &World, load: Load) -> Result<Calls> {
    let of = |(proxy, process): &(Proxy, process::Process)| {
        let work = || load.run(&world.ns, *proxy);
        let (calls, requests) = load::system_calls(process.pid(), world.folder(), work)?;
        Ok((load, *proxy, calls / requests))
    };
    world.proxies.iter().filter(|(proxy, _)| load.suits(*proxy)).map(of).collect()
}

/// µs a unit, each relative to how fast the origin was in that measurement.
fn steady(samples: &[Sample]) -> Vec<f64> {
    let usual = median(samples.iter().map(|sample| sample.origin).collect()).unwrap_or(1.0);
    samples.iter().map(|sample| sample.proxy * 1e6 * usual / sample.origin).collect()
}

fn report(samples: &Samples, idle: &[(Proxy, f64, f64)], calls: &Calls, rounds: u32) -> Report {
    let all = |load, proxy| samples.get(&(load, proxy)).map_or(Vec::new(), |all| steady(all));
    let mut rows: Vec<(String, Vec<Option<f64>>)> = Vec::new();
    for load in Load::ALL {
        rows.push((load.name().into(), Proxy::ALL.map(|proxy| median(all(load, proxy))).to_vec()));
        if load == Load::Small {
            let users = Proxy::ALL.map(|proxy| {
                let samples = samples.get(&(load, proxy)).into_iter().flatten();
                median(samples.filter_map(|s| Some(s.user? * s.proxy * 1e6)).collect())
            });
            rows.push(("  of which outside of the kernel".into(), users.to_vec()));
        }
        if COUNTED.contains(&load) {
            let calls = Proxy::ALL.map(|proxy| usual_calls(calls, load, proxy));
            rows.push(("  system calls each".into(), calls.to_vec()));
        }
    }
    let of_idle = |part: fn(&(Proxy, f64, f64)) -> f64| {
        Proxy::ALL.map(|proxy| idle.iter().find(|row| row.0 == proxy).map(part)).to_vec()
    };
    rows.push((format!("memory with {IDLE} idle connections, MB"), of_idle(|row| row.1 / 1e6)));
    rows.push(("idle connection, bytes each".into(), of_idle(|row| row.2)));
    let versions = [Proxy::Haproxy, Proxy::Nginx, Proxy::Envoy].into_iter();
    Report {
        suite: "l7",
        about: format!("CPU of the proxy; medians of {rounds} interleaved rounds"),
        columns: Proxy::ALL.map(Proxy::name).to_vec(),
        rows,
        marks: marks(all, idle, calls),
        notes: versions.filter_map(Proxy::version).collect(),
    }
}

/// What is to be reached beside another.
const RATIOS: [(Load, Proxy, Proxy, f64); 7] = [
    (Load::Small, Proxy::Lb, Proxy::Haproxy, 0.85),
    (Load::Small, Proxy::LbObserved, Proxy::LbUnobserved, 1.05),
    (Load::Small, Proxy::LbWithAll, Proxy::Haproxy, 1.0),
    (Load::Tls, Proxy::Lb, Proxy::Haproxy, 0.75),
    (Load::Handshakes, Proxy::Lb, Proxy::Haproxy, 0.75),
    (Load::Http2, Proxy::Lb, Proxy::Haproxy, 1.1),
    (Load::Bodies64K, Proxy::Lb, Proxy::Haproxy, 0.8),
];

fn marks(
    all: impl Fn(Load, Proxy) -> Vec<f64>,
    idle: &[(Proxy, f64, f64)],
    calls: &Calls,
) -> Vec<Mark> {
    let ratio = |(load, proxy, other, most): (Load, Proxy, Proxy, f64)| {
        // Of each round, so that what disturbs one round disturbs both sides of the ratio.
        let (ours, theirs) = (all(load, proxy), all(load, other));
        let value = median(ours.iter().zip(&theirs).map(|(a, b)| a / b).collect())?;
        let what = format!("{}: {} / {}", load.name(), proxy.name(), other.name());
        Some(Mark { what, value, most })
    };
    let mut marks: Vec<_> = RATIOS.into_iter().filter_map(ratio).collect();
    let of_lb = |what: &str, value, most| Mark { what: what.into(), value, most };
    let idle = idle.iter().filter(|row| row.0 == Proxy::Lb);
    marks.extend(idle.map(|row| of_lb("bytes of an idle connection", row.2, 1536.0)));
    let calls = usual_calls(calls, Load::Small, Proxy::Lb);
    marks.extend(calls.map(|calls| of_lb("system calls of a small request", calls, 4.1)));
    marks
}

/// The median of all rounds.
fn usual_calls(calls: &Calls, load: Load, proxy: Proxy) -> Option<f64> {
    let of_it = calls.iter().filter(|row| (row.0, row.1) == (load, proxy));
    median(of_it.map(|row| row.2).collect())
}
