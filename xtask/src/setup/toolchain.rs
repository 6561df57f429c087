//! A compiler for BPF and the linker that fits it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};

use super::packages;
use crate::ebpf::{self, PINNED_NIGHTLY, Toolchain};
use crate::workspace::{self, command, run};

const LINKER_VERSION: &str = "0.13.0";
/// A compiler whose sysroot holds `core` for BPF, ready-made.
const PACKAGES: &[&str] = &["rustc-web", "libstd-rust-web-dev", "libstd-rust-web-dev-bpf"];

/// Installs the compiler, then the linker, where one is missing.
///
/// # Errors
/// When neither apt-get nor rustup can bring a compiler, or the linker fails to build.
pub(super) fn ensure() -> Result<()> {
    let target = workspace::target()?;
    if ebpf::tools(&target).is_ok() {
        return Ok(());
    }
    if ebpf::toolchains().is_empty() {
        compiler()?;
    }
    let toolchain = ebpf::toolchains()
        .into_iter()
        .next()
        .context("what was installed can't compile for BPF; see Troubleshooting in README.md")?;
    if ebpf::tools(&target).is_err() {
        linker(&toolchain, &target)?;
    }
    ebpf::tools(&target).map(drop).map_err(|fault| anyhow!(fault))
}

/// The distribution's packages take seconds; a nightly of rustup is the way
/// everywhere else.
fn compiler() -> Result<()> {
    println!("installing {}: a Rust compiler that knows BPF", PACKAGES.join(" "));
    let Err(fault) = packages::install(PACKAGES) else { return Ok(()) };
    println!("installing {PINNED_NIGHTLY} with rust-src instead, for {fault:#}");
    run(command("rustup").args([
        "toolchain",
        "install",
        PINNED_NIGHTLY,
        "--profile",
        "minimal",
        "--component",
        "rust-src",
    ]))
    .context("no Rust compiler that knows BPF can be installed, neither by apt-get nor by rustup")
}

/// Builds bpf-linker against the libLLVM of that very compiler: it reads the
/// compiler's bitcode.
fn linker(toolchain: &Toolchain, target: &Path) -> Result<()> {
    let llvm = toolchain.llvm;
    println!(
        "building bpf-linker {LINKER_VERSION} for LLVM {llvm}: it links the programs for the \
         kernel (1 to 3 minutes, once)"
    );
    let tools = target.join("tools");
    let library = library(&toolchain.rustc)?;
    let prefix = tools.join("llvm");
    let folder = prefix.join("lib");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    // By one name it is linked, by the other it is found when it runs.
    symlink(&library, folder.join("libLLVM.so"))?;
    if let Some(name) = library.file_name().filter(|n| *n != "libLLVM.so") {
        symlink(&library, folder.join(name))?;
    }
    let build = tools.join("build");
    run(workspace::cargo()
        .env("LLVM_PREFIX", &prefix)
        .args(["install", "bpf-linker", "--version", LINKER_VERSION, "--locked", "--force"])
        .args(["--no-default-features", "--features", &format!("llvm-{llvm}")])
        .arg("--root")
        .arg(&tools)
        .arg("--target-dir")
        .arg(&build))?;
    fs::remove_dir_all(&build).or_else(|e| match e.kind() {
        std::io::ErrorKind::NotFound => Ok(()),
        _ => Err(e).with_context(|| build.display().to_string()),
    })
}

/// The libLLVM that a compiler runs with.
fn library(rustc: &Path) -> Result<PathBuf> {
    let output = command("ldd").arg(rustc).env_remove("LD_LIBRARY_PATH").output().context("ldd")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    path_of_llvm(&text)
        .with_context(|| format!("{} has no libLLVM of its own to build against", rustc.display()))
}

fn path_of_llvm(ldd: &str) -> Option<PathBuf> {
    let line = ldd.lines().find(|l| l.trim_start().starts_with("libLLVM"))?;
    let path = line.split("=> ").nth(1)?.split(" (").next()?;
    path.starts_with('/').then(|| PathBuf::from(path))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::path_of_llvm;

    #[test]
    fn reads_the_library_from_what_ldd_prints() {
        let text = "\tlibstdc++.so.6 => /lib/libstdc++.so.6 (0x1)\n\
                    \tlibLLVM.so.22.1 => /lib/x86_64-linux-gnu/libLLVM.so.22.1 (0x7f)\n";
        assert_eq!(
            path_of_llvm(text),
            Some(PathBuf::from("/lib/x86_64-linux-gnu/libLLVM.so.22.1"))
        );
    }

    #[test]
    fn has_none_where_it_is_linked_statically_or_not_found() {
        assert_eq!(path_of_llvm("\tlibc.so.6 => /lib/libc.so.6 (0x1)\n"), None);
        assert_eq!(path_of_llvm("\tlibLLVM.so.22.1 => not found\n"), None);
    }
}
