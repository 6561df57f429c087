//! `cargo xtask bench`: what a packet, a connection and a change cost.

use std::{path::PathBuf, process::Command};

use anyhow::{Context, Result, anyhow};
use clap::{Args, ValueEnum};

use crate::setup::{self, Purpose};
use crate::workspace::{self, cargo};
use crate::{build, ebpf};

#[derive(Args)]
pub(crate) struct Options {
    /// What to measure; everything unless named
    #[arg(value_enum)]
    suites: Vec<Suite>,
    /// Measurements of each case, of which the median counts
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,
    /// Folder of the results, one JSON file for each suite
    #[arg(long, value_name = "DIR", default_value = "results")]
    out: PathBuf,
    /// Measure the binary that `build --guided` makes, and not the one of `build --release`
    #[arg(long)]
    guided: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Suite {
    /// Nanoseconds a packet takes in the kernel programs
    L4,
    /// CPU of the whole machine for connections, requests and bytes, beside other balancers
    L4E2e,
    /// CPU of the proxy for requests, handshakes, bytes and idle connections, beside other proxies
    L7,
    /// Time to build tables and to plan and apply changes
    Control,
    /// Time until 100,000 routers are served, and their memory
    Load,
}

/// Builds what is measured, optimised, and measures it.
///
/// # Errors
/// When something can't be built or run, or a mark is missed.
pub(crate) fn run(options: &Options) -> Result<()> {
    setup::run(Purpose::Bench)?;
    let lb = build::optimised(options.guided, &[])?;
    let wrapper = ebpf::build_bench(&workspace::root(), &workspace::target()?)
        .map_err(|error| anyhow!(error))?;
    let suites = match options.suites.as_slice() {
        [] => Suite::value_variants(),
        some => some,
    };
    let names = suites.iter().filter_map(ValueEnum::to_possible_value);
    let mut bench = harness();
    bench.args(names.map(|name| name.get_name().to_owned()));
    bench.arg("--out").arg(std::path::absolute(&options.out)?);
    if let Some(rounds) = options.rounds {
        bench.args(["--rounds", &rounds.to_string()]);
    }
    bench.env("LB_BIN", lb).env("LB_BENCH_OBJECT", wrapper);
    workspace::run(&mut bench).context("the bench")
}

/// The program that measures; suites are its arguments.
pub(crate) fn harness() -> Command {
    let mut bench = cargo();
    bench.args(["bench", "--locked", "--package", "lb-tests", "--bench", "lb", "--"]);
    bench
}
