//! The optimised binary, guided by a profile (rustc book, "Profile-guided Optimization"): built once with
//! counters, put under the loads of the bench, and built again with what was counted.

use std::{
    fs,
    hash::{DefaultHasher, Hasher},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::{
    bench,
    setup::{self, Purpose},
    workspace::{self, command},
};

/// Builds `lb` so, with these features, and returns the binary. While nothing has changed what was
/// counted once is used again.
///
/// # Errors
/// When something can't be installed, built or run.
pub(crate) fn run(features: &[String]) -> Result<PathBuf> {
    setup::run(Purpose::Bench)?;
    let merger = setup::profile_merger()?;
    let folder = workspace::target()?.join("guided");
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    println!("building lb with counters, to learn which ways requests take");
    let raw = folder.join("counts");
    let counting = compile("generate", &raw, features)?;
    let profile = folder.join(format!("{:016x}.profdata", digest(&counting)?));
    if !profile.exists() {
        learn(&counting, &raw, &merger, &profile)?;
    }
    println!("building lb by what was counted");
    let binary = compile("use", &profile, features)?;
    println!("built {}", binary.display());
    Ok(binary)
}

/// Both builds have the same settings, for functions are told by names that depend on these. For a
/// target that is named the flags aren't those of build scripts.
fn compile(step: &str, path: &Path, features: &[String]) -> Result<PathBuf> {
    let host = setup::host()?;
    let theirs = std::env::var("RUSTFLAGS").unwrap_or_default();
    let ours = format!("-Cprofile-{step}={}", path.display());
    // Separated by a byte that no path has.
    let flags = theirs.split_whitespace().chain([ours.as_str()]).collect::<Vec<_>>().join("\x1f");
    let mut cargo = workspace::cargo();
    cargo.args(["build", "--locked", "--release", "--package", "lb-userspace", "--bin", "lb"]);
    cargo.args(["--target", &host]).env("CARGO_ENCODED_RUSTFLAGS", flags);
    cargo.args(features.iter().map(|name| format!("--features=lb-userspace/{name}")));
    workspace::run(&mut cargo)?;
    Ok(workspace::target()?.join(host).join("release/lb"))
}

/// Runs the loads on the binary that counts, and keeps what it counted as `profile`.
fn learn(counting: &Path, raw: &Path, merger: &Path, profile: &Path) -> Result<()> {
    if raw.exists() {
        fs::remove_dir_all(raw)?;
    }
    println!("putting it under the loads of the bench (a minute)");
    workspace::run(bench::harness().arg("train").env("LB_BIN", counting))?;
    let merged = profile.with_extension("new");
    workspace::run(command(merger).arg("merge").arg("-o").arg(&merged).arg(raw))?;
    Ok(fs::rename(&merged, profile)?)
}

/// Tells builds apart.
fn digest(binary: &Path) -> Result<u64> {
    let mut hasher = DefaultHasher::new();
    hasher.write(&fs::read(binary).with_context(|| binary.display().to_string())?);
    Ok(hasher.finish())
}
