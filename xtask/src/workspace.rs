//! Where things are, and how commands are run there.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, ffi::OsStr};

use anyhow::{Context, Result, bail};

/// The workspace's folder, as told by the cargo that runs xtask.
pub(crate) fn root() -> PathBuf {
    let xtask = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    xtask.parent().map_or(xtask.clone(), Path::to_owned)
}

/// Cargo's target folder, as cargo itself would choose it here.
pub(crate) fn target() -> Result<PathBuf> {
    let output = cargo()
        .args(["metadata", "--format-version=1", "--no-deps", "--locked"])
        .output()
        .context("cargo does not run")?;
    if !output.status.success() {
        bail!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let target = metadata["target_directory"].as_str().context("cargo tells no target folder")?;
    Ok(target.into())
}

/// The cargo that runs xtask, in the workspace.
pub(crate) fn cargo() -> Command {
    let mut cargo = command(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // What `cargo run` tells of xtask itself is not for the commands below it.
    for (name, _) in env::vars_os().filter(|(n, _)| n.to_string_lossy().starts_with("CARGO_PKG_")) {
        cargo.env_remove(name);
    }
    cargo.env_remove("CARGO_MANIFEST_DIR").env_remove("CARGO_MANIFEST_PATH");
    cargo
}

/// What tests and debug builds have beyond the default features: everything, so that it is tested,
/// and always the same, so that nothing is compiled twice.
pub(crate) const FEATURES: [&str; 2] = ["--features", "lb-userspace/otel"];

/// Any program, in the workspace.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root());
    command
}

/// Runs to the end with its output shown.
///
/// # Errors
/// When it can't be started or fails; the text names the command.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let arguments: Vec<_> = command.get_args().map(|a| a.to_string_lossy().into_owned()).collect();
    let line = format!("{name} {}", arguments.join(" "));
    let status = command.status().with_context(|| format!("`{line}` does not start"))?;
    if !status.success() {
        bail!("`{line}` failed: {status}");
    }
    Ok(())
}
