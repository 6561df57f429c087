//! Programs that come with the distribution.

use std::path::{Path, PathBuf};
use std::{env, fs, io::ErrorKind, os::unix::fs::PermissionsExt, process};

use anyhow::{Context, Result, bail};
use nix::unistd::geteuid;

use super::Purpose;
use crate::workspace::{command, run};

/// A program, the Debian package that has it, what it is for, and the first
/// purpose that needs it.
struct Tool {
    program: &'static str,
    package: &'static str,
    why: &'static str,
    purpose: Purpose,
}

const fn tool(
    purpose: Purpose,
    program: &'static str,
    package: &'static str,
    why: &'static str,
) -> Tool {
    Tool { program, package, why, purpose }
}

/// What demo, tests and bench run.
const TOOLS: &[Tool] = &[
    tool(Purpose::Demo, "ip", "iproute2", "makes the network namespaces of tests, demo and bench"),
    tool(Purpose::Demo, "curl", "curl", "is a client to try the demo with"),
    tool(
        Purpose::Test,
        "ethtool",
        "ethtool",
        "turns a veth's offloads off, so that it is like a wire",
    ),
    tool(Purpose::Bench, "nft", "nftables", "is the balancer that the bench compares with"),
    tool(Purpose::Bench, "haproxy", "haproxy", "is the proxy that the bench compares with"),
    tool(Purpose::Bench, "nginx", "nginx", "is a proxy that the bench compares with"),
    tool(Purpose::Bench, "h2load", "nghttp2-client", "makes the bench's load over HTTP/2"),
    tool(Purpose::Bench, "wrk", "wrk", "makes the bench's load of connections and requests"),
    tool(Purpose::Bench, "perf", "linux-perf", "counts the system calls of a proxy"),
];

/// Installs the packages of those tools that `purpose` needs and that are not there.
///
/// # Errors
/// When there is no apt-get, no root, or a package can't be had.
pub(super) fn ensure(purpose: Purpose) -> Result<()> {
    let needed = TOOLS.iter().filter(|t| t.purpose <= purpose);
    let missing: Vec<_> = needed.filter(|t| find(t.program).is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    for tool in &missing {
        println!("installing {}: `{}` {}", tool.package, tool.program, tool.why);
    }
    install(&missing.iter().map(|t| t.package).collect::<Vec<_>>())
}

/// Installs packages by apt-get; its progress is shown.
///
/// # Errors
/// When there is no apt-get, no root, or a package can't be had even after the
/// lists of packages are fetched anew.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    let names = packages.join(" ");
    if find("apt-get").is_none() {
        bail!("{names}: this machine has no apt-get to install them by; install them by hand");
    }
    if !geteuid().is_root() {
        bail!("{names}: only root can install them; run `cargo xtask setup` as root once");
    }
    let _stopped = NoServices::begin()?;
    let wanted = |arguments: &[&str]| {
        run(command("apt-get").env("DEBIAN_FRONTEND", "noninteractive").args(arguments))
    };
    let install = [&["install", "-qy", "--no-install-recommends"], packages].concat();
    if wanted(&install).is_ok() {
        return Ok(());
    }
    println!("fetching the lists of packages, for apt-get could not find them all");
    wanted(&["update", "-q"])?;
    wanted(&install).with_context(|| format!("{names}: apt-get can't install them"))
}

/// Where a program is, as root's PATH would have it.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|dir| dir.join(program))
        .find(|file| file.is_file())
}

/// While it lives, packages that bring a daemon (haproxy) don't start it: the
/// tests run their own. A policy of the machine's own is left alone.
struct NoServices {
    made: bool,
}

impl NoServices {
    const POLICY: &str = "/usr/sbin/policy-rc.d";

    fn begin() -> Result<Self> {
        // Void once this process is gone, should it be killed before it can clean up.
        let script = format!("#!/bin/sh\n[ ! -d /proc/{} ] || exit 101\n", process::id());
        if Path::new(Self::POLICY).exists() {
            return Ok(Self { made: false });
        }
        fs::write(Self::POLICY, script)
            .and_then(|()| fs::set_permissions(Self::POLICY, fs::Permissions::from_mode(0o755)))
            .with_context(|| format!("{} can't be written", Self::POLICY))?;
        Ok(Self { made: true })
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if !self.made {
            return;
        }
        match fs::remove_file(Self::POLICY) {
            Err(e) if e.kind() != ErrorKind::NotFound => {
                eprintln!("{} can't be removed: {e}", Self::POLICY);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{TOOLS, find};

    #[test]
    fn finds_a_program_and_misses_another() {
        assert!(find("sh").is_some());
        assert!(find("no-such-program-of-lb").is_none());
    }

    #[test]
    fn every_tool_says_why_it_is_needed() {
        assert!(TOOLS.iter().all(|t| !t.package.is_empty() && t.why.contains(' ')));
    }
}
