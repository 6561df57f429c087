//! What packets, connections and changes cost. Run by `cargo xtask bench`,
//! which builds what this needs and tells where it is.

mod chart;
mod control;
mod e2e;
mod l4;
mod l7;
mod load;
mod report;

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, Result, bail};

use report::Report;

/// What to measure, and how.
struct Options {
    suites: Vec<String>,
    /// Measurements of each case; `None` for the suite's own number.
    rounds: Option<u32>,
    /// Folder of the results.
    out: PathBuf,
}

fn main() -> ExitCode {
    match options().and_then(|options| run(&options)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(fault) => {
            eprintln!("bench: {fault:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether every mark was met.
fn run(options: &Options) -> Result<bool> {
    let mut met = true;
    for suite in &options.suites {
        for report in measure(suite, options.rounds).with_context(|| suite.clone())? {
            report.print();
            let path = report.write(&options.out)?;
            println!("written to {}\n", path.display());
            met &= report.met();
        }
    }
    Ok(met)
}

fn measure(suite: &str, rounds: Option<u32>) -> Result<Vec<Report>> {
    match suite {
        "l4" => l4::run(rounds.unwrap_or(21)),
        "l4-e2e" => Ok(vec![e2e::run(rounds.unwrap_or(5))?]),
        "l7" => Ok(vec![l7::run(rounds.unwrap_or(7))?]),
        // Not a measurement: what a build learns its ways from.
        "train" => {
            l7::train()?;
            load::run(1).map(|_| Vec::new())
        }
        "control" => Ok(vec![control::run(rounds.unwrap_or(5))?]),
        "load" => Ok(vec![load::run(rounds.unwrap_or(3))?]),
        other => bail!("there are l4, l4-e2e, l7, control and load, not {other}"),
    }
}

/// `SUITE… [--rounds N] [--out DIR]`; cargo adds `--bench`.
fn options() -> Result<Options> {
    let mut options = Options { suites: Vec::new(), rounds: None, out: "results".into() };
    let mut words = std::env::args().skip(1).filter(|word| word != "--bench");
    while let Some(word) = words.next() {
        match word.as_str() {
            "--rounds" => options.rounds = Some(words.next().context("--rounds N")?.parse()?),
            "--out" => options.out = words.next().context("--out DIR")?.into(),
            suite => options.suites.push(suite.to_owned()),
        }
    }
    Ok(options)
}
