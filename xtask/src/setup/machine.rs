//! Whether this machine can run lb at all.

use std::env::consts::ARCH;
use std::fs;

use anyhow::{Result, bail, ensure};
use nix::unistd::geteuid;

/// The oldest kernel with TCX links, which lb attaches by.
const OLDEST_KERNEL: (u32, u32) = (6, 6);
/// Bits of `linux/capability.h`.
const CAPABILITIES: &[(u32, &str)] =
    &[(12, "CAP_NET_ADMIN"), (21, "CAP_SYS_ADMIN"), (39, "CAP_BPF")];

/// Refuses a machine on which the programs could not be loaded.
///
/// # Errors
/// One sentence that names what stands in the way.
pub(crate) fn require() -> Result<()> {
    let release = nix::sys::utsname::uname()?.release().to_string_lossy().into_owned();
    fits(&release, ARCH)?;
    ensure!(
        geteuid().is_root(),
        "this needs root, to make network namespaces and load programs into the kernel; run it \
         as root, for example by `sudo -E env PATH=\"$PATH\" cargo xtask …`"
    );
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let lacking = lacking(&status);
    ensure!(
        lacking.is_empty(),
        "root here lacks {}, without which no program can be loaded; give them to this \
         container or run on the host",
        lacking.join(", "),
    );
    ensure!(
        fs::exists("/proc/sys/kernel/unprivileged_bpf_disabled").unwrap_or(false),
        "this kernel is built without the bpf system call (CONFIG_BPF_SYSCALL), which lb needs"
    );
    Ok(())
}

fn fits(release: &str, arch: &str) -> Result<()> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    let kernel = match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor),
        _ => bail!("the kernel calls itself {release:?}, which is no version"),
    };
    ensure!(
        kernel >= OLDEST_KERNEL && arch == "x86_64",
        "lb needs Linux {}.{} or newer on x86_64, and this is Linux {release} on {arch}",
        OLDEST_KERNEL.0,
        OLDEST_KERNEL.1,
    );
    Ok(())
}

/// The capabilities that `/proc/self/status` shows as not in effect.
fn lacking(status: &str) -> Vec<&'static str> {
    let mask = status
        .lines()
        .find_map(|l| l.strip_prefix("CapEff:"))
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .unwrap_or(0);
    CAPABILITIES.iter().filter(|(bit, _)| mask & (1 << bit) == 0).map(|(_, name)| *name).collect()
}

#[cfg(test)]
mod tests {
    use super::{fits, lacking};

    #[test]
    fn takes_the_oldest_kernel_and_newer_ones() {
        fits("6.6.0-generic", "x86_64").unwrap();
        fits("7.0-rc1", "x86_64").unwrap();
    }

    #[test]
    fn refuses_an_older_kernel_in_one_sentence_naming_both() {
        let text = fits("6.1.0-13-amd64", "x86_64").unwrap_err().to_string();
        assert_eq!(
            text,
            "lb needs Linux 6.6 or newer on x86_64, and this is Linux 6.1.0-13-amd64 on x86_64"
        );
    }

    #[test]
    fn refuses_another_architecture() {
        assert!(fits("6.18.1", "aarch64").unwrap_err().to_string().ends_with("on aarch64"));
    }

    #[test]
    fn refuses_a_kernel_without_a_version() {
        assert!(fits("experimental", "x86_64").is_err());
    }

    #[test]
    fn names_the_capabilities_that_are_missing() {
        assert_eq!(
            lacking("CapEff:\t00000000a80425fb\n"),
            ["CAP_NET_ADMIN", "CAP_SYS_ADMIN", "CAP_BPF"]
        );
        assert!(lacking("CapEff:\t000001ffffffffff\n").is_empty());
    }
}
