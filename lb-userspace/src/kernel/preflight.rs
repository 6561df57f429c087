//! What the host must offer, checked before anything is touched.

use std::{
    fs::{self, File},
    io,
};

use nix::{
    fcntl::{Flock, FlockArg},
    mount::{MsFlags, mount},
    sys::statfs::{BPF_FS_MAGIC, statfs},
};

use super::{
    KernelError,
    error::{KernelError as E, Result},
    paths::BPFFS,
};

/// Oldest kernel: TCX links (`BPF_TCX_INGRESS`) came with 6.6.
const OLDEST: (u32, u32) = (6, 6);

/// Capabilities the kernel path uses, by number (`capability(7)`).
const CAPABILITIES: [(u32, &str); 4] =
    [(12, "CAP_NET_ADMIN"), (13, "CAP_NET_RAW"), (38, "CAP_PERFMON"), (39, "CAP_BPF")];

/// Checks kernel, architecture and capabilities.
///
/// # Errors
/// [`KernelError::Unsupported`] or [`KernelError::Privileges`], each naming what is missing.
pub fn check_host() -> Result<()> {
    let name = nix::sys::utsname::uname().map_err(|e| E::file("uname")(e.into()))?;
    let release = name.release().to_string_lossy().into_owned();
    let machine = name.machine().to_string_lossy().into_owned();
    if machine != "x86_64" || version(&release).is_none_or(|v| v < OLDEST) {
        return Err(KernelError::Unsupported { release, machine });
    }
    let path = "/proc/self/status";
    let status = fs::read_to_string(path).map_err(E::file(path))?;
    let missing = missing(effective(&status));
    if missing.is_empty() { Ok(()) } else { Err(KernelError::Privileges { missing }) }
}

/// Mounts a BPF file system at [`BPFFS`] unless there is one.
///
/// # Errors
/// [`KernelError::Bpffs`] when mounting fails.
pub fn mount_bpffs() -> Result<()> {
    let failed = |source| KernelError::Bpffs { path: BPFFS, source };
    if is_bpffs().map_err(failed)? {
        return Ok(());
    }
    // Two daemons that start at once must not mount one over the other's pins.
    let folder = "/run/lb";
    fs::create_dir_all(folder).map_err(E::file(folder))?;
    let path = "/run/lb/.bpffs";
    let file = File::create(path).map_err(E::file(path))?;
    let _lock = Flock::lock(file, FlockArg::LockExclusive)
        .map_err(|(_, errno)| E::file(path)(errno.into()))?;
    if is_bpffs().map_err(failed)? {
        return Ok(());
    }
    mount(Some("bpf"), BPFFS, Some("bpf"), MsFlags::empty(), Some("mode=0700"))
        .map_err(|errno| failed(errno.into()))
}

fn is_bpffs() -> io::Result<bool> {
    Ok(statfs(BPFFS).map_err(io::Error::from)?.filesystem_type() == BPF_FS_MAGIC)
}

/// Major and minor of `6.18.44-fc`.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut parts = release.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// The effective set in `/proc/PID/status`.
fn effective(status: &str) -> u64 {
    status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|set| u64::from_str_radix(set.trim(), 16).ok())
        .unwrap_or(0)
}

fn missing(effective: u64) -> String {
    let names: Vec<_> = CAPABILITIES
        .iter()
        .filter(|(bit, _)| effective & 1 << bit == 0)
        .map(|(_, name)| *name)
        .collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    macro_rules! releases {
        ($($test:ident: $release:literal => $version:expr,)+) => {
            $(#[test]
            fn $test() {
                assert_eq!(version($release), $version);
            })+
        };
    }

    releases! {
        a_plain_release_is_read: "6.6.0" => Some((6, 6)),
        a_release_with_a_suffix_is_read: "6.18.44-fc-v669" => Some((6, 18)),
        a_release_of_two_parts_is_read: "7.0-rc1" => Some((7, 0)),
        no_release_is_none: "Linux" => None,
    }

    #[test]
    fn versions_compare_by_number() {
        assert!(version("6.18.1").unwrap() >= OLDEST);
        assert!(version("6.5.9").unwrap() < OLDEST);
        assert!(version("5.19").unwrap() < OLDEST);
    }

    #[test]
    fn missing_capabilities_are_named() {
        let status = "Name:\tlb\nCapEff:\t0000008000001000\n";
        assert_eq!(effective(status), 1 << 39 | 1 << 12);
        assert_eq!(missing(effective(status)), "CAP_NET_RAW, CAP_PERFMON");
        assert_eq!(missing(u64::MAX), "");
    }
}
