//! Routers.

use serde_json::{Value, json};

use super::{named, rows};
use crate::model::{Observability, Protocol, Router};

/// One of `GET /api/{http,tcp,udp}/routers`.
pub(in super::super) fn router(r: &Router) -> Value {
    let mut value = info(r);
    value["name"] = json!(r.id.qualified());
    value["provider"] = json!(r.id.provider);
    value
}

pub(super) fn info(r: &Router) -> Value {
    let mut value = json!({
        "entryPoints": r.entry_points,
        "service": named(&r.service, &r.id),
        "status": "enabled",
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
