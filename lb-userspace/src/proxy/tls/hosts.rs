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
    has_wildcards: bool,
}

impl Hosts {
    /// `default` is for every host that none is put in for, and for clients that name none.
    pub fn new(default: Arc<Acceptor>) -> Self {
        Self { default, by_name: HashMap::new(), contested: BTreeSet::new(), has_wildcards: false }
    }

    /// Options for one host. Where routers of one host ask for different ones the default ones
    /// hold.
    ///
    /// # Errors
    /// The warning, where they do; once for each host.
    pub fn put(&mut self, host: &str, acceptor: &Arc<Acceptor>) -> Result<(), String> {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        self.has_wildcards |= host.starts_with('*');
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

    /// As [`Self::of`], where a router names the host, or all below a domain: `*.` for one
    /// level, `**.` for any number of them. The name that says most goes first.
    pub fn named(&self, server_name: Option<&str>) -> Option<&Arc<Acceptor>> {
        let name = server_name?;
        if let Some(exact) = self.by_name.get(name) {
            return Some(exact);
        }
        if !self.has_wildcards {
            return None;
        }
        let mut levels = 0;
        let mut rest = name;
        while let Some((_, parent)) = rest.split_once('.') {
            levels += 1;
            let one = (levels == 1).then(|| self.by_name.get(&format!("*.{parent}"))).flatten();
            let any = || self.by_name.get(&format!("**.{parent}"));
            if let Some(found) = one.or_else(any) {
                return Some(found);
            }
            rest = parent;
        }
        None
    }
}
