//! Builds lb-ebpf into the object that lb-userspace embeds. Shared by
//! `lb-userspace/build.rs` and xtask, hence of the standard library alone. It
//! finds toolchains and never installs any: that is `cargo xtask setup`.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The nightly that set-up installs where no other toolchain can be had; its
/// LLVM is one that the chosen bpf-linker supports.
pub(crate) const PINNED_NIGHTLY: &str = "nightly-2026-05-20";
/// The minor version of the oldest Rust 1.x that compiles the workspace.
const OLDEST_RUST: u32 = 95;
/// Major versions of LLVM for which the chosen bpf-linker has a feature.
pub(crate) const LINKER_LLVMS: std::ops::RangeInclusive<u32> = 21..=23;
const TARGET: &str = "bpfel-unknown-none";

/// How a toolchain comes by `core` for BPF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Core {
    /// Compiled from rust-src with `-Zbuild-std=core` (a rustup nightly).
    FromSource,
    /// Shipped in the sysroot (Debian's rustc-web with libstd-rust-web-dev-bpf).
    Prebuilt,
}

/// A Rust toolchain that can compile for BPF.
#[derive(Clone, Debug)]
pub(crate) struct Toolchain {
    /// Absolute path of the compiler.
    pub(crate) rustc: PathBuf,
    /// The cargo that goes with it; `None` means the one that runs this.
    pub(crate) cargo: Option<PathBuf>,
    /// Where `core` comes from.
    pub(crate) core: Core,
    /// Major version of the compiler's LLVM, which bpf-linker must share.
    pub(crate) llvm: u32,
}

/// Builds the object and returns its path. `target` is cargo's target folder.
///
/// # Errors
/// One that names what is missing and what to run, or the compiler's output.
pub(crate) fn build(workspace: &Path, target: &Path) -> Result<PathBuf, String> {
    let (toolchain, linker) = tools(target)?;
    let target = target.join("ebpf");
    let output = command(&toolchain, &linker, workspace, &target, "build")
        .output()
        .map_err(|e| format!("cargo does not run: {e}"))?;
    if !output.status.success() {
        return Err(format!("lb-ebpf:\n{}", String::from_utf8_lossy(&output.stderr)));
    }
    let object = target.join(TARGET).join("release/lb-ebpf");
    let bytes = fs::read(&object).map_err(|e| format!("{}: {e}", object.display()))?;
    refuse_panics(&bytes)?;
    Ok(object)
}

/// Builds the programs that the bench wraps the balancer in and returns the object's path.
///
/// # Errors
/// As [`build`].
pub(crate) fn build_bench(workspace: &Path, target: &Path) -> Result<PathBuf, String> {
    let (toolchain, linker) = tools(target)?;
    let target = target.join("ebpf");
    let output = command(&toolchain, &linker, workspace, &target, "build")
        .args(["--example", "bench"])
        .output()
        .map_err(|e| format!("cargo does not run: {e}"))?;
    if !output.status.success() {
        return Err(format!("lb-ebpf/examples:\n{}", String::from_utf8_lossy(&output.stderr)));
    }
    Ok(target.join(TARGET).join("release/examples/bench"))
}

/// A compiler for BPF and a bpf-linker of the same LLVM.
///
/// # Errors
/// One sentence on what is missing.
pub(crate) fn tools(target: &Path) -> Result<(Toolchain, PathBuf), String> {
    let toolchains = toolchains();
    let Some(first) = toolchains.first().cloned() else {
        return Err("no Rust toolchain here can compile for BPF; run `cargo xtask setup`".into());
    };
    let linkers = linkers(target);
    let pair = toolchains.into_iter().find_map(|toolchain| {
        let (linker, _) = linkers.iter().find(|(_, llvm)| *llvm == toolchain.llvm)?;
        Some((toolchain, linker.clone()))
    });
    pair.ok_or_else(|| {
        format!(
            "there is no bpf-linker for LLVM {}, that of {}, neither at {} nor in PATH; \
             run `cargo xtask setup`",
            first.llvm,
            first.rustc.display(),
            linker_path(target).display(),
        )
    })
}

/// Where set-up puts bpf-linker.
#[must_use]
pub(crate) fn linker_path(target: &Path) -> PathBuf {
    target.join("tools/bin/bpf-linker")
}

/// The major version of the LLVM that a bpf-linker was linked with; `None` if
/// there is no such linker or a library it needs is gone.
#[must_use]
fn linker_llvm(linker: &Path) -> Option<u32> {
    if !linker.exists() {
        return None;
    }
    let out = output(Command::new("ldd").arg(linker))?;
    let line = out.lines().find(|l| l.contains("libLLVM") && !l.contains("not found"))?;
    let digits = line.trim_start().trim_start_matches(|c: char| !c.is_ascii_digit());
    digits.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// The bpf-linkers at hand with their LLVM, that of set-up first.
fn linkers(target: &Path) -> Vec<(PathBuf, u32)> {
    let path = env::var_os("PATH").unwrap_or_default();
    [linker_path(target)]
        .into_iter()
        .chain(env::split_paths(&path).map(|dir| dir.join("bpf-linker")))
        .filter_map(|linker| linker_llvm(&linker).map(|llvm| (linker, llvm)))
        .collect()
}

/// Every toolchain on this machine that can compile for BPF.
#[must_use]
pub(crate) fn toolchains() -> Vec<Toolchain> {
    let nightlies = [PINNED_NIGHTLY, "nightly"].into_iter().filter_map(|name| {
        let sysroot = output(
            Command::new("rustup")
                .env("RUSTUP_AUTO_INSTALL", "0")
                .args(["run", name, "rustc", "--print", "sysroot"]),
        )?;
        let bin = Path::new(sysroot.trim()).join("bin");
        toolchain(&bin.join("rustc"), Some(bin.join("cargo")))
    });
    let path = env::var_os("PATH").unwrap_or_default();
    let in_path = env::split_paths(&path)
        .chain([PathBuf::from("/usr/bin")])
        .filter_map(|dir| toolchain(&dir.join("rustc"), None));
    nightlies.chain(in_path).filter(|t| LINKER_LLVMS.contains(&t.llvm)).collect()
}

/// What `rustc` can do for BPF, if anything. Only a compiler with a cargo of
/// its own, that is a nightly, may build `core`.
fn toolchain(rustc: &Path, cargo: Option<PathBuf>) -> Option<Toolchain> {
    if !rustc.exists() {
        return None;
    }
    let sysroot =
        PathBuf::from(output(scrub(Command::new(rustc).args(["--print", "sysroot"])))?.trim());
    let rustlib = sysroot.join("lib/rustlib");
    let core = if holds(&rustlib.join(TARGET).join("lib"), "libcore-") {
        Core::Prebuilt
    } else if cargo.is_some() && rustlib.join("src/rust/library/core/src/lib.rs").exists() {
        Core::FromSource
    } else {
        return None;
    };
    let version = output(scrub(Command::new(rustc).arg("-vV")))?;
    let field = |name: &str, nth| -> Option<u32> {
        let value = version.lines().find_map(|l| l.strip_prefix(name))?;
        value.split('.').nth(nth)?.parse().ok()
    };
    let llvm = field("LLVM version: ", 0)?;
    if field("release: 1", 1)? < OLDEST_RUST {
        return None;
    }
    Some(Toolchain { rustc: rustc.to_owned(), cargo, core, llvm })
}

/// `cargo SUBCOMMAND` on lb-ebpf for BPF with this toolchain. `target` is a
/// folder of its own, for cargo holds a lock on the outer one.
#[must_use]
pub(crate) fn command(
    toolchain: &Toolchain,
    linker: &Path,
    workspace: &Path,
    target: &Path,
    subcommand: &str,
) -> Command {
    let own = || env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from);
    let mut cargo = Command::new(toolchain.cargo.clone().unwrap_or_else(own));
    scrub(&mut cargo)
        .current_dir(workspace)
        .args([subcommand, "--locked", "--release", "--package", "lb-ebpf", "--target", TARGET])
        .arg("--target-dir")
        .arg(target)
        // What the daemon's profile asks for is bpf-linker's business here.
        .env("CARGO_PROFILE_RELEASE_LTO", "false")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
        .env("RUSTC", &toolchain.rustc)
        .env("CARGO_ENCODED_RUSTFLAGS", rustflags(linker));
    match toolchain.core {
        Core::FromSource => cargo.arg("-Zbuild-std=core"),
        // aya-ebpf uses unstable features; rust-src's nightly has them anyway.
        Core::Prebuilt => cargo.env("RUSTC_BOOTSTRAP", "1"),
    };
    cargo
}

/// BTF needs full debug information. `v3` is what Linux 6.6 verifies best
/// without asking for more; cargo separates encoded flags by 0x1f.
fn rustflags(linker: &Path) -> OsString {
    let mut flags = OsString::from(
        "--cfg=bpf_target_arch=\"x86_64\"\x1f-Cdebuginfo=2\x1f-Clink-arg=--btf\x1f-Ctarget-cpu=v3\x1f-Clinker=",
    );
    flags.push(linker);
    flags
}

/// Takes away what an outer cargo, its wrapper or its build script set for the
/// host's build; what tells cargo how to reach registries stays.
fn scrub(command: &mut Command) -> &mut Command {
    const KEPT: &[&str] = &[
        "CARGO_HOME",
        "CARGO_HTTP_",
        "CARGO_NET_",
        "CARGO_REGISTR",
        "CARGO_SOURCE_",
        "CARGO_TERM_",
        "RUSTUP_HOME",
        "RUSTUP_DIST_SERVER",
        "RUSTUP_UPDATE_ROOT",
    ];
    const OTHERS: &[&str] = &[
        "MAKEFLAGS",
        "MFLAGS",
        "OUT_DIR",
        "TARGET",
        "HOST",
        "PROFILE",
        "OPT_LEVEL",
        "DEBUG",
        "NUM_JOBS",
        "LD_LIBRARY_PATH",
        "CLIPPY_ARGS",
    ];
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        let of_cargo = text.starts_with("CARGO") || text.starts_with("RUST");
        let kept = KEPT.iter().any(|k| text.starts_with(k));
        if of_cargo && !kept || OTHERS.contains(&text.as_ref()) {
            command.env_remove(&name);
        }
    }
    command
}

/// A cold section is what the compiler makes of a panic: the program would be
/// refused at load, so it is refused here, where the reason can be given.
fn refuse_panics(object: &[u8]) -> Result<(), String> {
    let cold = b".text.unlikely";
    if object.windows(cold.len()).any(|w| w == cold) {
        return Err("the object of lb-ebpf holds .text.unlikely: something in it can panic \
                    (an index, a division, an unwrap); use get(), masks and zero tests"
            .to_owned());
    }
    Ok(())
}

fn holds(dir: &Path, prefix: &str) -> bool {
    fs::read_dir(dir).is_ok_and(|entries| {
        entries.flatten().any(|e| e.file_name().to_string_lossy().starts_with(prefix))
    })
}

/// What a command prints, if it succeeds.
fn output(command: &mut Command) -> Option<String> {
    let out = command.output().ok()?;
    out.status.success().then(|| String::from_utf8_lossy(&out.stdout).into_owned())
}
