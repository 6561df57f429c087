//! `registry`.

use std::time::Duration;

use super::{CheckState, Constraints, DefaultRule};
use crate::config::{
    address::ListenAddress,
    decode::{At, Cx, Decode, object},
    tree::Node,
    values::text,
};

object! {
    /// `registry`.
    pub(crate) struct Registry {
        address: ListenAddress = "address",
        dns: ListenAddress = "dns",
        script_checks: bool = "enableScriptChecks",
        datacenter: Label = "datacenter",
        domain: Label = "domain",
        node: Label = "nodeName",
        dns_ttl: Duration = "dnsTTL",
        exposed_by_default: bool = "exposedByDefault",
        default_rule: DefaultRule = "defaultRule",
        constraints: Constraints = "constraints",
        prefix: Label = "prefix",
        strict_checks: Vec<At<CheckState>> = "strictChecks",
    }
    refused {
        "tls" | "token" | "acl" => "the registry is for this host alone: listen on loopback, or use a Consul",
    }
}

/// One label of DNS.
#[derive(Clone, Debug)]
pub(crate) struct Label(pub(crate) String);

impl Decode for Label {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        const WHAT: &str = "a name of letters, digits and hyphens";
        let text = text(node, WHAT, cx)?;
        let sound = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if text.is_empty() || text.len() > 63 || !text.chars().all(sound) {
            cx.expected(node, WHAT);
            return None;
        }
        Some(Self(text.to_owned()))
    }
}
