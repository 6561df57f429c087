//! Middlewares: their kinds, never what they hold, which may be secret.

use serde_json::{Value, json};

use crate::model::{Middleware, Snapshot};

/// One of `GET /api/{http,tcp}/middlewares`.
pub(in super::super) fn middleware(snapshot: &Snapshot, m: &Middleware) -> Value {
    let mut value = info(snapshot, m);
    value["name"] = json!(m.id.qualified());
    value["provider"] = json!(m.id.provider);
    value
}

pub(super) fn info(snapshot: &Snapshot, m: &Middleware) -> Value {
    let users = snapshot.routers.values().filter(|r| r.middlewares.contains(&m.id));
    let users: Vec<String> = users.map(|r| r.id.qualified()).collect();
    json!({
        "type": m.settings.kind().to_lowercase(),
        "status": "enabled",
        "usedBy": users,
    })
}
