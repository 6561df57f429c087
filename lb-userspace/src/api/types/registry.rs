//! What the API shows of lb's own registry.

use serde::{Deserialize, Serialize};

/// lb's own registry in [`super::Status`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RegistryStatus {
    /// Of Consul's API.
    pub address: String,
    /// Of DNS, where it is answered.
    pub dns: Option<String>,
    /// Services.
    pub services: usize,
    /// Their instances.
    pub instances: usize,
    /// Keys.
    pub keys: usize,
    /// What it is not.
    pub scope: String,
}

/// An instance in `GET /api/registry/services`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RegistryInstance {
    /// Name of the service.
    pub service: String,
    /// Id of the instance.
    pub id: String,
    /// `10.0.1.5:8080`.
    pub address: String,
    /// `passing`, `warning` or `critical`.
    pub state: String,
    /// In their order.
    pub tags: Vec<String>,
    /// What its worst check said last.
    pub output: String,
}
