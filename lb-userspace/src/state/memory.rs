//! What the next run must know to go on with what is in the kernel.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::IpAddr,
    path::{Path, PathBuf},
};

use lb_common::HashKey;
use serde::{Deserialize, Serialize};

use crate::model::{ChoiceKey, Id, PerService, Protocol, Service, Snapshot};

/// Names of services, of which the kernel holds hashes alone, and the last
/// addresses of host names, whose backends have flows before DNS answers; and what a bucket says
/// that may be away.
#[derive(Debug)]
pub struct Memory {
    path: PathBuf,
    kept: Kept,
    /// Of the latest snapshot.
    found: PerService<Found>,
    /// Whether the file has what was found.
    is_kept: bool,
}

/// A service's name, and its host names with the addresses of their backends.
type Found = (String, Vec<(String, BTreeSet<IpAddr>)>);

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Kept {
    services: BTreeSet<String>,
    names: BTreeMap<String, BTreeSet<IpAddr>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agreed: Option<HashKey>,
}

impl Memory {
    /// Reads `memory.json` of the state folder; a missing file is an empty one.
    ///
    /// # Errors
    /// When it can't be read or isn't what lb wrote.
    pub fn load(dir: &Path) -> io::Result<Self> {
        let path = dir.join("memory.json");
        Ok(Self { kept: super::load(&path)?, path, found: PerService::default(), is_kept: false })
    }

    /// Services of the last run.
    pub fn services(&self) -> impl Iterator<Item = Id> {
        self.kept.services.iter().filter_map(|text| id(text))
    }

    /// Host names and what they resolved to.
    pub fn names(&self) -> impl Iterator<Item = (&str, Vec<IpAddr>)> {
        self.kept.names.iter().map(|(name, ips)| (name.as_str(), ips.iter().copied().collect()))
    }

    /// What nodes that share a bucket agreed on last.
    pub fn agreed(&self) -> Option<ChoiceKey> {
        self.kept.agreed.map(ChoiceKey)
    }

    /// Writes what a snapshot holds, if that differs from the file.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn save(&mut self, snapshot: &Snapshot) -> io::Result<()> {
        let agreed = snapshot.agreed.map(|key| key.0);
        let differs = self.found.follow(&snapshot.services, found);
        if self.is_kept && !differs && agreed == self.kept.agreed {
            return Ok(());
        }
        self.is_kept = false;
        let services = self.found.iter().map(|(name, _)| name.clone()).collect();
        let now = Kept { services, names: self.names_of(), agreed };
        if now != self.kept {
            super::store(&self.path, &now)?;
            self.kept = now;
        }
        self.is_kept = true;
        Ok(())
    }

    /// A configured name without an answer in this run keeps that of the last one.
    fn names_of(&self) -> BTreeMap<String, BTreeSet<IpAddr>> {
        let mut names: BTreeMap<String, BTreeSet<IpAddr>> = BTreeMap::new();
        for (name, ips) in self.found.iter().flat_map(|(_, names)| names) {
            names.entry(name.clone()).or_default().extend(ips);
        }
        for (name, ips) in names.iter_mut().filter(|(_, ips)| ips.is_empty()) {
            ips.extend(self.kept.names.get(name).into_iter().flatten());
        }
        names.retain(|_, ips| !ips.is_empty());
        names
    }
}

fn found(service: &Service) -> Found {
    let named = service.servers.iter().filter(|server| server.is_named());
    let names = named.map(|server| {
        let address = server.address();
        let of = service.backends.iter().filter(|b| b.server == address && !b.leaving);
        (server.host.clone(), of.map(|b| b.address.ip()).collect())
    });
    (service.id.to_string(), names.collect())
}

/// Reads `tcp/name@provider`.
fn id(text: &str) -> Option<Id> {
    let (protocol, rest) = text.split_once('/')?;
    let protocol = match protocol {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        _ => return None,
    };
    let (name, provider) = rest.rsplit_once('@')?;
    Some(Id::new(protocol, name, provider))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::api::samples;

    #[test]
    fn services_and_names_come_back_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        Memory::load(dir.path()).unwrap().save(&samples::snapshot()).unwrap();
        let memory = Memory::load(dir.path()).unwrap();
        let services: Vec<String> = memory.services().map(|id| id.to_string()).collect();
        assert_eq!(services, ["tcp/dns@file", "tcp/pg@file", "udp/dns@file"]);
        let ips: Vec<IpAddr> = ["10.0.2.1", "10.0.2.2"].map(|ip| ip.parse().unwrap()).into();
        assert_eq!(memory.names().collect::<Vec<_>>(), [("db", ips)]);
    }

    #[test]
    fn what_nodes_agreed_on_is_kept_while_the_bucket_is_away() {
        let dir = tempfile::tempdir().unwrap();
        let key = ChoiceKey::from_secret("correct horse battery");
        let snapshot = Snapshot { agreed: key, ..samples::snapshot() };
        Memory::load(dir.path()).unwrap().save(&snapshot).unwrap();
        assert_eq!(Memory::load(dir.path()).unwrap().agreed(), key);
    }

    #[test]
    fn name_without_an_answer_keeps_its_last_one() {
        let dir = tempfile::tempdir().unwrap();
        let mut memory = Memory::load(dir.path()).unwrap();
        let mut snapshot = samples::snapshot();
        memory.save(&snapshot).unwrap();
        let pg = Id::new(Protocol::Tcp, "pg", "file");
        Arc::make_mut(snapshot.services.get_mut(&pg).unwrap()).backends.clear();
        memory.save(&snapshot).unwrap();
        assert_eq!(memory.names().count(), 1);
    }

    #[test]
    fn name_that_is_configured_no_more_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let mut memory = Memory::load(dir.path()).unwrap();
        memory.save(&samples::snapshot()).unwrap();
        memory.save(&Snapshot::default()).unwrap();
        assert_eq!((memory.services().count(), memory.names().count()), (0, 0));
    }
}
