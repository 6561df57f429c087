//! Builds the kernel programs for `kernel::object` to embed. It installs
//! nothing; what it lacks it names.

#[allow(dead_code, reason = "xtask uses the rest")]
#[path = "../xtask/src/ebpf.rs"]
mod ebpf;

use std::path::{Path, PathBuf};
use std::{env, fs, process};

fn main() {
    if let Err(fault) = embed() {
        eprintln!("the kernel programs can't be built: {fault}");
        process::exit(1);
    }
}

fn embed() -> Result<(), String> {
    let workspace = folder("CARGO_MANIFEST_DIR", 1)?;
    let out = folder("OUT_DIR", 0)?;
    let target = target_folder(&out)?;
    watch(&workspace, &ebpf::linker_path(&target));
    let object = ebpf::build(&workspace, &target)?;
    fs::copy(&object, out.join("lb-ebpf.o")).map_err(|e| format!("{}: {e}", object.display()))?;
    Ok(())
}

/// Cargo does not tell its target folder, wherever CARGO_TARGET_DIR or its
/// configuration put it: OUT_DIR is TARGET/[TRIPLE/]PROFILE/build/PACKAGE/out.
fn target_folder(out: &Path) -> Result<PathBuf, String> {
    let triple = env::var_os("TARGET").unwrap_or_default();
    let folder = out.ancestors().nth(4).ok_or("OUT_DIR is not below a target folder")?;
    let folder = match folder.file_name() {
        Some(name) if name == triple => folder.parent().unwrap_or(folder),
        _ => folder,
    };
    Ok(folder.to_owned())
}

fn watch(workspace: &Path, linker: &Path) {
    let sources = [
        "lb-ebpf/src",
        "lb-ebpf/Cargo.toml",
        "lb-common/src",
        "lb-common/Cargo.toml",
        "lb-userspace/build.rs",
        "xtask/src/ebpf.rs",
        "Cargo.toml",
        "Cargo.lock",
    ];
    for source in sources {
        println!("cargo:rerun-if-changed={}", workspace.join(source).display());
    }
    println!("cargo:rerun-if-changed={}", linker.display());
}

/// The `up`-th folder above the one that cargo names in `variable`.
fn folder(variable: &str, up: usize) -> Result<PathBuf, String> {
    let path = PathBuf::from(env::var_os(variable).ok_or(format!("cargo sets no {variable}"))?);
    path.ancestors().nth(up).map(Path::to_owned).ok_or(format!("{variable} has no parent"))
}
