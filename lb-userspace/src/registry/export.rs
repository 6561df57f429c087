//! What is registered, as the service definitions of a Consul agent (`consul services register`,
//! or a file in its `-config-dir`).

use serde_json::{Map, Value, json};

use super::{
    state::State,
    types::{Check, Instance, Kind},
};

/// `{"services": […]}`, with checks; keys aren't part of it.
pub(crate) fn definitions(state: &State) -> Value {
    let service = |instance: &Instance| definition(state, instance);
    let checks: Vec<Value> = state.checks_of("").filter_map(check).collect();
    let mut all = json!({ "services": state.instances.values().map(service).collect::<Vec<_>>() });
    if !checks.is_empty() {
        all["checks"] = checks.into();
    }
    all
}

fn definition(state: &State, instance: &Instance) -> Value {
    let tagged = |(name, (address, port)): (&String, &(String, u16))| {
        (name.clone(), json!({ "address": address, "port": port }))
    };
    let checks: Vec<Value> = state.checks_of(&instance.id).filter_map(check).collect();
    json!({
        "id": instance.id,
        "name": instance.name,
        "tags": instance.tags,
        "meta": instance.meta,
        "address": instance.address,
        "port": instance.port,
        "tagged_addresses": instance.tagged.iter().map(tagged).collect::<Map<_, _>>(),
        "weights": {
            "passing": instance.weights.passing,
            "warning": instance.weights.warning,
        },
        "enable_tag_override": instance.enable_tag_override,
        "checks": checks,
    })
}

/// As an agent reads it; maintenance is none.
fn check(check: &Check) -> Option<Value> {
    let go = |time| Value::from(super::api::go(time));
    let mut shown = match &check.kind {
        Kind::Fixed => return None,
        Kind::Ttl(ttl) => json!({ "ttl": go(*ttl) }),
        Kind::Tcp(address) => json!({ "tcp": address }),
        Kind::Script(args) => json!({ "args": args }),
        Kind::Grpc(grpc) => {
            let slash = if grpc.service.is_empty() { "" } else { "/" };
            json!({
                "grpc": format!("{}{slash}{}", grpc.address, grpc.service),
                "grpc_use_tls": grpc.tls,
                "tls_skip_verify": grpc.insecure,
            })
        }
        Kind::Http(http) => {
            let mut headers: Map<String, Value> = Map::new();
            for (name, value) in &http.headers {
                let values = headers.entry(name.clone()).or_insert_with(|| json!([]));
                if let Value::Array(values) = values {
                    values.push(value.as_str().into());
                }
            }
            json!({
                "http": http.url,
                "method": http.method,
                "header": headers,
                "body": http.body,
                "tls_skip_verify": http.insecure,
            })
        }
    };
    shown["id"] = check.id.as_str().into();
    shown["name"] = check.name.as_str().into();
    shown["notes"] = check.notes.as_str().into();
    if !matches!(check.kind, Kind::Ttl(_)) {
        shown["interval"] = go(check.interval);
        shown["timeout"] = go(check.timeout);
    }
    // Consul takes none below a minute.
    if let Some(after) = check.deregister_after {
        let least = std::time::Duration::from_secs(60);
        shown["deregister_critical_service_after"] = go(after.max(least));
    }
    for (key, count) in
        [("success_before_passing", check.rise), ("failures_before_critical", check.fall)]
    {
        if count > 1 {
            shown[key] = count.into();
        }
    }
    Some(shown)
}
