//! `providers.consulCatalog` and `providers.consul`.

use std::time::Duration;

use super::{Constraints, DefaultRule, Label, ProviderTls};
use crate::config::{
    decode::{At, Cx, Decode, object},
    tree::Node,
    values::{Toggle, choice},
};

object! {
    /// `providers.consulCatalog`.
    pub(crate) struct ConsulCatalog {
        endpoint: ConsulEndpoint = "endpoint",
        register: Toggle<Register> = "register",
        prefix: Label = "prefix",
        exposed_by_default: bool = "exposedByDefault",
        default_rule: DefaultRule = "defaultRule",
        constraints: Constraints = "constraints",
        strict_checks: Vec<At<CheckState>> = "strictChecks",
        refresh: Duration = "refreshInterval",
        namespace: String = "namespace",
        namespaces: Vec<At<String>> = "namespaces",
        stale: bool = "stale",
        cache: bool = "cache",
        require_consistent: bool = "requireConsistent",
        watch: bool = "watch",
    }
    refused {
        "connectAware" | "connectByDefault" | "serviceName"
            => "lb is no part of a Connect mesh: remove this",
    }
}

object! {
    /// `providers.consulCatalog.endpoint`.
    pub(crate) struct ConsulEndpoint {
        address: String = "address",
        scheme: String = "scheme",
        datacenter: String = "datacenter",
        fallbacks: Vec<At<String>> = "fallbackDatacenters",
        token: String = "token",
        wait: Duration = "endpointWaitTime",
        tls: ProviderTls = "tls",
    }
    refused {
        "httpAuth" => "basic authentication towards Consul isn't done: use `token`",
    }
}

object! {
    /// `providers.consul`.
    pub(crate) struct ConsulKv {
        endpoints: Vec<At<String>> = "endpoints",
        register: Toggle<Register> = "register",
        root: String = "rootKey",
        token: String = "token",
        tls: ProviderTls = "tls",
        namespace: String = "namespace",
        namespaces: Vec<At<String>> = "namespaces",
    }
    refused {
        "username" | "password" => "basic authentication towards Consul isn't done: use `token`",
    }
}

object! {
    /// `register` of both.
    pub(crate) struct Register {
        name: Label = "name",
        id: String = "id",
        address: String = "address",
        tags: Vec<At<String>> = "tags",
        ttl: Duration = "ttl",
        deregister_after: Duration = "deregisterCriticalServiceAfter",
        entry_points: Vec<At<String>> = "entryPoints",
    }
}

/// An element of `strictChecks`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CheckState(pub(crate) &'static str);

impl Decode for CheckState {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        let table = ["passing", "warning", "critical"].map(|name| (name, Self(name)));
        let refused = [("any", "name the states: passing, warning, critical")];
        choice(node, &table, &refused, cx)
    }
}
