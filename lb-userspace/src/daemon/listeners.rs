//! The TCP addresses of the API and of `/metrics`, as the settings have them.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
};

use axum::Router;
use tokio::{net::TcpListener, task::AbortHandle};

use crate::{
    api::{self, Daemon},
    model::Settings,
};

/// What is served on an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Api,
    Metrics,
}

/// The open ones; all are closed when dropped.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    open: BTreeMap<SocketAddr, Open>,
    /// Of the daemon before this one, until the first settings.
    inherited: BTreeMap<SocketAddr, OwnedFd>,
    /// What could not be opened, tried again at each call.
    pub(super) faults: Vec<String>,
}

/// An open one.
#[derive(Debug)]
struct Open {
    what: What,
    task: AbortHandle,
    /// For the next daemon.
    socket: OwnedFd,
}

impl Listeners {
    /// Listens on these where the first settings ask for them.
    pub(super) fn inherit(&mut self, sockets: impl IntoIterator<Item = (SocketAddr, OwnedFd)>) {
        self.inherited.extend(sockets);
    }

    /// What the next daemon needs to listen in place of this one.
    pub(super) fn sockets(&self) -> io::Result<Vec<(SocketAddr, OwnedFd)>> {
        let all = self.open.iter();
        all.map(|(address, open)| Ok((*address, open.socket.try_clone()?))).collect()
    }

    /// Opens and closes until it is as the settings say.
    pub(super) async fn follow(&mut self, settings: &Settings, daemon: &Arc<dyn Daemon>) {
        let wanted = wanted(settings);
        self.open.retain(|address, open| {
            let keep = wanted.get(address) == Some(&open.what) && !open.task.is_finished();
            if !keep {
                open.task.abort();
            }
            keep
        });
        self.faults.clear();
        for (address, what) in wanted {
            if self.open.contains_key(&address) {
                continue;
            }
            match self.listener(address).await {
                Ok((listener, socket)) => {
                    let task = tokio::spawn(api::serve(listener, router(what, daemon.clone())));
                    let task = task.abort_handle();
                    self.open.insert(address, Open { what, task, socket });
                }
                Err(e) => self.faults.push(e.to_string()),
            }
        }
        self.inherited.clear();
    }

    async fn listener(&mut self, address: SocketAddr) -> io::Result<(TcpListener, OwnedFd)> {
        let listener = match self.inherited.remove(&address) {
            Some(socket) => TcpListener::from_std(socket.into())?,
            None => api::bind_tcp(address).await?,
        };
        let socket = listener.as_fd().try_clone_to_owned()?;
        Ok((listener, socket))
    }
}

impl Drop for Listeners {
    fn drop(&mut self) {
        self.open.values().for_each(|open| open.task.abort());
    }
}

/// The API serves `/metrics` too, where both have one address.
fn wanted(settings: &Settings) -> BTreeMap<SocketAddr, What> {
    let metrics = settings.metrics.listen.map(|address| (address, What::Metrics));
    let api = settings.api.listen.map(|address| (address, What::Api));
    metrics.into_iter().chain(api).collect()
}

fn router(what: What, daemon: Arc<dyn Daemon>) -> Router {
    match what {
        What::Api => api::public(daemon),
        What::Metrics => api::metrics_only(daemon),
    }
}
