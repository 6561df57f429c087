//! `l4-e2e`: what a connection, a request and a MB cost the whole machine,
//! client and server included, through one balancer. Rounds are interleaved,
//! so that what disturbs one balancer disturbs all.

mod balancer;
mod cpu;
mod load;
mod server;

use std::collections::HashMap;

use anyhow::{Context, Result};

use crate::report::{Mark, Report, median};
use balancer::{Balancer, Running};
use cpu::Cost;
use load::Load;

/// CPUs kept busy by others above which the whole machine's time says nothing.
const NOISE: f64 = 0.1;

/// What each unit of a load cost with a balancer.
type Costs = HashMap<(&'static str, &'static str), Vec<Cost>>;

/// Measures every balancer under every load, `rounds` times.
pub(crate) fn run(rounds: u32) -> Result<Report> {
    let labs = Balancer::ALL.map(|_| balancer::lab()).into_iter().collect::<Result<Vec<_>>>()?;
    let start = |(balancer, lab)| {
        Running::start(balancer, lab).with_context(|| Balancer::name(balancer).to_owned())
    };
    let running: Vec<_> = Balancer::ALL.into_iter().zip(&labs).map(start).collect::<Result<_>>()?;
    let (mut costs, mut noise) = (Costs::new(), 0f64);
    for round in 1..=rounds {
        println!("round {round} of {rounds}");
        for load in Load::ALL {
            for running in &running {
                let (cost, units) = cpu::cost(|| load.run(&running.lab.client, running.target))
                    .with_context(|| format!("{}, {}", running.balancer.name(), load.unit()))?;
                noise = noise.max(cost.others);
                let key = (running.balancer.name(), load.unit());
                costs.entry(key).or_default().push(cost.per(units));
            }
        }
    }
    let mut notes: Vec<_> = running.iter().filter_map(|running| running.note.clone()).collect();
    notes.extend([balancer::version("haproxy -v"), balancer::version("nft --version")]);
    if noise > NOISE {
        notes.push(format!(
            "other work kept up to {noise:.1} CPUs busy: what is counted is client, server and \
             balancer alone, and caches are not theirs alone"
        ));
    }
    Ok(report(&costs, rounds, noise > NOISE, notes))
}

fn report(costs: &Costs, rounds: u32, noisy: bool, notes: Vec<String>) -> Report {
    let rounds_of = |balancer: Balancer, load: Load| -> Vec<f64> {
        let costs = costs.get(&(balancer.name(), load.unit())).into_iter().flatten();
        let seconds = |cost: &Cost| if noisy { cost.taking_part } else { cost.machine };
        costs.map(|cost| seconds(cost) * 1e6).collect()
    };
    let rows = Balancer::ALL.map(|balancer| {
        let medians = Load::ALL.map(|load| median(rounds_of(balancer, load)));
        (balancer.name().to_owned(), medians.to_vec())
    });
    // Of each round, so that what disturbs one round disturbs both sides of the ratio.
    let mark = |load: Load| {
        let (lb, other) = (rounds_of(Balancer::Lb, load), rounds_of(Balancer::Nftables, load));
        let value = median(lb.iter().zip(&other).map(|(lb, other)| lb / other).collect())?;
        Some(Mark { what: format!("lb's {} / nftables'", load.unit()), value, most: 1.0 })
    };
    Report {
        suite: "l4-e2e",
        about: format!(
            "µs of CPU of {}; medians of {rounds} interleaved rounds",
            if noisy { "those that take part" } else { "the whole machine" }
        ),
        columns: Load::ALL.map(Load::unit).to_vec(),
        rows: rows.into(),
        marks: Load::ALL.into_iter().filter_map(mark).collect(),
        notes,
    }
}
