//! Taking everything of an instance off the host.

use std::net::IpAddr;

use super::{network::vip_record, writer::Writer};
use crate::kernel::{
    self, KernelError, Paths,
    net::{self, NetError},
};

/// Why something stayed.
#[derive(Debug, thiserror::Error)]
pub enum DetachError {
    /// Programs or pins.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// Neighbours or addresses.
    #[error(transparent)]
    Net(#[from] NetError),
}

/// Removes programs, pins, and the neighbours and addresses that lb added. The
/// caller holds the instance's lock. Returns what was removed, in words.
///
/// # Errors
/// The first thing that could not be removed; what comes after it stays too.
pub async fn detach(paths: &Paths) -> Result<Vec<String>, DetachError> {
    let detached = kernel::detach(paths)?;
    let neighbours = net::release_neighbours().await?;
    let addresses = net::remove_recorded(&vip_record(paths)).await?;
    let counts = [
        (detached.links, "programs taken off interfaces"),
        (detached.pins, "pins removed"),
        (neighbours, "neighbours given up"),
    ];
    let counted = counts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}"));
    Ok(counted.chain(removed(&addresses)).collect())
}

fn removed(addresses: &[(IpAddr, String)]) -> impl Iterator<Item = String> {
    addresses.iter().map(|(ip, name)| format!("{ip} removed from {name}"))
}

impl Writer {
    /// Detaches this daemon's instance; it must end after that.
    pub(super) async fn detach(&mut self) -> Result<Vec<String>, DetachError> {
        drop(self.kernel.take());
        let addresses = match self.network.take() {
            Some(network) => network.release().await,
            None => Vec::new(),
        };
        let rest = detach(&self.shared.paths).await?;
        Ok(rest.into_iter().chain(removed(&addresses)).collect())
    }
}
