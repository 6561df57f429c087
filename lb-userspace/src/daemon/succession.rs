//! What the writer does when another daemon takes over, as the old one and as the new one.

use std::{io, os::fd::OwnedFd};

use super::{
    kernel::KernelSide,
    notify,
    takeover::{Asked, Listening, Verdict},
    writer::{Ending, Writer},
};
use crate::{
    model::{BackendState, Protocol, Snapshot},
    proxy,
    reconcile::Adopted,
};

impl Writer {
    /// Hands everything to the daemon that asks, and waits until it serves. Meanwhile this one
    /// serves and changes nothing; where the other fails it goes on.
    pub(super) fn hand_over(&mut self, asked: &Asked) -> Option<Ending> {
        let pid = asked.pid;
        tracing::info!("process {pid} takes over");
        if let Some(kernel) = &mut self.kernel {
            kernel.rest();
        }
        let handed = tokio::task::block_in_place(|| {
            self.sources.keep();
            let verdicts = verdicts(&self.in_force);
            asked.hand_over(self.lock.descriptor(), &self.sockets()?, &verdicts)
        });
        match handed {
            Ok(()) => {
                tracing::info!("process {pid} has taken over; ending once connections have");
                notify::succeeded(pid);
                Some(Ending::Succeeded)
            }
            Err(error) => {
                tracing::warn!(
                    "process {pid} has not taken over, so that this one goes on: {error}"
                );
                self.go_on();
                None
            }
        }
    }

    /// All that this daemon listens on, the socket of the API aside: that is replaced by name.
    fn sockets(&self) -> io::Result<Vec<(Listening, OwnedFd)>> {
        let proxy = self.proxy.sockets()?.into_iter().map(|((address, protocol), socket)| {
            let listening = match protocol {
                Protocol::Udp => Listening::Udp(address),
                Protocol::Tcp | Protocol::Http => Listening::Tcp(address),
            };
            (listening, socket)
        });
        let api = self.listeners.sockets()?.into_iter();
        Ok(proxy.chain(api.map(|(address, socket)| (Listening::Api(address), socket))).collect())
    }

    /// The other daemon may have changed what the kernel holds before it failed.
    fn go_on(&mut self) {
        if let Err(error) = self.lock.sign(&self.shared.paths) {
            tracing::warn!("{error}");
        }
        if self.kernel.take().is_some() {
            let datapath = &self.in_force.settings.datapath;
            let opened =
                tokio::task::block_in_place(|| KernelSide::open(&self.shared.paths, datapath));
            match opened {
                Ok(side) => self.adopted = Some(side),
                Err(error) => tracing::error!("{error}"),
            }
            self.is_stale = true;
        }
    }

    /// Takes what the daemon before this one had, before the first snapshot.
    pub(super) fn inherit(&mut self, sockets: Vec<(Listening, OwnedFd)>, verdicts: &[Verdict]) {
        let (mut of_proxy, mut of_api): (Vec<(proxy::Listening, _)>, _) = (Vec::new(), Vec::new());
        for (listening, socket) in sockets {
            match listening {
                Listening::Tcp(address) => of_proxy.push(((address, Protocol::Tcp), socket)),
                Listening::Udp(address) => of_proxy.push(((address, Protocol::Udp), socket)),
                Listening::Api(address) => of_api.push((address, socket)),
            }
        }
        self.proxy.inherit(of_proxy);
        self.listeners.inherit(of_api);
        let found = verdicts.iter();
        let found = found.filter_map(|one| Some(Adopted { backend: one.backend()?, up: one.up }));
        self.reconciler.adopt(found);
    }

    /// Lets go of everything that another daemon looks after now.
    pub(super) fn let_go(&mut self) {
        self.proxy.hand_over();
        self.listeners = Default::default();
        self.registry = Default::default();
        self.registrar.let_go();
        // What they have put on the host stays.
        drop(self.kernel.take());
        drop(self.network.take());
    }
}

/// What checks have found out; whoever has not passed yet has to pass there, too.
fn verdicts(snapshot: &Snapshot) -> Vec<Verdict> {
    let checked = snapshot.services.values().flat_map(|service| {
        let backends = service.backends.iter().filter(|backend| !backend.leaving);
        backends.filter_map(|backend| {
            let up = match backend.health.state {
                BackendState::Up => true,
                BackendState::Down => false,
                BackendState::Unchecked | BackendState::Pending => return None,
            };
            Some(Verdict::new(&service.id, backend.address, up))
        })
    });
    checked.collect()
}
