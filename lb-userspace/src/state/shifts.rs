//! Shifts that were under way, so that a restart goes on with them.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::shift::Shift;

/// The file that keeps them.
#[derive(Debug)]
pub struct Shifts {
    path: PathBuf,
    saved: Vec<Shift>,
}

impl Shifts {
    /// Reads `shifts.json` of the state folder; a missing file is an empty one.
    ///
    /// # Errors
    /// When it can't be read or isn't what lb wrote.
    pub fn load(dir: &Path) -> io::Result<Self> {
        let path = dir.join("shifts.json");
        Ok(Self { saved: super::load(&path)?, path })
    }

    /// What was read or written last.
    pub fn saved(&self) -> &[Shift] {
        &self.saved
    }

    /// Writes them, if they differ from the file.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn save(&mut self, now: Vec<Shift>) -> io::Result<()> {
        if now != self.saved {
            super::store(&self.path, &now)?;
            self.saved = now;
        }
        Ok(())
    }
}
