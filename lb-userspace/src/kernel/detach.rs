//! Takes everything of an instance out of the kernel.

use std::{fs, io, path::Path};

use super::{
    Paths, attach,
    error::{KernelError as E, Result},
};

/// What [`detach`] found and removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Detached {
    /// Programs taken off interfaces.
    pub links: usize,
    /// Pinned maps and programs.
    pub pins: usize,
}

/// Takes the instance's programs off their interfaces and removes its pins and empty folders,
/// with or without a daemon (one that runs must be ended first, or goes on without effect).
/// An instance of which nothing is pinned is no error.
///
/// # Errors
/// A pin or folder can't be removed.
pub fn detach(paths: &Paths) -> Result<Detached> {
    // Links first: no packet may meet a program whose maps have gone.
    let links = attach::pinned(paths)?;
    for link in &links {
        attach::remove(&link.path(paths))?;
    }
    remove_tree(&paths.links())?;
    let mut detached = Detached { links: links.len(), pins: 0 };
    for folder in layout_folders(paths)? {
        detached.pins += remove_tree(&folder)?;
    }
    let pins = paths.pins();
    let both = pins.parent().into_iter();
    for folder in [pins.as_path()].into_iter().chain(both) {
        match fs::remove_dir(folder) {
            Ok(()) => {}
            Err(e) if is_gone(&e) || e.kind() == io::ErrorKind::DirectoryNotEmpty => {}
            Err(e) => return Err(E::file(folder)(e)),
        }
    }
    Ok(detached)
}

/// The instance's folders `v<hash>`.
pub(super) fn layout_folders(paths: &Paths) -> Result<Vec<std::path::PathBuf>> {
    let pins = paths.pins();
    let entries = match fs::read_dir(&pins) {
        Ok(entries) => entries,
        Err(e) if is_gone(&e) => return Ok(Vec::new()),
        Err(e) => return Err(E::file(pins)(e)),
    };
    let mut folders = Vec::new();
    for entry in entries {
        let entry = entry.map_err(E::file(&pins))?;
        let name = entry.file_name();
        let hash = name.to_str().and_then(|name| name.strip_prefix('v'));
        if hash.is_some_and(|h| h.len() == 16 && h.bytes().all(|b| b.is_ascii_hexdigit())) {
            folders.push(entry.path());
        }
    }
    Ok(folders)
}

/// Removes a folder and what is in it; how many files that were.
pub(super) fn remove_tree(folder: &Path) -> Result<usize> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if is_gone(&e) => return Ok(0),
        Err(e) => return Err(E::file(folder)(e)),
    };
    let mut files = 0;
    for entry in entries {
        let path = entry.map_err(E::file(folder))?.path();
        if path.is_dir() {
            files += remove_tree(&path)?;
        } else {
            fs::remove_file(&path).map_err(E::file(path))?;
            files += 1;
        }
    }
    fs::remove_dir(folder).map_err(E::file(folder))?;
    Ok(files)
}

fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_of_which_nothing_is_pinned_is_no_error() {
        let paths = Paths::new(&format!("unit-{}-nothing", std::process::id())).unwrap();
        assert_eq!(detach(&paths).unwrap(), Detached::default());
    }

    #[test]
    fn a_tree_is_removed_and_its_files_counted() {
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path().join("v1");
        fs::create_dir_all(tree.join("maps")).unwrap();
        for file in ["maps/A", "maps/B", "C"] {
            fs::write(tree.join(file), "").unwrap();
        }
        assert_eq!(remove_tree(&tree).unwrap(), 3);
        assert!(!tree.exists());
    }
}
