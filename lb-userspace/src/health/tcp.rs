//! `mode: tcp`: a handshake, closed by RST.

use super::probe::{Checking, Host, Probe, Target};

/// Passes when the server accepts a connection.
pub(crate) struct Tcp;

impl Probe for Tcp {
    fn check<'a>(&'a self, target: &'a Target, host: &'a Host) -> Checking<'a> {
        Box::pin(async move {
            host.ports.connect(target.address).await?;
            Ok("connected".to_owned())
        })
    }
}
