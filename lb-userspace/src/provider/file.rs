//! `providers.file`: one file, or a folder of them.

use std::{
    fs,
    future::Future,
    io,
    path::{Path, PathBuf},
    pin::Pin,
};

use super::{Asked, Content, Provider, Reading, Text, watch::Watcher};
use crate::{
    config::{PROVIDER, read, syntax::SUFFIXES, unreadable},
    model::{self, Settings},
};

/// Reads and follows `providers.file`.
pub(crate) struct FileProvider {
    settings: model::FileProvider,
    watcher: Option<Watcher>,
}

/// The provider, where `settings` asks for it.
pub(super) fn asked_for(settings: &Settings) -> Option<Asked> {
    let file = settings.file.clone()?;
    Some(Asked::new(&("file", file.clone(), settings.throttle), move |around| {
        let watcher =
            (around.follows && file.watch).then(|| Watcher::new(file.clone(), around.throttle));
        Box::new(FileProvider { settings: file, watcher })
    }))
}

impl Provider for FileProvider {
    fn name(&self) -> &'static str {
        PROVIDER
    }

    fn read(&mut self, all: bool) -> Reading {
        if let Some(watcher) = &mut self.watcher {
            watcher.follow();
        }
        let files = match files(&self.settings) {
            Ok(files) => files,
            Err(error) => {
                let failed = Some(unreadable(&self.settings.path, &error));
                return Reading { failed, ..Reading::default() };
            }
        };
        let being_written = |file: &Path| {
            !all && self.watcher.as_ref().is_some_and(|watcher| watcher.is_open(file))
        };
        let text = |file: PathBuf| {
            let content = if being_written(&file) { Content::Unsettled } else { content(&file) };
            Text { file, content }
        };
        Reading { texts: files.into_iter().map(text).collect(), failed: None }
    }

    fn changed(&mut self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        match &mut self.watcher {
            Some(watcher) => Box::pin(watcher.changed()),
            None => Box::pin(std::future::pending()),
        }
    }
}

fn content(file: &Path) -> Content {
    match read(file) {
        Ok(bytes) => Content::Bytes(bytes),
        Err(fault) => Content::Unreadable(fault),
    }
}

/// The files to be read, in order of name; subfolders and hidden files don't count.
///
/// # Errors
/// The folder can't be listed.
pub(super) fn files(settings: &model::FileProvider) -> io::Result<Vec<PathBuf>> {
    if !settings.is_directory {
        return Ok(vec![settings.path.clone()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(&settings.path)? {
        let path = entry?.path();
        // A dangling link counts as a file: that it can't be read is a fault to be told.
        if is_wanted(&path) && !path.is_dir() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Whether a folder's entry is configuration by its name.
pub(super) fn is_wanted(path: &Path) -> bool {
    let hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
    let suffix = path.extension().and_then(|suffix| suffix.to_str()).unwrap_or_default();
    !hidden && SUFFIXES.iter().any(|wanted| wanted.eq_ignore_ascii_case(suffix))
}
