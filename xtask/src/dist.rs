//! `cargo xtask dist`: what is handed to those who don't build.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::workspace::{self, command};
use crate::{build, tidy};

/// Beside the binary, from the workspace's folder on.
const FILES: &[&str] =
    &["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "configs", "xtask/dist/lb.service"];

/// Builds optimised and packs `dist/lb-VERSION-x86_64-linux.tar.gz` in cargo's
/// target folder, with its SHA-256 beside it.
///
/// # Errors
/// When an invariant is broken, the build fails or tar does.
pub(crate) fn run(guided: bool, features: &[String]) -> Result<()> {
    tidy::run()?;
    let binary = build::optimised(guided, features)?;
    let dist = workspace::target()?.join("dist");
    let name = concat!("lb-", env!("CARGO_PKG_VERSION"), "-x86_64-linux");
    let folder = dist.join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    fs::copy(&binary, folder.join("lb")).with_context(|| binary.display().to_string())?;
    workspace::run(command("cp").arg("-r").args(FILES).arg(&folder))?;
    let archive = pack(&dist, name)?;
    println!("packed {}", dist.join(archive).display());
    Ok(())
}

/// The same files give the same bytes: owner, order and time are fixed.
fn pack(dist: &Path, name: &str) -> Result<String> {
    let archive = format!("{name}.tar.gz");
    workspace::run(
        command("tar")
            .current_dir(dist)
            .args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mtime=@0"])
            .env("GZIP", "-n")
            .args(["-czf", &archive, name]),
    )?;
    let sum = command("sha256sum").current_dir(dist).arg(&archive).output().context("sha256sum")?;
    fs::write(dist.join(format!("{archive}.sha256")), sum.stdout)?;
    Ok(archive)
}
