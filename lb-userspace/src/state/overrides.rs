//! Runtime weights and drains, kept over reloads and restarts.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::parts::{PartWeight, Parts};
use crate::model::{BackendId, Id, PerService, Protocol, Service, Snapshot};

/// One backend's runtime changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Override {
    /// `tcp`, `udp` or `http`.
    pub protocol: String,
    /// `name@provider`.
    pub service: String,
    /// The backend's address.
    pub address: SocketAddr,
    /// `lb weight`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// `lb drain`.
    #[serde(default)]
    pub drained: bool,
}

impl Override {
    /// The backend it is about; `None` when the file names no such protocol or provider.
    pub fn backend(&self) -> Option<BackendId> {
        let protocol = Protocol::from_name(&self.protocol)?;
        let (name, provider) = self.service.rsplit_once('@')?;
        Some(BackendId { service: Id::new(protocol, name, provider), address: self.address })
    }
}

/// The file that keeps them.
#[derive(Debug)]
pub struct Overrides {
    path: PathBuf,
    saved: Vec<Override>,
    /// As the latest snapshot has them.
    in_force: PerService<Vec<Override>>,
    parts: Parts,
}

impl Overrides {
    /// Reads `overrides.json` of the state folder; a missing file is an empty one.
    ///
    /// # Errors
    /// When it can't be read or isn't what lb wrote.
    pub fn load(dir: &Path) -> io::Result<Self> {
        let path = dir.join("overrides.json");
        let (saved, parts) = (super::load(&path)?, Parts::load(dir)?);
        Ok(Self { path, saved, in_force: PerService::default(), parts })
    }

    /// What was read or written last.
    pub fn saved(&self) -> &[Override] {
        &self.saved
    }

    /// Weights of parts of weighted services, as read or written last.
    pub fn parts(&self) -> &[PartWeight] {
        self.parts.saved()
    }

    /// Writes what a snapshot holds, if that differs from the file: to a new file, then renamed.
    pub fn save(&mut self, snapshot: &Snapshot) -> io::Result<()> {
        self.in_force.follow(&snapshot.services, of_service);
        let now = merged(&self.saved, self.in_force.iter().flatten(), snapshot);
        if now != self.saved {
            super::store(&self.path, &now)?;
            self.saved = now;
        }
        self.parts.save(snapshot)
    }
}

/// The overrides in force, and those kept for backends that are not there now
/// (a name not resolved yet, a source that is refused): these may come back.
fn merged<'a>(
    saved: &'a [Override],
    in_force: impl Iterator<Item = &'a Override>,
    snapshot: &Snapshot,
) -> Vec<Override> {
    let is_absent =
        |o: &&Override| o.backend().is_some_and(|backend| !is_present(snapshot, &backend));
    let mut out: Vec<Override> = saved.iter().filter(is_absent).chain(in_force).cloned().collect();
    out.sort_by(|a, b| {
        (&a.protocol, &a.service, a.address).cmp(&(&b.protocol, &b.service, b.address))
    });
    out
}

fn of_service(service: &Service) -> Vec<Override> {
    let changed = service.backends.iter().filter(|b| b.drained || b.weight_override.is_some());
    changed
        .map(|b| Override {
            protocol: service.id.protocol.name().to_owned(),
            service: service.id.qualified(),
            address: b.address,
            weight: b.weight_override,
            drained: b.drained,
        })
        .collect()
}

fn is_present(snapshot: &Snapshot, id: &BackendId) -> bool {
    snapshot
        .services
        .get(&id.service)
        .is_some_and(|s| s.backends.iter().any(|b| b.address == id.address))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::{Backend, Health, Service};

    fn change(address: &str, weight: Option<u32>, drained: bool) -> Override {
        Override {
            protocol: "tcp".into(),
            service: "pg@file".into(),
            address: address.parse().unwrap(),
            weight,
            drained,
        }
    }

    fn snapshot(backends: &[Override]) -> Snapshot {
        let id = Id::new(Protocol::Tcp, "pg", "file");
        let backends = backends
            .iter()
            .map(|o| Backend {
                address: o.address,
                server: o.address.to_string(),
                options: Default::default(),
                configured_weight: 1,
                weight_override: o.weight,
                drained: o.drained,
                leaving: false,
                expired: false,
                health: Health::default(),
            })
            .collect();
        let service = Service { backends, ..Service::new(id.clone()) };
        Snapshot { services: [(id, Arc::new(service))].into(), ..Snapshot::default() }
    }

    #[test]
    fn missing_file_is_an_empty_one() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Overrides::load(dir.path()).unwrap().saved().is_empty());
    }

    #[test]
    fn overrides_come_back_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let set = [change("10.0.0.1:1", Some(5), false), change("10.0.0.2:1", None, true)];
        Overrides::load(dir.path()).unwrap().save(&snapshot(&set)).unwrap();
        assert_eq!(Overrides::load(dir.path()).unwrap().saved(), set);
    }

    #[test]
    fn a_server_of_http_has_overrides_too() {
        let drained = Override { protocol: "http".into(), ..change("10.0.0.1:1", None, true) };
        let backend = drained.backend().unwrap();
        assert_eq!(backend.service, Id::new(Protocol::Http, "pg", "file"));
        let unknown = Override { protocol: "sctp".into(), ..drained };
        assert!(unknown.backend().is_none());
    }

    #[test]
    fn reset_backend_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = Overrides::load(dir.path()).unwrap();
        file.save(&snapshot(&[change("10.0.0.1:1", Some(5), false)])).unwrap();
        file.save(&snapshot(&[change("10.0.0.1:1", None, false)])).unwrap();
        assert!(Overrides::load(dir.path()).unwrap().saved().is_empty());
    }

    #[test]
    fn absent_backend_keeps_its_override() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = Overrides::load(dir.path()).unwrap();
        let set = [change("10.0.0.1:1", Some(5), false)];
        file.save(&snapshot(&set)).unwrap();
        file.save(&snapshot(&[])).unwrap();
        assert_eq!(file.saved(), set);
    }

    #[test]
    fn damaged_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("overrides.json"), "[{]").unwrap();
        let error = Overrides::load(dir.path()).unwrap_err().to_string();
        assert!(error.contains("overrides.json: ") && error.contains("mend or remove"), "{error}");
    }
}
