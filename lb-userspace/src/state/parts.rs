//! Runtime weights of parts of weighted services, kept over reloads and restarts.

use std::{
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::model::{Composed, Id, Snapshot};

/// The weight of one part.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PartWeight {
    /// `http/name@provider`.
    pub service: String,
    /// Likewise.
    pub part: String,
    /// As set.
    pub weight: u32,
}

impl PartWeight {
    /// Service and part; `None` when the file names no such things.
    pub fn ids(&self) -> Option<(Id, Id)> {
        Some((Id::parse(&self.service)?, Id::parse(&self.part)?))
    }
}

/// The file that keeps them.
#[derive(Debug)]
pub(super) struct Parts {
    path: PathBuf,
    saved: Vec<PartWeight>,
}

impl Parts {
    /// Reads `parts.json` of the state folder; a missing file is an empty one.
    pub(super) fn load(dir: &Path) -> io::Result<Self> {
        let path = dir.join("parts.json");
        Ok(Self { saved: super::load(&path)?, path })
    }

    pub(super) fn saved(&self) -> &[PartWeight] {
        &self.saved
    }

    /// Writes what a snapshot holds, if that differs from the file. What belongs to services that
    /// aren't there now is kept: they may come back.
    pub(super) fn save(&mut self, snapshot: &Snapshot) -> io::Result<()> {
        let is_gone = |saved: &&PartWeight| {
            saved.ids().is_some_and(|(service, _)| !snapshot.services.contains_key(&service))
        };
        let mut now: Vec<PartWeight> = self.saved.iter().filter(is_gone).cloned().collect();
        for service in snapshot.services.values() {
            let Some(Composed::Weighted { services, .. }) = &service.composed else { continue };
            let set = services.iter().filter(|(part, _)| service.part_weights.contains_key(part));
            now.extend(set.map(|(part, weight)| PartWeight {
                service: service.id.to_string(),
                part: part.to_string(),
                weight: *weight,
            }));
        }
        now.sort();
        if now != self.saved {
            super::store(&self.path, &now)?;
            self.saved = now;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{api::samples, model::Protocol};

    fn set(snapshot: &mut Snapshot, weight: u32) {
        let web = Id::new(Protocol::Http, "web", "file");
        let all = Id::new(Protocol::Http, "all", "file");
        let all = Arc::make_mut(snapshot.services.get_mut(&all).unwrap());
        all.composed =
            Some(Composed::Weighted { services: vec![(web.clone(), weight)], sticky: None });
        all.part_weights.insert(web, 3);
    }

    fn loaded(dir: &Path) -> Vec<(String, u32)> {
        let parts = Parts::load(dir).unwrap();
        parts.saved().iter().map(|one| (one.part.clone(), one.weight)).collect()
    }

    #[test]
    fn weights_of_parts_come_back_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let mut snapshot = samples::http();
        set(&mut snapshot, 7);
        Parts::load(dir.path()).unwrap().save(&snapshot).unwrap();
        assert_eq!(loaded(dir.path()), [("http/web@file".to_owned(), 7)]);
        let ids = Parts::load(dir.path()).unwrap().saved()[0].ids().unwrap();
        assert_eq!(ids.0.to_string(), "http/all@file");
    }

    #[test]
    fn reset_part_is_forgotten_and_that_of_an_absent_service_kept() {
        let dir = tempfile::tempdir().unwrap();
        let mut snapshot = samples::http();
        set(&mut snapshot, 7);
        let mut parts = Parts::load(dir.path()).unwrap();
        parts.save(&snapshot).unwrap();
        parts.save(&Snapshot::default()).unwrap();
        assert_eq!(loaded(dir.path()).len(), 1);
        parts.save(&samples::http()).unwrap();
        assert!(loaded(dir.path()).is_empty());
    }
}
