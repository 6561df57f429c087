//! `registry`: lb's own.

use std::{net::SocketAddr, time::Duration};

use super::Exposure;

/// `registry`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrySettings {
    /// Of the HTTP API. Default 127.0.0.1:8500.
    pub address: SocketAddr,
    /// Of DNS, where it is wanted.
    pub dns: Option<SocketAddr>,
    /// `enableScriptChecks`: whether checks may run programs. Default false.
    pub script_checks: bool,
    /// Default `dc1`.
    pub datacenter: String,
    /// Of DNS. Default `consul`.
    pub domain: String,
    /// `nodeName`; the host's name where it isn't given.
    pub node: Option<String>,
    /// `dnsTTL`. Default 0.
    pub dns_ttl: Duration,
    /// Which instances are routed.
    pub exposure: Exposure,
    /// `strictChecks`: states that serve. Default `passing` alone.
    pub states: Vec<String>,
}
