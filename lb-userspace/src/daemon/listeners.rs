//! The TCP addresses of the API and of `/metrics`, as the settings have them.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use axum::Router;
use tokio::task::AbortHandle;

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
    open: BTreeMap<SocketAddr, (What, AbortHandle)>,
    /// What could not be opened, tried again at each call.
    pub(super) faults: Vec<String>,
}

impl Listeners {
    /// Opens and closes until it is as the settings say.
    pub(super) async fn follow(&mut self, settings: &Settings, daemon: &Arc<dyn Daemon>) {
        let wanted = wanted(settings);
        self.open.retain(|address, (what, task)| {
            let keep = wanted.get(address) == Some(what) && !task.is_finished();
            if !keep {
                task.abort();
            }
            keep
        });
        self.faults.clear();
        for (address, what) in wanted {
            if self.open.contains_key(&address) {
                continue;
            }
            match api::bind_tcp(address).await {
                Ok(listener) => {
                    let task = tokio::spawn(api::serve(listener, router(what, daemon.clone())));
                    self.open.insert(address, (what, task.abort_handle()));
                }
                Err(e) => self.faults.push(e.to_string()),
            }
        }
    }
}

impl Drop for Listeners {
    fn drop(&mut self) {
        self.open.values().for_each(|(_, task)| task.abort());
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
