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

/// What the counts depend on beside the binary that counts.
const TRAINING: &str = "tests/bench/l7";

/// Builds `lb` so, with these features, and returns the binary. While neither it nor its training has
/// changed what was counted once is used again.
///
/// # Errors
/// When something can't be installed, built or run.
pub(crate) fn run(features: &[String]) -> Result<PathBuf> {
    setup::run(Purpose::Bench)?;
    let host = setup::host()?;
    let merger = setup::profile_merger(&host)?;
    let target = workspace::target()?;
    let (folder, binary) = (target.join("guided"), target.join(&host).join("release/lb"));
    println!("building lb with counters, to learn which ways requests take");
    let counts = folder.join("counts");
    compile(&host, "generate", &counts, features)?;
    let profile = folder.join(format!("{:016x}.profdata", digest(&binary)?));
    if !profile.exists() {
        // Of another binary, or another training.
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        println!("putting it under the loads of the bench (a minute)");
        workspace::run(bench::harness().arg("train").env("LB_BIN", &binary))?;
        merge(&merger, &counts, &profile)?;
    }
    println!("building lb by what was counted");
    compile(&host, "use", &profile, features)?;
    println!("built {}", binary.display());
    Ok(binary)
}

/// Both builds have the same settings, for functions are told by names that depend on these. For a
/// target that is named the flags aren't those of build scripts.
fn compile(host: &str, step: &str, path: &Path, features: &[String]) -> Result<()> {
    let theirs = std::env::var("RUSTFLAGS").unwrap_or_default();
    let ours = format!("-Cprofile-{step}={}", path.display());
    // Separated by a byte that no path has.
    let flags = theirs.split_whitespace().chain([ours.as_str()]).collect::<Vec<_>>().join("\x1f");
    let mut cargo = workspace::cargo();
    cargo.args(["build", "--locked", "--release", "--package", "lb-userspace", "--bin", "lb"]);
    cargo.args(["--target", host]).env("CARGO_ENCODED_RUSTFLAGS", flags);
    cargo.args(features.iter().map(|name| format!("--features=lb-userspace/{name}")));
    workspace::run(&mut cargo)
}

/// Under its own name the profile is whole.
fn merge(merger: &Path, counts: &Path, profile: &Path) -> Result<()> {
    let merged = profile.with_extension("new");
    workspace::run(command(merger).arg("merge").arg("-o").arg(&merged).arg(counts))?;
    Ok(fs::rename(&merged, profile)?)
}

/// Tells builds, and what they are trained with, apart.
fn digest(binary: &Path) -> Result<u64> {
    let entries = fs::read_dir(workspace::root().join(TRAINING)).context(TRAINING)?;
    let mut files: Vec<_> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.sort();
    files.push(binary.to_owned());
    let mut hasher = DefaultHasher::new();
    for file in files {
        hasher.write(&fs::read(&file).with_context(|| file.display().to_string())?);
    }
    Ok(hasher.finish())
}
