//! TLS, as the server towards clients and as the client towards servers.
//!
//! [`Store`] turns configuration into [`Acceptor`]s, one for each set of options, and
//! [`Connector`]s, one for each transport, and keeps them current as files change. [`Hosts`] is
//! what an entry point chooses acceptors from; [`hello`] tells whom a client wants before
//! anything is decrypted.

mod acceptor;
mod certificate;
mod certificates;
mod client;
mod client_auth;
mod failure;
pub mod hello;
mod hosts;
mod pem;
mod server_auth;
mod session;
mod store;
mod suites;
#[cfg(test)]
pub(super) mod tests;

pub use acceptor::Acceptor;
pub use client::Connector;
pub(crate) use client::client_config;
pub use failure::{Failure, Failures};
pub use hosts::Hosts;
pub use store::Store;
pub use suites::{cipher_suite, curve};

use crate::model::Certificate;

/// Reads a certificate with key and OCSP response, as serving it would.
///
/// # Errors
/// What is wrong with which of its files.
pub fn check(certificate: &Certificate) -> Result<(), String> {
    certificate::load(certificate).map(drop)
}
