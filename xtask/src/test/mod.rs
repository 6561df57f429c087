//! `cargo xtask test`: every check and every suite, and a summary of them all.

mod lint;
mod suite;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::setup::{self, Purpose};
use crate::tidy;
use suite::Count;

/// What the whole is made of, in the order it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Part {
    /// Formatting
    Fmt,
    /// Clippy with warnings denied, the kernel programs included
    Clippy,
    /// The invariants of ARCHITECTURE.md
    Tidy,
    /// Unit, property and golden tests of every package
    Unit,
    /// Examples in the documentation
    Doc,
    /// Packet tables and end-to-end tests in network namespaces
    E2e,
}

impl Part {
    const ALL: [Self; 6] = [Self::Fmt, Self::Clippy, Self::Tidy, Self::Unit, Self::Doc, Self::E2e];

    const fn name(self) -> &'static str {
        match self {
            Self::Fmt => "fmt",
            Self::Clippy => "clippy",
            Self::Tidy => "tidy",
            Self::Unit => "unit",
            Self::Doc => "doc",
            Self::E2e => "e2e",
        }
    }

    fn runs_tests(self) -> bool {
        matches!(self, Self::Unit | Self::Doc | Self::E2e)
    }
}

/// Which part of it to run.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Runs this part alone (may be given more than once)
    #[arg(long, value_name = "PART")]
    only: Vec<Part>,
    /// Runs the tests alone whose name contains this
    filter: Option<String>,
}

/// Runs the parts, the later ones too when one fails.
///
/// # Errors
/// When anything failed, could not run, or ran no test at all.
pub(crate) fn run(options: &Options) -> Result<()> {
    let parts: Vec<Part> = Part::ALL.into_iter().filter(|p| options.takes(*p)).collect();
    if parts.is_empty() {
        bail!("a name picks among tests, and --only leaves no part that has any");
    }
    setup::run(Purpose::Test)?;
    let results: Vec<Outcome> = parts.into_iter().map(|p| Outcome::of(p, options)).collect();
    summary(&results, options)
}

impl Options {
    fn takes(&self, part: Part) -> bool {
        let named = self.only.is_empty() || self.only.contains(&part);
        named && (self.filter.is_none() || part.runs_tests())
    }
}

/// How one part went.
struct Outcome {
    part: Part,
    count: Count,
    fault: Option<anyhow::Error>,
    took: Duration,
}

impl Outcome {
    fn of(part: Part, options: &Options) -> Self {
        println!("\n== {}", part.name());
        let start = Instant::now();
        let mut count = Count::default();
        let fault = run_part(part, options, &mut count).err();
        // A check counts as one test; so does whatever kept a suite from its end.
        if !part.runs_tests() && fault.is_none() {
            count.passed = 1;
        }
        if fault.is_some() && count.failed == 0 {
            count.failed = 1;
        }
        if let Some(fault) = &fault {
            eprintln!("{}: {fault:#}", part.name());
        }
        Self { part, count, fault, took: start.elapsed() }
    }
}

fn run_part(part: Part, options: &Options, count: &mut Count) -> Result<()> {
    let filter = options.filter.as_deref();
    match part {
        Part::Fmt => lint::fmt(),
        Part::Clippy => lint::clippy(),
        Part::Tidy => tidy::run(),
        Part::Unit => suite::run(&["--lib", "--bins"], filter, count),
        Part::Doc => suite::run(&["--doc"], filter, count),
        Part::E2e => {
            // The tests start the daemon itself, so it must be as new as they are.
            suite::build_binaries()?;
            suite::run_waiting(&["--test", "*"], filter, count)
        }
    }
}

fn summary(results: &[Outcome], options: &Options) -> Result<()> {
    println!("\n{:8} {:>7} {:>7} {:>8}", "part", "passed", "failed", "seconds");
    let mut total = Count::default();
    for Outcome { part, count, took, .. } in results {
        println!(
            "{:8} {:7} {:7} {:8.1}",
            part.name(),
            count.passed,
            count.failed,
            took.as_secs_f64()
        );
        total.add(*count);
    }
    if total.ignored > 0 {
        eprintln!("{} tests are ignored: a skipped test is a failed one", total.ignored);
        total.failed += total.ignored;
    }
    if total.passed + total.failed == 0 {
        let name = options.filter.as_deref().context("no test ran at all")?;
        bail!("no test has {name:?} in its name");
    }
    println!("\n{} passed, {} failed", total.passed, total.failed);
    if total.failed > 0 {
        let bad = results.iter().filter(|r| r.fault.is_some() || r.count.ignored > 0);
        let names: Vec<_> = bad.map(|r| r.part.name()).collect();
        bail!("not everything passed: {}", names.join(", "));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Options, Part};

    fn taken(only: &[Part], filter: Option<&str>) -> Vec<Part> {
        let options = Options { only: only.to_vec(), filter: filter.map(str::to_owned) };
        Part::ALL.into_iter().filter(|p| options.takes(*p)).collect()
    }

    #[test]
    fn runs_every_part_unless_told_otherwise() {
        assert_eq!(taken(&[], None), Part::ALL);
    }

    #[test]
    fn runs_the_named_parts_in_their_usual_order() {
        assert_eq!(taken(&[Part::E2e, Part::Tidy], None), [Part::Tidy, Part::E2e]);
    }

    #[test]
    fn a_name_leaves_only_parts_that_have_tests() {
        assert_eq!(taken(&[], Some("maglev")), [Part::Unit, Part::Doc, Part::E2e]);
        assert_eq!(taken(&[Part::Fmt], Some("maglev")), []);
    }
}
