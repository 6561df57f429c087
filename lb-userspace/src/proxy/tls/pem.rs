//! PEM texts and files, and whether a file has changed.

use std::{fs, io::ErrorKind, os::unix::fs::MetadataExt, path::Path};

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use crate::model::Pem;

/// Tells one state of a file from the next without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp(Option<(u64, u64, i64, i64)>);

impl Stamp {
    /// Links are followed: what they point to counts.
    pub(super) fn of(path: &Path) -> Self {
        let found = fs::metadata(path).ok();
        Self(found.map(|meta| (meta.ino(), meta.size(), meta.mtime(), meta.mtime_nsec())))
    }

    pub(super) fn of_pem(pem: &Pem) -> Self {
        match pem {
            Pem::File(path) => Self::of(path),
            Pem::Text(_) => Self(None),
        }
    }
}

/// A chain, the leaf first.
pub(super) fn chain(pem: &Pem) -> Result<Vec<CertificateDer<'static>>, String> {
    let bytes = read(pem)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let found = found.map_err(|error| format!("{}: {error}", name(pem)))?;
    if found.is_empty() {
        return Err(format!("{} holds no certificate", name(pem)));
    }
    Ok(found)
}

/// A private key.
pub(super) fn key(pem: &Pem) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(&read(pem)?).map_err(|error| match error {
        rustls::pki_types::pem::Error::NoItemsFound => {
            format!("{} holds no private key", name(pem))
        }
        _ => format!("{}: {error}", name(pem)),
    })
}

/// Certificate authorities.
pub(super) fn authorities(pems: &[Pem]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for pem in pems {
        for cert in chain(pem)? {
            let added = roots.add(cert);
            added.map_err(|error| format!("{}: no certificate authority: {error}", name(pem)))?;
        }
    }
    Ok(roots)
}

/// What a fault calls it; never the text itself.
pub(super) fn name(pem: &Pem) -> String {
    match pem {
        Pem::File(path) => path.display().to_string(),
        Pem::Text(_) => "the PEM text".to_owned(),
    }
}

/// A file, or why not.
pub(super) fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => format!("there is no {}", path.display()),
        _ => format!("{}: {error}", path.display()),
    })
}

fn read(pem: &Pem) -> Result<Vec<u8>, String> {
    match pem {
        Pem::File(path) => read_file(path),
        Pem::Text(text) => Ok(text.as_bytes().to_vec()),
    }
}
