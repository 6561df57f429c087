//! Commands of the host: `ip` and `ethtool`.

use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail};

/// Runs a command line split at spaces and returns what it printed.
/// An error holds the command and what it wrote to stderr.
pub fn run(line: &str) -> Result<String> {
    let mut words = line.split_whitespace();
    let program = words.next().context("an empty command line")?;
    let output = Command::new(program)
        .args(words)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{program} could not be started; is it installed?"))?;
    checked(line, output)
}

/// What a finished command printed, or an error with what it complained of.
pub fn checked(line: &str, output: Output) -> Result<String> {
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("`{line}` failed with {}: {}", output.status, stderr.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
