//! What is remembered of one backend from snapshot to snapshot.

use std::{net::SocketAddr, time::Duration};

use crate::model::{Backend, BackendState, Health, Server, ServerOptions, Service};

/// A backend that is configured, or was and may still have flows.
#[derive(Clone, Debug, Default)]
pub(super) struct Member {
    /// The `host:port` it comes or came from.
    pub(super) server: String,
    /// Weight in the configuration.
    pub(super) weight: u32,
    /// What the proxy needs to know of it.
    pub(super) options: ServerOptions,
    /// No longer configured, or no longer in DNS.
    pub(super) leaving: bool,
    /// The latest verdict; `None` while there is none.
    pub(super) health: Option<Health>,
    /// Since when it takes no new connections because it is drained or leaving.
    pub(super) since: Option<Duration>,
    /// That is longer ago than `drainTimeout`.
    pub(super) expired: bool,
}

/// What an operator said of a backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Override {
    /// `lb weight`.
    pub(super) weight: Option<u32>,
    /// `lb drain`.
    pub(super) drained: bool,
}

impl Member {
    /// One that the kernel had before the daemon's start.
    pub(super) fn adopted(address: SocketAddr, up: bool) -> Self {
        let state = if up { BackendState::Up } else { BackendState::Down };
        let health = Health { state, ..Health::default() };
        Self { server: address.to_string(), weight: 1, health: Some(health), ..Self::default() }
    }

    /// The configuration has it.
    pub(super) fn configure(&mut self, server: &Server, weight: u32) {
        self.server = server.address();
        self.weight = weight;
        self.options = server.options.clone();
        self.leaving = false;
    }

    /// A service that was not checked gets a check: its backends are up until it says otherwise.
    pub(super) fn begin_checks(&mut self) {
        let health = Health { state: BackendState::Up, ..Health::default() };
        self.health.get_or_insert(health);
    }

    /// A service is not checked any more: what was found out is of no account.
    pub(super) fn end_checks(&mut self) {
        self.health = None;
    }

    /// Starts, stops or ends the drain time.
    pub(super) fn keep_time(&mut self, drained: bool, drain_timeout: Duration, now: Duration) {
        if !self.leaving && !drained {
            (self.since, self.expired) = (None, false);
            return;
        }
        let since = *self.since.get_or_insert(now);
        self.expired = now.saturating_sub(since) >= drain_timeout;
    }

    /// As the snapshot shows it.
    pub(super) fn backend(&self, address: SocketAddr, service: &Service, own: Override) -> Backend {
        let health = match (&service.health_check, &self.health) {
            (None, _) => Health::default(),
            (Some(_), Some(health)) => health.clone(),
            (Some(_), None) => Health { state: BackendState::Pending, ..Health::default() },
        };
        Backend {
            address,
            server: self.server.clone(),
            options: self.options.clone(),
            configured_weight: self.weight,
            weight_override: own.weight,
            drained: own.drained,
            leaving: self.leaving,
            expired: self.expired,
            health,
        }
    }
}
