//! Objects as Consul shows them.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Serialize;
use serde_json::{Value, json};

use super::Node;
use crate::registry::{
    state::State,
    types::{Check, Instance, Kind, Pair, Status},
};

/// As in `/v1/agent/services`.
pub(super) fn agent_service(instance: &Instance) -> Value {
    json!({
        "ID": instance.id,
        "Service": instance.name,
        "Tags": instance.tags,
        "Meta": instance.meta,
        "Port": instance.port,
        "Address": instance.address,
        "TaggedAddresses": tagged(instance),
        "Weights": weights(instance),
        "EnableTagOverride": instance.enable_tag_override,
    })
}

fn tagged(instance: &Instance) -> Value {
    let address = |(name, (address, port)): (&String, &(String, u16))| {
        (name.clone(), json!({ "Address": address, "Port": port }))
    };
    instance.tagged.iter().map(address).collect()
}

fn weights(instance: &Instance) -> Value {
    json!({ "Passing": instance.weights.passing, "Warning": instance.weights.warning })
}

/// As in `/v1/health/service`.
pub(super) fn entry(state: &State, instance: &Instance, node: &Node) -> Value {
    let mut service = agent_service(instance);
    for (key, value) in [
        ("Proxy", json!({ "MeshGateway": {}, "Expose": {} })),
        ("Connect", json!({})),
        ("CreateIndex", instance.created.into()),
        ("ModifyIndex", instance.modified.into()),
    ] {
        service[key] = value;
    }
    let own = state.checks_of(&instance.id).chain(state.checks_of(""));
    let mut checks = vec![alive(node)];
    checks.extend(own.map(|c| check(state, c, node)));
    json!({ "Node": node_object(node), "Service": service, "Checks": checks })
}

/// As in `/v1/catalog/nodes`.
pub(super) fn node_object(node: &Node) -> Value {
    json!({
        "ID": node.id,
        "Node": node.name,
        "Address": node.address,
        "Datacenter": node.datacenter,
        "TaggedAddresses": { "lan": node.address, "wan": node.address },
        "Meta": {},
        "CreateIndex": 1,
        "ModifyIndex": 1,
    })
}

/// As in `/v1/catalog/service`.
pub(super) fn catalog_service(instance: &Instance, node: &Node) -> Value {
    json!({
        "ID": node.id,
        "Node": node.name,
        "Address": node.address,
        "Datacenter": node.datacenter,
        "TaggedAddresses": { "lan": node.address, "wan": node.address },
        "NodeMeta": {},
        "ServiceKind": "",
        "ServiceID": instance.id,
        "ServiceName": instance.name,
        "ServiceTags": instance.tags,
        "ServiceAddress": instance.address,
        "ServiceTaggedAddresses": tagged(instance),
        "ServiceWeights": weights(instance),
        "ServiceMeta": instance.meta,
        "ServicePort": instance.port,
        "ServiceEnableTagOverride": instance.enable_tag_override,
        "ServiceProxy": { "MeshGateway": {}, "Expose": {} },
        "ServiceConnect": {},
        "CreateIndex": instance.created,
        "ModifyIndex": instance.modified,
    })
}

/// As in `/v1/agent/checks`.
pub(super) fn check(state: &State, check: &Check, node: &Node) -> Value {
    let instance = state.instances.get(&check.instance);
    json!({
        "Node": node.name,
        "CheckID": check.id,
        "Name": check.name,
        "Status": check.status,
        "Notes": check.notes,
        "Output": check.output,
        "ServiceID": check.instance,
        "ServiceName": instance.map_or("", |i| &i.name),
        "ServiceTags": instance.map_or(&[][..], |i| &i.tags),
        "Type": check.kind.name(),
        "Definition": definition(check),
        "CreateIndex": check.created,
        "ModifyIndex": check.modified,
    })
}

fn definition(check: &Check) -> Value {
    let mut shown = json!({});
    match &check.kind {
        Kind::Http(http) => shown["HTTP"] = http.url.as_str().into(),
        Kind::Tcp(address) => shown["TCP"] = address.as_str().into(),
        Kind::Grpc(grpc) => shown["GRPC"] = grpc.address.as_str().into(),
        Kind::Fixed | Kind::Ttl(_) | Kind::Script(_) => return shown,
    }
    shown["Interval"] = go(check.interval).into();
    shown["Timeout"] = go(check.timeout).into();
    if let Some(after) = check.deregister_after {
        shown["DeregisterCriticalServiceAfter"] = go(after).into();
    }
    shown
}

/// A duration that Go reads.
pub(in crate::registry) fn go(duration: std::time::Duration) -> String {
    match duration.subsec_nanos() {
        0 => format!("{}s", duration.as_secs()),
        _ => format!("{}ms", duration.as_secs_f64() * 1000.0),
    }
}

/// The node's own check: as long as somebody answers, it is alive.
pub(super) fn alive(node: &Node) -> Value {
    json!({
        "Node": node.name,
        "CheckID": "serfHealth",
        "Name": "Serf Health Status",
        "Status": Status::Passing,
        "Notes": "",
        "Output": "Agent alive and reachable",
        "ServiceID": "",
        "ServiceName": "",
        "ServiceTags": [],
        "Type": "",
        "Definition": {},
        "CreateIndex": 1,
        "ModifyIndex": 1,
    })
}

/// As in `/v1/kv/KEY`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Shown<'s> {
    lock_index: u64,
    key: &'s str,
    flags: u64,
    value: Option<String>,
    create_index: u64,
    modify_index: u64,
}

impl<'s> Shown<'s> {
    pub(super) fn of(key: &'s str, pair: &Pair) -> Self {
        // An empty value is none, as in Consul.
        let value = (!pair.value.is_empty()).then(|| STANDARD.encode(&pair.value));
        Self {
            lock_index: 0,
            key,
            flags: pair.flags,
            value,
            create_index: pair.created,
            modify_index: pair.modified,
        }
    }
}

/// Services and the tags of all their instances.
pub(super) fn services(state: &State) -> BTreeMap<&str, Vec<&str>> {
    let tags = |name| {
        let tags = state.instances_of(name).flat_map(|i| &i.tags).map(String::as_str);
        tags.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
    };
    let own = [("consul", Vec::new())];
    own.into_iter().chain(state.names().map(|name| (name, tags(name)))).collect()
}
