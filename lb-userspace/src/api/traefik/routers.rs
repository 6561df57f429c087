//! Routers.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Troubles, listed, named, rows};
use crate::model::{Id, Observability, Protocol, Router, Snapshot};

/// `GET /api/{http,tcp,udp}/routers`, by id: those in force, and those that are off.
pub(in super::super) fn routers(
    snapshot: &Snapshot,
    troubles: &Troubles,
    protocol: Protocol,
) -> BTreeMap<Id, Value> {
    let all = snapshot.routers.keys().chain(troubles.routers.keys());
    listed(all, protocol, |id| info(snapshot, id, troubles))
}

pub(super) fn info(snapshot: &Snapshot, id: &Id, troubles: &Troubles) -> Value {
    let mut value = snapshot.routers.get(id).map_or_else(|| json!({}), settings);
    let (faults, notes) = troubles.of_router(id);
    let (status, errors) = match (faults, notes) {
        ([], []) => ("enabled", faults),
        ([], _) => ("warning", notes),
        _ => ("disabled", faults),
    };
    value["status"] = json!(status);
    if !errors.is_empty() {
        value["error"] = json!(errors);
    }
    value
}

fn settings(r: &Router) -> Value {
    let mut value = json!({
        "entryPoints": r.entry_points,
        "service": named(&r.service, &r.id),
        "using": r.entry_points,
        "datapath": rows::path_name(r.path),
        "why": r.why,
    });
    if let Some(rule) = rows::rule(r) {
        value["rule"] = json!(rule);
    }
    if r.id.protocol != Protocol::Udp {
        value["priority"] = json!(r.priority);
    }
    if !r.middlewares.is_empty() {
        // Traefik always qualifies these.
        let names: Vec<String> = r.middlewares.iter().map(|id| id.qualified()).collect();
        value["middlewares"] = json!(names);
    }
    if let Some(tls) = &r.tls {
        value["tls"] = self::tls(tls);
    }
    if r.observability != Observability::default() {
        let Observability { access_logs, metrics, tracing } = r.observability;
        value["observability"] =
            json!({ "accessLogs": access_logs, "metrics": metrics, "tracing": tracing });
    }
    value
}

fn tls(tls: &crate::model::RouterTls) -> Value {
    let mut value = json!({ "options": tls.options.as_deref().unwrap_or("default") });
    if let Some(resolver) = &tls.resolver {
        value["certResolver"] = json!(resolver);
    }
    if tls.passthrough {
        value["passthrough"] = json!(true);
    }
    if !tls.domains.is_empty() {
        let domain = |(main, sans): &(String, Vec<String>)| json!({ "main": main, "sans": sans });
        value["domains"] = tls.domains.iter().map(domain).collect();
    }
    value
}
