//! `cargo xtask setup`: brings what the build, the tests, the demo and the
//! bench need. The second time it only looks.

mod engines;
mod machine;
mod packages;
mod profile;
mod toolchain;

use anyhow::Result;

pub(crate) use machine::require as require_machine;
pub(crate) use profile::{host, profile_merger};

/// What a command is going to do; each needs what those before it need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Purpose {
    /// Compile alone: any machine with the toolchain will do.
    Build,
    /// Load programs and make network namespaces as well.
    Demo,
    /// Run every test.
    Test,
    /// Compare with other balancers.
    Bench,
}

/// Installs what is missing for `purpose`, saying what and why.
///
/// # Errors
/// One sentence on why this machine can't.
pub(crate) fn run(purpose: Purpose) -> Result<()> {
    if purpose > Purpose::Build {
        require_machine()?;
    }
    toolchain::ensure()?;
    packages::ensure(purpose)?;
    engines::ensure(purpose)
}

/// As [`run`], for a command that runs what is built already.
///
/// # Errors
/// One sentence on why this machine can't.
pub(crate) fn run_built(purpose: Purpose) -> Result<()> {
    require_machine()?;
    packages::ensure(purpose)?;
    engines::ensure(purpose)
}
