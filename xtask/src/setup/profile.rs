//! What merges the counts of a build that counts.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::workspace::{command, run};

/// The triple that the compiler makes programs for.
///
/// # Errors
/// There is no rustc that says so.
pub(crate) fn host() -> Result<String> {
    let text = rustc(&["-vV"])?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc -vV tells no host")?.to_owned())
}

/// `llvm-profdata` of the very compiler that builds lb for `host`, whose counts no other one may read;
/// installed where it is missing.
///
/// # Errors
/// The compiler is none of rustup's, or rustup can't bring it.
pub(crate) fn profile_merger(host: &str) -> Result<PathBuf> {
    let root = rustc(&["--print", "sysroot"])?;
    let folder = Path::new(root.trim()).join("lib/rustlib").join(host).join("bin");
    let merger = folder.join("llvm-profdata");
    if !merger.exists() {
        println!("installing llvm-tools: llvm-profdata merges what a build with counters counted");
        run(command("rustup").args(["component", "add", "llvm-tools"]))
            .context("a build by profile needs llvm-tools of the compiler, which rustup brings")?;
    }
    ensure!(merger.exists(), "{} is missing", merger.display());
    Ok(merger)
}

fn rustc(arguments: &[&str]) -> Result<String> {
    let output = command("rustc").args(arguments).output().context("rustc does not start")?;
    ensure!(output.status.success(), "rustc {} failed", arguments.join(" "));
    Ok(String::from_utf8(output.stdout)?)
}
