//! Checks that look at the source alone.

use anyhow::Result;

use crate::workspace::{self, cargo, run};

pub(super) fn fmt() -> Result<()> {
    run(cargo().args(["fmt", "--all", "--check"]))
}

pub(super) fn clippy() -> Result<()> {
    const DENIED: [&str; 3] = ["--", "-D", "warnings"];
    let all = ["clippy", "--locked", "--all-targets"];
    run(cargo().args(all).args(workspace::FEATURES).args(DENIED))?;
    // What is shipped has fewer features.
    let shipped = ["clippy", "--locked", "--package", "lb-userspace", "--lib", "--bins"];
    run(cargo().args(shipped).args(DENIED))?;
    // The kernel programs are checked as if for the host: clippy needs `core`
    // of its own compiler, which is not the one that knows BPF. A folder of
    // its own keeps these flags from rebuilding everything else.
    let target = workspace::target()?.join("ebpf-clippy");
    run(cargo()
        .args([
            "clippy",
            "--locked",
            "--package",
            "lb-ebpf",
            "--target",
            "x86_64-unknown-linux-gnu",
        ])
        .arg("--target-dir")
        .arg(target)
        .args(DENIED)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_PROFILE_DEV_PANIC", "abort")
        .env("RUSTFLAGS", "--cfg=bpf_target_arch=\"x86_64\""))
}
