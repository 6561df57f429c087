//! `cargo xtask build`.

use std::path::PathBuf;

use anyhow::Result;

use crate::{
    guided,
    setup::{self, Purpose},
    workspace,
};

/// Builds the whole of `lb` with every feature, the eBPF object embedded by lb-userspace's build script;
/// the binary.
pub(crate) fn debug() -> Result<PathBuf> {
    let features: Vec<_> = workspace::FEATURES.map(str::to_owned).into();
    with(&features, "debug")
}

/// Builds it optimised with these features, by a profile where `by_profile` says so; the binary.
pub(crate) fn optimised(by_profile: bool, features: &[String]) -> Result<PathBuf> {
    if by_profile {
        return guided::run(features);
    }
    let named = features.iter().map(|name| format!("--features=lb-userspace/{name}"));
    with(&named.chain(["--release".to_owned()]).collect::<Vec<_>>(), "release")
}

fn with(arguments: &[String], profile: &str) -> Result<PathBuf> {
    setup::run(Purpose::Build)?;
    // All packages, as tests and bench build them: of lb-userspace alone fewer features of what
    // they share are on, and each change from one to the other would compile it anew.
    workspace::run(workspace::cargo().args(["build", "--locked", "--bins"]).args(arguments))?;
    let binary = workspace::target()?.join(profile).join("lb");
    println!("built {}", binary.display());
    Ok(binary)
}
