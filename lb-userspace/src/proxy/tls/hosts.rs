//! Which TLS options a client gets at an entry point: those of the router for the host it names.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use super::Acceptor;

/// Acceptors by host.
#[derive(Debug)]
pub struct Hosts {
    default: Arc<Acceptor>,
    by_name: HashMap<String, Arc<Acceptor>>,
    contested: BTreeSet<String>,
}

impl Hosts {
    /// `default` is for every host that none is put in for, and for clients that name none.
    pub fn new(default: Arc<Acceptor>) -> Self {
        Self { default, by_name: HashMap::new(), contested: BTreeSet::new() }
    }

    /// Options for one host. Where routers of one host ask for different ones the default ones
    /// hold.
    ///
    /// # Errors
    /// The warning, where they do; once for each host.
    pub fn put(&mut self, host: &str, acceptor: &Arc<Acceptor>) -> Result<(), String> {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        if self.contested.contains(&host) {
            return Ok(());
        }
        match self.by_name.get(&host) {
            None => {
                self.by_name.insert(host, Arc::clone(acceptor));
                Ok(())
            }
            Some(there) if there.name() == acceptor.name() => Ok(()),
            Some(there) => {
                let warning = format!(
                    "routers for {host} ask for the TLS options {} and {}: the default ones hold",
                    there.name(),
                    acceptor.name()
                );
                self.by_name.insert(host.clone(), Arc::clone(&self.default));
                self.contested.insert(host);
                Err(warning)
            }
        }
    }

    /// For a client that names this host (lower case), or none.
    pub fn of(&self, server_name: Option<&str>) -> &Arc<Acceptor> {
        self.named(server_name).unwrap_or(&self.default)
    }

    /// As [`Self::of`], where a router names the host.
    pub fn named(&self, server_name: Option<&str>) -> Option<&Arc<Acceptor>> {
        self.by_name.get(server_name?)
    }
}
