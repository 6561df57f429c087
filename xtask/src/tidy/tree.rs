//! The workspace's text files.

use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::strip;

/// What holds no source; `.git` is a file in a linked worktree.
const PASSED_OVER: &[&str] = &["target", "results", ".git"];

/// All the files, in order of their paths.
pub(super) struct Tree {
    pub(super) files: Vec<File>,
}

/// One of them.
pub(super) struct File {
    /// From the workspace's folder on, by `/`.
    pub(super) path: String,
    pub(super) text: String,
}

/// A place that breaks a rule.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) path: String,
    /// From 1 on.
    pub(super) line: usize,
    pub(super) text: String,
}

impl Tree {
    /// Reads what is text; the rest is passed over.
    ///
    /// # Errors
    /// When a folder or file can't be read.
    pub(super) fn read(root: &Path) -> Result<Self> {
        let mut files = Vec::new();
        collect(root, "", &mut files)?;
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Self { files })
    }

    /// The Rust sources.
    pub(super) fn rust(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|f| f.path.ends_with(".rs"))
    }

    /// The file of that path.
    pub(super) fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|f| f.path == path)
    }

    #[cfg(test)]
    pub(super) fn of(files: &[(&str, &str)]) -> Self {
        let file =
            |(path, text): &(&str, &str)| File { path: (*path).into(), text: (*text).into() };
        Self { files: files.iter().map(file).collect() }
    }
}

impl File {
    /// Lines of Rust, comments and the contents of literals blanked, from 1 on.
    pub(super) fn code(&self) -> Vec<(usize, String)> {
        let code = strip::code(&self.text);
        code.lines().enumerate().map(|(i, l)| (i + 1, l.to_owned())).collect()
    }

    pub(super) fn fault(&self, line: usize, text: impl Into<String>) -> Fault {
        Fault { path: self.path.clone(), line, text: text.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.text)
    }
}

fn collect(folder: &Path, prefix: &str, files: &mut Vec<File>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        let kind = entry.file_type()?;
        if PASSED_OVER.contains(&name.as_str()) {
            continue;
        }
        if kind.is_dir() {
            collect(&entry.path(), &format!("{path}/"), files)?;
        } else if kind.is_file() {
            let bytes = fs::read(entry.path()).with_context(|| path.clone())?;
            if let Ok(text) = String::from_utf8(bytes) {
                files.push(File { path, text });
            }
        }
    }
    Ok(())
}
