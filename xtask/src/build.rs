//! `cargo xtask build`.

use std::path::PathBuf;

use anyhow::Result;

use crate::setup::{self, Purpose};
use crate::workspace;

/// Builds the whole of `lb`, the eBPF object embedded by lb-userspace's build
/// script, and returns the binary. Optimised it has these features, else all of them.
pub(crate) fn run(release: bool, features: &[String]) -> Result<PathBuf> {
    setup::run(Purpose::Build)?;
    let mut cargo = workspace::cargo();
    // All packages, as tests and bench build them: of lb-userspace alone fewer features of what
    // they share are on, and each change from one to the other would compile it anew.
    cargo.args(["build", "--locked", "--bins"]);
    if release {
        cargo.arg("--release");
        cargo.args(features.iter().map(|name| format!("--features=lb-userspace/{name}")));
    } else {
        cargo.args(workspace::FEATURES);
    }
    workspace::run(&mut cargo)?;
    let profile = if release { "release" } else { "debug" };
    let binary = workspace::target()?.join(profile).join("lb");
    println!("built {}", binary.display());
    Ok(binary)
}
