//! Which files there are and in which state, told without reading them.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fs,
    os::unix::fs::MetadataExt,
    path::{Component, Path, PathBuf},
};

use super::file::{files, is_wanted};
use crate::model::FileProvider;

/// Longest chain of links that is followed, as the kernel's own (`MAXSYMLINKS`).
const LINKS: usize = 40;

/// What `stat` says of each file; an unreadable one has no state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fingerprint(Vec<(PathBuf, Option<State>)>);

type State = (u64, u64, u64, i64, i64, i64, i64);

impl Fingerprint {
    /// Of all files now.
    pub(super) fn take(settings: &FileProvider) -> Self {
        let state = |path: &Path| {
            let stat = fs::metadata(path).ok()?;
            Some((
                stat.dev(),
                stat.ino(),
                stat.size(),
                stat.mtime(),
                stat.mtime_nsec(),
                stat.ctime(),
                stat.ctime_nsec(),
            ))
        };
        let files = files(settings).unwrap_or_default();
        Self(files.into_iter().map(|path| (path.clone(), state(&path))).collect())
    }
}

/// Where `providers.file` leads, with every link on the way resolved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Trail {
    /// Every link on the way and every end, each below a folder without links.
    pub(super) paths: BTreeSet<PathBuf>,
    /// The configured folder itself, where it is one.
    pub(super) folder: Option<PathBuf>,
    /// By file as configured: where it really is.
    pub(super) ends: BTreeMap<PathBuf, PathBuf>,
}

impl Trail {
    /// As things are now.
    pub(super) fn of(settings: &FileProvider) -> Self {
        let mut trail = Self::default();
        if settings.is_directory {
            trail.folder = Some(trail.walk(&settings.path));
        }
        for file in files(settings).unwrap_or_default() {
            let end = trail.walk(&file);
            trail.ends.insert(file, end);
        }
        trail
    }

    /// Adds `path` and every link on the way; returns where it ends.
    fn walk(&mut self, path: &Path) -> PathBuf {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let mut rest: Vec<OsString> = parts(&path);
        let mut here = PathBuf::from("/");
        let mut links = 0;
        while let Some(part) = rest.pop() {
            if part == ".." {
                here.pop();
                continue;
            }
            here.push(part);
            if links < LINKS
                && let Ok(target) = fs::read_link(&here)
            {
                links += 1;
                self.paths.insert(here.clone());
                here.pop();
                if target.is_absolute() {
                    here = PathBuf::from("/");
                }
                rest.extend(parts(&target));
            }
        }
        self.paths.insert(here.clone());
        here
    }

    /// Whether an event at `path` may change what is read.
    pub(super) fn concerns(&self, path: &Path) -> bool {
        let listed = self.folder.is_some() && path.parent() == self.folder.as_deref();
        listed && is_wanted(path) || self.paths.iter().any(|ours| ours.starts_with(path))
    }

    /// The folders to be watched: those that exist, in place of a missing one what is above it.
    pub(super) fn folders(&self) -> BTreeSet<PathBuf> {
        let above = self.paths.iter().filter_map(|path| path.parent());
        above
            .chain(self.folder.as_deref())
            .filter_map(|folder| folder.ancestors().find(|folder| folder.is_dir()))
            .map(Path::to_owned)
            .collect()
    }
}

/// The names of a path, the last one first.
fn parts(path: &Path) -> Vec<OsString> {
    let named = |part: Component<'_>| match part {
        Component::Normal(_) | Component::ParentDir => Some(part.as_os_str().to_owned()),
        _ => None,
    };
    path.components().rev().filter_map(named).collect()
}
