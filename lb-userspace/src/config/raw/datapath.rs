//! `datapath`.

use std::{net::IpAddr, time::Duration};

use crate::{
    config::{
        address::PortRange,
        decode::{At, Cx, Decode, object},
        tree::{Node, Value, quoted},
        values::{Whole, choice, text},
    },
    model::{ChoiceKey, Mode, ReturnPath},
};

object! {
    /// `datapath`.
    pub(crate) struct Datapath {
        interfaces: Interfaces = "interfaces",
        mode: Mode = "mode",
        connections: Whole<1_024, 64_000_000> = "connections",
        backends: Whole<1, 1_000_000> = "backends",
        ring_size: Whole<2, 65_537> = "ringSize",
        nat: Nat = "nat",
        return_path: ReturnPath = "returnPath",
        timeouts: Timeouts = "timeouts",
        trace: bool = "trace",
        hash_key: HashSecret = "hashKey",
    }
}

object! {
    /// `datapath.nat`.
    pub(crate) struct Nat {
        addresses: Vec<At<IpAddr>> = "addresses",
        ports: PortRange = "ports",
    }
}

object! {
    /// `datapath.timeouts`.
    pub(crate) struct Timeouts {
        tcp_established: Duration = "tcpEstablished",
        tcp_half_open: Duration = "tcpHalfOpen",
        tcp_closing: Duration = "tcpClosing",
        tcp_closed: Duration = "tcpClosed",
        udp: Duration = "udp",
        udp_unanswered: Duration = "udpUnanswered",
    }
}

/// `datapath.interfaces`: `auto`, a name, or a list of names.
#[derive(Clone, Debug)]
pub(crate) enum Interfaces {
    Auto,
    Named(Vec<At<InterfaceName>>),
}

/// Name of a network interface.
#[derive(Clone, Debug)]
pub(crate) struct InterfaceName(pub(crate) String);

impl Decode for Interfaces {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        match &node.value {
            Value::Text(text) if text == "auto" => Some(Self::Auto),
            Value::Text(_) => {
                let value = InterfaceName::decode(node, cx)?;
                Some(Self::Named(vec![At { value, spot: cx.here() }]))
            }
            Value::List(items) if !items.is_empty() => Decode::decode(node, cx).map(Self::Named),
            _ => {
                cx.expected(node, "\"auto\" or a list of interface names");
                None
            }
        }
    }
}

impl Decode for InterfaceName {
    /// As the kernel's `dev_valid_name`: 1 to 15 bytes, no `/`, `:` or space.
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        let Value::Text(text) = &node.value else {
            cx.expected(node, "the name of an interface");
            return None;
        };
        let bad = |c: char| c == '/' || c == ':' || c.is_whitespace();
        if text.is_empty() || text.len() > 15 || text.contains(bad) || text == "." || text == ".." {
            let name = quoted(text);
            cx.fault(
                node,
                format!("{name} can't be an interface: 1 to 15 bytes without `/`, `:` or space"),
            );
            return None;
        }
        Some(Self(text.clone()))
    }
}

/// `datapath.hashKey`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HashSecret(pub(crate) ChoiceKey);

impl Decode for HashSecret {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        const WHAT: &str = "a secret text of 16 characters or more";
        let key = ChoiceKey::from_secret(text(node, WHAT, cx)?);
        if key.is_none() {
            // The fault says nothing of what is there.
            cx.fault(node, format!("expected {WHAT}"));
        }
        key.map(Self)
    }
}

impl Decode for Mode {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        let table =
            [Self::Auto, Self::Native, Self::Generic, Self::Tc].map(|mode| (mode.name(), mode));
        choice(node, &table, &[], cx)
    }
}

impl Decode for ReturnPath {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        choice(node, &[("client", Self::Client), ("route", Self::Route)], &[], cx)
    }
}
