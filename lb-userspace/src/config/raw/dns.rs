//! `providers.dns`.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use super::DefaultRule;
use crate::{
    config::{
        decode::{At, ByName, Cx, Decode, object},
        tree::{Node, Value},
        values::{Port, Scalar, choice, text},
    },
    model::DnsKind,
};

object! {
    /// `providers.dns`.
    pub(crate) struct DnsSource {
        resolvers: Vec<At<Resolver>> = "resolvers" | "nameservers",
        min_ttl: Duration = "minTTL",
        max_ttl: Duration = "maxTTL",
        timeout: Duration = "timeout",
        default_rule: DefaultRule = "defaultRule",
        services: ByName<DnsService> = "services",
    }
}

object! {
    /// `providers.dns.services.NAME`.
    pub(crate) struct DnsService {
        name: String = "name",
        kind: DnsKind = "type",
        port: Port = "port",
        labels: LabelSet = "labels" | "tags",
    }
}

/// A name server: an address, of port 53 where it says none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Resolver(pub(crate) SocketAddr);

impl Decode for Resolver {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        const WHAT: &str =
            "the address of a name server such as \"127.0.0.1:8600\" or \"10.0.0.2\"";
        let text = text(node, WHAT, cx)?;
        let bare = || text.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, 53));
        let found = text.parse::<SocketAddr>().ok().filter(|at| at.port() > 0).or_else(bare);
        if found.is_none() {
            cx.expected(node, WHAT);
        }
        found.map(Self)
    }
}

impl Decode for DnsKind {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        let table = [Self::A, Self::Aaaa, Self::Srv].map(|kind| (kind.name(), kind));
        choice(node, &table, &[], cx)
    }
}

/// Labels as compose has them: a map, or a list of `key=value`.
#[derive(Clone, Debug, Default)]
pub(crate) struct LabelSet(pub(crate) BTreeMap<String, String>);

impl Decode for LabelSet {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        if !matches!(node.value, Value::List(_)) {
            let map = ByName::<Scalar>::decode(node, cx)?;
            return Some(Self(
                map.objects.into_iter().map(|(key, at)| (key, at.value.0)).collect(),
            ));
        }
        let mut labels = BTreeMap::new();
        for at in Vec::<At<String>>::decode(node, cx)? {
            match at.value.split_once('=') {
                Some((key, value)) => drop(labels.insert(key.trim().to_owned(), value.to_owned())),
                None => cx.faults.push(at.spot.fault("expected a label such as \"key=value\"")),
            }
        }
        Some(Self(labels))
    }
}
