//! The proxy as the writer drives it: started at the first need, then following each snapshot.

use std::{io, os::fd::OwnedFd, sync::Arc, thread::available_parallelism, time::Duration};

use crate::{
    api::{self, Daemon},
    model::Snapshot,
    proxy::{Internals, Listening, Proxy, View},
};

/// The proxy, where something is served by it.
#[derive(Default)]
pub(super) struct ProxySide {
    proxy: Option<Proxy>,
    /// Of the daemon before this one, until the first snapshot.
    inherited: Vec<(Listening, OwnedFd)>,
    fault: Option<String>,
}

impl ProxySide {
    /// Listens on these where the first snapshot asks for them.
    pub(super) fn inherit(&mut self, sockets: Vec<(Listening, OwnedFd)>) {
        self.inherited = sockets;
    }

    /// What the next daemon needs to listen in place of this one.
    pub(super) fn sockets(&self) -> io::Result<Vec<(Listening, OwnedFd)>> {
        self.proxy.as_ref().map_or_else(|| Ok(Vec::new()), Proxy::sockets)
    }

    /// Accepts nothing more: the next daemon does.
    pub(super) fn hand_over(&mut self) {
        if let Some(proxy) = &mut self.proxy {
            proxy.hand_over();
        }
    }

    /// Brings it to what `snapshot` says.
    pub(super) fn follow(&mut self, snapshot: &Snapshot, daemon: &Arc<dyn Daemon>) {
        let inherited = std::mem::take(&mut self.inherited);
        if self.proxy.is_none() && !Proxy::is_needed(snapshot) {
            return;
        }
        match self.started(daemon) {
            Ok(proxy) => {
                proxy.inherit(inherited);
                proxy.follow(snapshot);
            }
            Err(error) => self.fault = Some(format!("the proxy can't start: {error}")),
        }
    }

    fn started(&mut self, daemon: &Arc<dyn Daemon>) -> io::Result<&mut Proxy> {
        let proxy = match self.proxy.take() {
            Some(proxy) => proxy,
            None => {
                // As many as the affinity of this process allows.
                let workers = available_parallelism().map_or(1, usize::from);
                let internals = Internals {
                    runtime: tokio::runtime::Handle::current(),
                    api: api::public(Arc::clone(daemon)),
                    daemon: Arc::clone(daemon),
                };
                Proxy::start(workers, Some(internals))?
            }
        };
        self.fault = None;
        Ok(self.proxy.insert(proxy))
    }

    /// What could not be done as asked.
    pub(super) fn faults(&self) -> Vec<String> {
        let own = self.proxy.as_ref().map(Proxy::faults).unwrap_or_default();
        self.fault.iter().cloned().chain(own).collect()
    }

    /// What it serves and has counted.
    pub(super) fn view(&self) -> View {
        self.proxy.as_ref().map(Proxy::view).unwrap_or_default()
    }

    /// The access log's file was moved away.
    pub(super) fn reopen_log(&self) {
        if let Some(proxy) = &self.proxy {
            proxy.reopen_log();
        }
    }

    /// Lets what runs end, for as long as the entry points grant.
    pub(super) async fn drain(&mut self, snapshot: &Snapshot) {
        let Some(proxy) = &mut self.proxy else { return };
        let graces = snapshot.entry_points.values().map(|point| point.options.grace);
        proxy.drain(graces.max().unwrap_or(Duration::ZERO)).await;
    }
}
