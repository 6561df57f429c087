//! Configuration: a file → a tree with places → raw values → the model. Every fault of a file is
//! reported with its place, not the first alone. [`crate::provider::Sources`] reads whole sets of
//! files; what is here reads one.

pub(crate) mod address;
pub(crate) mod build;
mod by_name;
pub(crate) mod decode;
pub(crate) mod duration;
pub(crate) mod flat;
mod host;
pub(crate) mod names;
mod plain;
mod raw;
pub(crate) mod resolve;
pub(crate) mod syntax;
mod toml;
pub(crate) mod trail;
pub(crate) mod tree;
mod url;
pub(crate) mod values;
mod yaml;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

pub(crate) use duration::parse as parse_duration;
pub use host::HostPorts;

use crate::model::{Dynamic, EntryPoint, Fault, Place, Settings};

/// Objects of the main file and of `providers.file` alike are `…@file`.
pub const PROVIDER: &str = "file";

/// What a file says, validated.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Loaded {
    /// The static part.
    pub settings: Settings,
    /// Entry points that routers may name.
    pub entry_points: BTreeMap<String, EntryPoint>,
    /// Routers and services.
    pub dynamic: Dynamic,
    /// Routers that are off alone; the rest applies, `lb check` exits 1.
    pub faults: Vec<Fault>,
    /// Worth knowing, nothing is off.
    pub warnings: Vec<Fault>,
}

/// Reads the main file by itself, without those of `providers.file`.
///
/// # Errors
/// Every fault for which the whole file is refused.
pub fn load(path: &Path) -> Result<Loaded, Vec<Fault>> {
    let bytes = read(path).map_err(|fault| vec![fault])?;
    load_bytes(path, &bytes, &HostPorts::read())
}

/// As [`load`], from bytes already read.
///
/// # Errors
/// Every fault for which the whole file is refused.
pub fn load_bytes(path: &Path, bytes: &[u8], host: &HostPorts) -> Result<Loaded, Vec<Fault>> {
    let build::Parsed { document, faults } = build::main_file(path, bytes, PROVIDER, host);
    let instance = document.instance.clone().unwrap_or_default();
    let mut resolved = resolve::resolve(&[(PROVIDER, &document)], &instance, &BTreeSet::new());
    let refused = resolved.refused.into_iter().map(|refusal| refusal.fault);
    let mut refused: Vec<Fault> = faults.into_iter().chain(refused).collect();
    if !refused.is_empty() {
        refused.extend(resolved.off);
        return Err(in_order(refused));
    }
    Ok(Loaded {
        settings: instance.settings,
        entry_points: instance.entry_points,
        dynamic: resolved.dynamic.remove(PROVIDER).unwrap_or_default(),
        faults: in_order(resolved.off),
        warnings: in_order(resolved.warnings),
    })
}

/// Scheme and `host:port` of an HTTP server's URL.
pub(crate) fn server_of(url: &str) -> Option<(crate::model::Scheme, String)> {
    let url = url::parse(url).ok()?;
    let server = crate::model::Server {
        host: url.host,
        port: url.port,
        weight: 1,
        options: Default::default(),
    };
    Some((url.scheme, server.address()))
}

/// Reads a file's bytes; that it can't be read is a fault like any other.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Fault> {
    fs::read(path).map_err(|error| unreadable(path, &error))
}

/// That a file or folder can't be read.
pub(crate) fn unreadable(path: &Path, error: &std::io::Error) -> Fault {
    let place = Place { file: path.display().to_string(), line: 0, column: 0 };
    let message = format!("can't be read: {error}");
    Fault { place, path: String::new(), message, hint: None, off: None }
}

/// By file, line and column, none twice.
pub(crate) fn in_order(mut faults: Vec<Fault>) -> Vec<Fault> {
    faults.sort();
    faults.dedup();
    faults
}

#[cfg(test)]
mod tests;
