//! Which addresses lb has added, kept in the state folder: `lb detach` and the
//! next daemon remove these and no others.

use std::{
    collections::BTreeSet,
    fs, io,
    net::IpAddr,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::NetError;

/// An address on an interface.
pub(crate) type Added = (IpAddr, String);

/// The record, in memory as in the file.
#[derive(Debug)]
pub(crate) struct Record {
    path: PathBuf,
    content: Content,
}

#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Content {
    /// The run of the kernel and the network namespace that hold the
    /// addresses: they die with it, and what stands there later isn't lb's.
    kernel: String,
    added: BTreeSet<Added>,
}

impl Record {
    /// Reads the record; there is none yet, or that of another kernel run or
    /// network namespace: an empty one.
    pub(crate) fn open(path: &Path) -> Result<Self, NetError> {
        let kernel = kernel()?;
        let old = match fs::read(path) {
            Ok(bytes) => parse(path, &bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Content::default(),
            Err(error) => return Err(file(path)(error)),
        };
        let added = if old.kernel == kernel { old.added } else { BTreeSet::new() };
        Ok(Self { path: path.to_owned(), content: Content { kernel, added } })
    }

    /// What lb has added.
    pub(crate) fn added(&self) -> &BTreeSet<Added> {
        &self.content.added
    }

    /// Whether lb has added this.
    pub(crate) fn has(&self, address: IpAddr, interface: &str) -> bool {
        self.content.added.contains(&(address, interface.to_owned()))
    }

    /// Notes an addition, on disk before it is made.
    pub(crate) fn insert(&mut self, address: IpAddr, interface: &str) -> Result<(), NetError> {
        if self.content.added.insert((address, interface.to_owned())) {
            self.save()
        } else {
            Ok(())
        }
    }

    /// Notes a removal.
    pub(crate) fn remove(&mut self, address: IpAddr, interface: &str) -> Result<(), NetError> {
        if self.content.added.remove(&(address, interface.to_owned())) {
            self.save()
        } else {
            Ok(())
        }
    }

    fn save(&self) -> Result<(), NetError> {
        let error = file(&self.path);
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder).map_err(&error)?;
        }
        if self.content.added.is_empty() {
            return match fs::remove_file(&self.path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => Err(error(e)),
                _ => Ok(()),
            };
        }
        let bytes = serde_json::to_vec_pretty(&self.content).map_err(|e| error(e.into()))?;
        let new = self.path.with_extension("new");
        fs::write(&new, bytes).and_then(|()| fs::rename(&new, &self.path)).map_err(error)
    }
}

fn parse(path: &Path, bytes: &[u8]) -> Result<Content, NetError> {
    serde_json::from_slice(bytes).map_err(|error| NetError::Content {
        path: path.display().to_string(),
        message: format!(
            "{error}; it says which addresses lb has added: remove the file, and those addresses yourself"
        ),
    })
}

fn file(path: &Path) -> impl Fn(io::Error) -> NetError {
    let path = path.display().to_string();
    move |source| NetError::File { path: path.clone(), source }
}

/// Names this run of the kernel and this thread's network namespace.
fn kernel() -> Result<String, NetError> {
    const BOOT: &str = "/proc/sys/kernel/random/boot_id";
    const NETNS: &str = "/proc/thread-self/ns/net";
    let boot = fs::read_to_string(BOOT).map_err(file(Path::new(BOOT)))?;
    let netns = fs::metadata(NETNS).map_err(file(Path::new(NETNS)))?;
    Ok(format!("{} {}", boot.trim(), netns.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vip() -> IpAddr {
        "198.51.100.10".parse().unwrap()
    }

    #[test]
    fn a_record_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state/addresses.json");
        let mut record = Record::open(&path).unwrap();
        record.insert(vip(), "lo").unwrap();
        assert!(Record::open(&path).unwrap().has(vip(), "lo"));
    }

    #[test]
    fn an_empty_record_is_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("addresses.json");
        let mut record = Record::open(&path).unwrap();
        record.insert(vip(), "lo").unwrap();
        record.remove(vip(), "lo").unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn the_record_of_another_kernel_run_is_void() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("addresses.json");
        let old = Content { kernel: "another 1".into(), added: [(vip(), "lo".into())].into() };
        fs::write(&path, serde_json::to_vec(&old).unwrap()).unwrap();
        assert!(Record::open(&path).unwrap().added().is_empty());
    }

    #[test]
    fn a_spoilt_record_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("addresses.json");
        fs::write(&path, "{").unwrap();
        let error = Record::open(&path).unwrap_err().to_string();
        assert!(error.starts_with(path.to_str().unwrap()), "{error}");
    }
}
