//! Test binaries run by cargo, and what they say of themselves.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::{env, thread};

use anyhow::{Context, Result, bail};

use crate::workspace::{self, cargo};

/// Tests of one or more suites.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) passed: u32,
    pub(super) failed: u32,
    pub(super) ignored: u32,
}

impl Count {
    pub(super) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
    }
}

/// Builds what the tests start as a process of its own.
///
/// # Errors
/// When cargo fails.
pub(super) fn build_binaries() -> Result<()> {
    workspace::run(cargo().args(["build", "--locked", "--bins"]).args(workspace::FEATURES))
}

/// Runs `cargo test` for these targets of every package and adds to `count`.
///
/// # Errors
/// When it fails, or, no name being given, runs no test at all.
pub(super) fn run(targets: &[&str], filter: Option<&str>, count: &mut Count) -> Result<()> {
    follow_to_the_end(cargo(), targets, filter, count)
}

/// As [`run`], for tests that mostly wait, for health checks and clients: more at a time than
/// there are CPUs. `RUST_TEST_THREADS` overrides it.
///
/// # Errors
/// As [`run`].
pub(super) fn run_waiting(targets: &[&str], filter: Option<&str>, count: &mut Count) -> Result<()> {
    let mut command = cargo();
    if env::var_os("RUST_TEST_THREADS").is_none() {
        let cpus = thread::available_parallelism().map_or(1, usize::from);
        command.env("RUST_TEST_THREADS", (cpus * 3 / 2).max(2).to_string());
    }
    follow_to_the_end(command, targets, filter, count)
}

fn follow_to_the_end(
    mut command: Command,
    targets: &[&str],
    filter: Option<&str>,
    count: &mut Count,
) -> Result<()> {
    // Always the same packages: another choice of them has other features on, and compiles anew.
    command.args(["test", "--locked", "--no-fail-fast"]).args(workspace::FEATURES);
    command.args(targets).arg("--").args(filter);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cargo test does not start")?;
    let before = *count;
    follow(&mut child, count)?;
    let status = child.wait()?;
    if !status.success() {
        bail!("`cargo test {}` failed: {status}", targets.join(" "));
    }
    if *count == before && filter.is_none() {
        bail!("`cargo test {}` ran no test", targets.join(" "));
    }
    Ok(())
}

/// Shows each line as it comes and counts.
fn follow(child: &mut Child, count: &mut Count) -> Result<()> {
    let output = child.stdout.take().context("the output of cargo test is not piped")?;
    for line in BufReader::new(output).split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        if let Some(suite) = result(&line) {
            count.add(suite);
        }
    }
    Ok(())
}

/// Reads `test result: ok. 9 passed; 0 failed; 1 ignored; …`.
fn result(line: &str) -> Option<Count> {
    let rest = line.strip_prefix("test result: ")?.split_once(". ")?.1;
    let mut count = Count::default();
    for item in rest.split("; ") {
        match item.split_once(' ') {
            Some((number, "passed")) => count.passed = number.parse().ok()?,
            Some((number, "failed")) => count.failed = number.parse().ok()?,
            Some((number, "ignored")) => count.ignored = number.parse().ok()?,
            _ => {}
        }
    }
    Some(count)
}

#[cfg(test)]
mod tests {
    use super::{Count, result};

    #[test]
    fn reads_what_a_suite_says_of_itself() {
        let line = "test result: FAILED. 9 passed; 2 failed; 1 ignored; 0 measured; \
                    3 filtered out; finished in 0.00s";
        assert_eq!(result(line), Some(Count { passed: 9, failed: 2, ignored: 1 }));
    }

    #[test]
    fn takes_no_other_line_for_a_result() {
        assert_eq!(result("test csum::tests::adds ... ok"), None);
        assert_eq!(result("running 9 tests"), None);
    }
}
