//! Middlewares: their kinds, never what they hold, which may be secret.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Troubles, listed};
use crate::model::{Id, Protocol, Snapshot};

/// `GET /api/{http,tcp}/middlewares`, by id: those in force, and those that don't build.
pub(in super::super) fn middlewares(
    snapshot: &Snapshot,
    troubles: &Troubles,
    protocol: Protocol,
) -> BTreeMap<Id, Value> {
    let all = snapshot.middlewares.keys().chain(troubles.middlewares.keys());
    listed(all, protocol, |id| info(snapshot, id, troubles))
}

pub(super) fn info(snapshot: &Snapshot, id: &Id, troubles: &Troubles) -> Value {
    let users = snapshot.routers.values().filter(|r| r.middlewares.contains(id));
    let users: Vec<String> = users.map(|r| r.id.qualified()).collect();
    let errors = troubles.of_middleware(id);
    let mut value = json!({
        "status": if errors.is_empty() { "enabled" } else { "disabled" },
        "usedBy": users,
    });
    if let Some(m) = snapshot.middlewares.get(id) {
        value["type"] = json!(m.settings.kind().to_lowercase());
    }
    if !errors.is_empty() {
        value["error"] = json!(errors);
    }
    value
}
