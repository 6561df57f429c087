//! Where an instance keeps its things.

use std::path::{Path, PathBuf};

use super::{KernelError, error::Result};

/// Folder of the BPF file system.
pub const BPFFS: &str = "/sys/fs/bpf";

/// The paths of one instance. Their names are fixed: operators and units refer to them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    instance: String,
}

impl Paths {
    /// Paths of the instance `name`.
    ///
    /// # Errors
    /// A name that isn't 1 to 64 of letters, digits, `-`, `_` and `.`, or begins with a dot.
    pub fn new(name: &str) -> Result<Self> {
        let sound = (1..=64).contains(&name.len())
            && !name.starts_with('.')
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        if !sound {
            return Err(KernelError::InstanceName { name: name.into() });
        }
        Ok(Self { instance: name.into() })
    }

    /// The instance's name.
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// The API's socket: `/run/lb/NAME.sock`.
    pub fn socket(&self) -> PathBuf {
        self.run_folder().join(format!("{}.sock", self.instance))
    }

    /// The lock, holding the daemon's pid: `/run/lb/NAME.pid`.
    pub fn pid_file(&self) -> PathBuf {
        self.run_folder().join(format!("{}.pid", self.instance))
    }

    /// Where the next daemon asks for what this one has: `/run/lb/NAME.takeover`.
    pub fn takeover(&self) -> PathBuf {
        self.run_folder().join(format!("{}.takeover", self.instance))
    }

    /// `/run/lb`.
    pub fn run_folder(&self) -> &'static Path {
        Path::new("/run/lb")
    }

    /// What outlives reboots: `/var/lib/lb/NAME`.
    pub fn state(&self) -> PathBuf {
        Path::new("/var/lib/lb").join(&self.instance)
    }

    /// What outlives the daemon: `/sys/fs/bpf/lb/NAME`.
    pub fn pins(&self) -> PathBuf {
        Path::new(BPFFS).join("lb").join(&self.instance)
    }

    /// Pinned links, whatever the layout of the maps: `PINS/links`.
    pub fn links(&self) -> PathBuf {
        self.pins().join("links")
    }

    /// Maps and programs of one layout: `PINS/v<hash>`.
    pub(crate) fn layout(&self, folder: &str) -> LayoutPaths {
        LayoutPaths::new(self.pins().join(folder))
    }
}

/// Folders of one layout.
#[derive(Clone, Debug)]
pub(crate) struct LayoutPaths {
    folder: PathBuf,
}

impl LayoutPaths {
    /// The layout kept in `folder`.
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The folder itself.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Folder of the pinned maps.
    pub(crate) fn maps(&self) -> PathBuf {
        self.folder.join("maps")
    }

    /// Pin of a map.
    pub(crate) fn map(&self, name: &str) -> PathBuf {
        self.maps().join(name)
    }

    /// Folder of the pinned rings, by their ids.
    pub(crate) fn rings(&self) -> PathBuf {
        self.folder.join("rings")
    }

    /// Folder of the pinned programs.
    pub(crate) fn programs(&self) -> PathBuf {
        self.folder.join("programs")
    }

    /// Pin of a program.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.programs().join(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    macro_rules! names {
        ($($test:ident: $name:expr => $ok:expr,)+) => {
            $(#[test]
            fn $test() {
                assert_eq!(Paths::new($name).is_ok(), $ok);
            })+
        };
    }

    names! {
        a_plain_name_is_taken: "default" => true,
        all_kinds_of_characters_are_taken: "a-b_c.9" => true,
        an_empty_name_is_refused: "" => false,
        a_hidden_name_is_refused: ".x" => false,
        the_parent_folder_is_refused: ".." => false,
        a_path_is_refused: "a/b" => false,
        a_long_name_is_refused: &"x".repeat(65) => false,
    }

    #[test]
    fn paths_are_those_of_the_contract() {
        let paths = Paths::new("default").unwrap();
        assert_eq!(paths.socket(), Path::new("/run/lb/default.sock"));
        assert_eq!(paths.pins(), Path::new("/sys/fs/bpf/lb/default"));
        assert_eq!(paths.state(), Path::new("/var/lib/lb/default"));
    }
}
