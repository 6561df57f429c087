//! What a provider hands to the one writer.

use std::sync::Arc;

use super::{
    Fault, Id, Middleware, Observability, Place, RouterTls, Rule, Service, Shared, TlsConfig,
    Transport,
};

/// The dynamic part of one provider, validated in itself: every reference to
/// an object of the same provider resolves. Replaces that provider's last one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dynamic {
    /// Routers.
    pub routers: Vec<Shared<RouterConfig>>,
    /// Services, with `backends` empty: those come from resolution and health.
    pub services: Vec<Shared<Service>>,
    /// Middlewares.
    pub middlewares: Vec<Middleware>,
    /// `serversTransports`.
    pub transports: Vec<Transport>,
    /// `tls`.
    pub tls: TlsConfig,
    /// Why routers of the source are off alone; the snapshot's faults begin with these.
    pub faults: Vec<Fault>,
}

/// A router as configured.
#[derive(Clone, Debug, PartialEq)]
pub struct RouterConfig {
    /// Its id.
    pub id: Id,
    /// Names of entry points; empty: every entry point of its protocol.
    pub entry_points: Vec<String>,
    /// As written: `name` (of the same provider) or `name@provider`.
    pub service: String,
    /// Of two kernel routers on one entry point the higher one takes it; equal ones are a fault.
    /// In the proxy the higher one is asked first. Default 0: there, the length of the rule.
    pub priority: i64,
    /// `None` for a UDP router, and for a TCP one that takes all.
    pub rule: Option<Arc<Rule>>,
    /// As written: `name` or `name@provider`, in their order.
    pub middlewares: Vec<String>,
    /// `tls`.
    pub tls: Option<Arc<RouterTls>>,
    /// `observability`.
    pub observability: Observability,
    /// `datapath`.
    pub datapath: PathChoice,
    /// Where it stands, for faults found when merging.
    pub place: Place,
}

/// `datapath` of a router.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PathChoice {
    /// Kernel where possible and the entry point has an address beyond loopback.
    #[default]
    Auto,
    /// Kernel, or a fault.
    Kernel,
    /// Proxy.
    Proxy,
}
