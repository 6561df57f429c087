//! Certificates and keys that the configuration names. A daemon goes on without those that can't be
//! used, and tries again as they change; `lb check` tells of them.

use std::path::Path;

use crate::{
    model::{Dynamic, Fault, Place},
    proxy::tls::{self, Connector},
};

/// What of it can't be used, and why.
pub(super) fn faults(main: &Path, dynamic: &Dynamic) -> Vec<Fault> {
    let fault = |path: String, message: String| Fault {
        place: Place { file: main.display().to_string(), line: 0, column: 0 },
        path,
        message,
        hint: None,
        off: None,
    };
    let default = dynamic.tls.default_certificate.iter();
    let certificates = dynamic.tls.certificates.iter().chain(default).filter_map(|certificate| {
        let why = tls::check(certificate).err()?;
        Some(fault("tls".to_owned(), why))
    });
    let transports = dynamic.transports.iter().filter_map(|transport| {
        let why = Connector::alone(&transport.tls, &[]).err()?;
        let protocol = transport.id.protocol.name();
        Some(fault(format!("{protocol}.serversTransports.{}", transport.id.name), why))
    });
    certificates.chain(transports).collect()
}
