//! What lb's own commands show of the registry.

use serde_json::Value;

use super::{Contents, State, Status, export, types::Instance};
use crate::{
    api::types::{RegistryInstance, RegistryStatus},
    model::RegistrySettings,
};

/// The registry for those who show it.
#[derive(Clone, Debug)]
pub struct View {
    pub(super) contents: Contents,
    pub(super) settings: RegistrySettings,
}

impl View {
    /// For `lb status`.
    pub fn status(&self) -> RegistryStatus {
        let state = self.contents.hub.read();
        RegistryStatus {
            address: self.settings.address.to_string(),
            dns: self.settings.dns.map(|dns| dns.to_string()),
            services: state.names().count(),
            instances: state.instances.len(),
            keys: state.pairs.len(),
            scope: "one host only; `lb registry export` helps to grow out of it".to_owned(),
        }
    }

    /// All instances, by service.
    pub fn instances(&self) -> Vec<RegistryInstance> {
        let state = self.contents.hub.read();
        let of = |name| state.instances_of(name).map(|instance| row(&state, instance));
        state.names().flat_map(of).collect()
    }

    /// As service definitions of a Consul agent.
    pub fn export(&self) -> Value {
        export::definitions(&self.contents.hub.read())
    }
}

fn row(state: &State, instance: &Instance) -> RegistryInstance {
    let checks = state.checks_of(&instance.id).chain(state.checks_of(""));
    let worst = checks.max_by_key(|check| check.status);
    let status = worst.map_or(Status::Passing, |check| check.status);
    let host = match instance.address.contains(':') {
        true => format!("[{}]", instance.address),
        false => instance.address.clone(),
    };
    RegistryInstance {
        service: instance.name.clone(),
        id: instance.id.clone(),
        address: format!("{host}:{}", instance.port),
        state: status.name().to_owned(),
        tags: instance.tags.clone(),
        output: worst.map(|check| check.output.clone()).unwrap_or_default(),
    }
}
