//! What can go wrong between the daemon and the kernel, each with what to do next.

use std::{io, path::PathBuf};

/// A failure of the kernel side.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// Not Linux, or a kernel that is too old.
    #[error("lb needs Linux 6.6 or newer on x86_64; this is Linux {release} on {machine}")]
    Unsupported {
        /// `uname -r`.
        release: String,
        /// `uname -m`.
        machine: String,
    },
    /// Capabilities are missing.
    #[error("the kernel path needs root, or the capabilities {missing}; start lb with them")]
    Privileges {
        /// Names of those missing: `CAP_BPF, CAP_NET_ADMIN`.
        missing: String,
    },
    /// No BPF file system and no way to mount one.
    #[error(
        "{path}: no BPF file system is mounted and mounting one failed: {source}; mount it by `mount -t bpf bpf {path}`"
    )]
    Bpffs {
        /// Where it belongs.
        path: &'static str,
        /// Why mounting failed.
        source: io::Error,
    },
    /// Another daemon runs this instance.
    #[error(
        "instance {instance:?} is already run by process {pid}; end that one first, or choose another with --instance"
    )]
    Running {
        /// The instance.
        instance: String,
        /// The process that holds the lock.
        pid: u32,
    },
    /// An instance name that can't be a file name.
    #[error(
        "instance name {name:?}: letters, digits, `-`, `_` and `.` only, 1 to 64 of them, and no leading dot"
    )]
    InstanceName {
        /// As given.
        name: String,
    },
    /// What is pinned can't be taken over.
    #[error(
        "{path}: the pinned maps are of another version of lb and can't be carried over: {why}; run `lb detach` (it ends their connections) and start again"
    )]
    Foreign {
        /// The pin folder.
        path: PathBuf,
        /// What is not understood.
        why: String,
    },
    /// The new sizes don't hold what is there.
    #[error(
        "{what}: {given} is too few for what the kernel path holds now; at least {needed} are needed"
    )]
    TooSmall {
        /// The setting.
        what: &'static str,
        /// Its value.
        given: u64,
        /// Its least value.
        needed: u64,
    },
    /// A map could not be made, mostly for lack of memory.
    #[error(
        "the tables need {mebibytes} MiB of kernel memory: {source}; lower datapath.connections or datapath.backends"
    )]
    Memory {
        /// Sum of the flow tables.
        mebibytes: u64,
        /// The kernel's answer.
        source: Box<aya::EbpfError>,
    },
    /// The object could not be loaded.
    #[error("loading the kernel programs failed: {0}")]
    Load(#[from] Box<aya::EbpfError>),
    /// The object could not be read.
    #[error("the kernel programs built into lb can't be read: {0}")]
    Object(#[from] Box<aya_obj::ParseError>),
    /// A program could not be loaded, pinned, attached or run.
    #[error("program {name}: {source}")]
    Program {
        /// Name in the object.
        name: String,
        /// aya's error.
        source: Box<aya::programs::ProgramError>,
    },
    /// A map operation failed.
    #[error("map {name}: {what} failed: {source}")]
    Map {
        /// Name of the map.
        name: String,
        /// What was tried: `write of 5`.
        what: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A file, folder or pin could not be used.
    #[error("{path}: {source}")]
    File {
        /// Which one.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A contradiction within lb: report it.
    #[error("{0}")]
    Internal(String),
}

/// Result of the kernel side.
pub type Result<T, E = KernelError> = std::result::Result<T, E>;

impl KernelError {
    /// For `map_err` on file operations.
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }

    /// For `map_err` on raw map operations.
    pub(crate) fn map<'a>(
        name: &'a str,
        what: impl Into<String> + 'a,
    ) -> impl FnOnce(io::Error) -> Self + 'a {
        move |source| Self::Map { name: name.into(), what: what.into(), source }
    }

    /// For `map_err` on aya's map operations.
    pub(crate) fn aya_map<'a>(
        name: &'a str,
        what: impl Into<String> + 'a,
    ) -> impl FnOnce(aya::maps::MapError) -> Self + 'a {
        move |source| Self::Map { name: name.into(), what: what.into(), source: io_of(source) }
    }

    /// For `map_err` on programs.
    pub(crate) fn program(name: &str) -> impl FnOnce(aya::programs::ProgramError) -> Self + '_ {
        move |source| Self::Program { name: name.into(), source: Box::new(source) }
    }
}

/// The system's answer inside aya's error, where there is one.
fn io_of(error: aya::maps::MapError) -> io::Error {
    use aya::maps::MapError;
    match error {
        MapError::SyscallError(e) => e.io_error,
        MapError::IoError(e) => e,
        other => io::Error::other(other.to_string()),
    }
}
