//! `cargo xtask setup`: brings what the build, the tests, the demo and the
//! bench need. The second time it only looks.

mod machine;
mod packages;
mod toolchain;

use anyhow::Result;

pub(crate) use machine::require as require_machine;

/// What a command is going to do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Compile alone: any machine with the toolchain will do.
    Build,
    /// Load programs and make network namespaces as well.
    Run,
}

/// Installs what is missing for `purpose`, saying what and why.
///
/// # Errors
/// One sentence on why this machine can't.
pub(crate) fn run(purpose: Purpose) -> Result<()> {
    if purpose == Purpose::Run {
        require_machine()?;
    }
    toolchain::ensure()?;
    if purpose == Purpose::Run {
        packages::ensure(packages::TOOLS)?;
    }
    Ok(())
}
