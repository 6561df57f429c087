//! What an instance keeps in its state folder over restarts.

mod memory;
mod overrides;
mod parts;
mod shifts;

use std::{fs, io, io::Write, os::unix::fs::OpenOptionsExt, path::Path};

use serde::{Serialize, de::DeserializeOwned};

pub use memory::Memory;
pub use overrides::{Override, Overrides};
pub use parts::PartWeight;
pub use shifts::Shifts;

/// Reads a file that lb wrote; the default where there is none.
pub(crate) fn load<T: DeserializeOwned + Default>(path: &Path) -> io::Result<T> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|e| {
            let text = format!("{}: {e}; mend or remove it", path.display());
            io::Error::new(io::ErrorKind::InvalidData, text)
        }),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(T::default()),
        Err(e) => Err(named(path, &e)),
    }
}

/// Writes to a new file, then renames: a reader finds the old or the new one, never half of it.
pub(crate) fn store(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let new = path.with_extension("json.new");
    let put = || -> io::Result<()> {
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        // What providers say may hold secrets.
        let mut options = fs::OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(&serde_json::to_vec_pretty(value)?)?;
        file.sync_all()?;
        fs::rename(&new, path)
    };
    put().map_err(|e| named(path, &e))
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
