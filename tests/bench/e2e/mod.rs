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
use load::Load;

/// CPUs kept busy by others above which the numbers aren't to be trusted.
const NOISE: f64 = 0.1;

/// Microseconds of a balancer under a load.
type Costs = HashMap<(&'static str, &'static str), Vec<f64>>;

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
                costs.entry(key).or_default().push(cost.seconds * 1e6 / units as f64);
            }
        }
    }
    let mut notes: Vec<_> = running.iter().filter_map(|running| running.note.clone()).collect();
    notes.extend([balancer::version("haproxy -v"), balancer::version("nft --version")]);
    if noise > NOISE {
        notes.push(format!(
            "other work kept up to {noise:.1} CPUs busy: measure on an idle machine"
        ));
    }
    Ok(report(&costs, rounds, notes))
}

fn report(costs: &Costs, rounds: u32, notes: Vec<String>) -> Report {
    let of = |balancer: Balancer, load: Load| {
        median(costs.get(&(balancer.name(), load.unit())).cloned().unwrap_or_default())
    };
    let rows = Balancer::ALL.map(|balancer| {
        (balancer.name().to_owned(), Load::ALL.map(|load| of(balancer, load)).to_vec())
    });
    let mark = |load: Load| {
        let (value, most) = (of(Balancer::Lb, load)?, of(Balancer::Nftables, load)?);
        Some(Mark { what: format!("lb's {} against nftables'", load.unit()), value, most })
    };
    Report {
        suite: "l4-e2e",
        about: format!("µs of CPU of the whole machine; medians of {rounds} interleaved rounds"),
        columns: Load::ALL.map(Load::unit).to_vec(),
        rows: rows.into(),
        marks: Load::ALL.into_iter().filter_map(mark).collect(),
        notes,
    }
}
