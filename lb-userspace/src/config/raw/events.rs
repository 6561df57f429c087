//! `events`, and how NATS is reached.

use std::time::Duration;

use crate::{
    config::{
        decode::{At, Cx, Decode, object},
        tree::{Node, Value},
        values::{Whole, choice},
    },
    model::Retention,
};

object! {
    /// `events`.
    pub(crate) struct Events {
        node: String = "node",
        buffer: Whole<16, 1_000_000> = "buffer",
        nats: Nats = "nats",
        stream: String = "stream",
        subjects: Vec<At<String>> = "subjects",
        storage: Storage = "storage",
        retention: Retention = "retention",
        max_age: Duration = "maxAge",
        max_bytes: Whole<1, { i64::MAX }> = "maxBytes",
        replicas: Whole<1, 5> = "replicas",
        requests: bool = "requests",
        bucket: String = "bucket",
    }
}

object! {
    /// `nats`, wherever it stands.
    pub(crate) struct Nats {
        servers: OneOrMore = "servers" | "url" | "urls",
        credentials: String = "credentials" | "credentialsFile",
        nkey: String = "nkey" | "nkeyFile",
        token: String = "token",
        user: String = "user" | "username",
        password: String = "password",
        tls: super::ProviderTls = "tls",
    }
}

/// A text, or a list of them.
#[derive(Clone, Debug)]
pub(crate) struct OneOrMore(pub(crate) Vec<At<String>>);

impl Decode for OneOrMore {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        match &node.value {
            Value::Text(text) => {
                let value =
                    |one: &str| At { value: one.trim().to_owned(), spot: cx.spot(node.pos) };
                Some(Self(text.split(',').map(value).collect()))
            }
            _ => Vec::<At<String>>::decode(node, cx).map(Self),
        }
    }
}

/// `storage`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Storage {
    File,
    Memory,
}

impl Decode for Storage {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        choice(node, &[("file", Self::File), ("memory", Self::Memory)], &[], cx)
    }
}

impl Decode for Retention {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        let table = [
            ("limits", Self::Limits),
            ("interest", Self::Interest),
            ("workqueue", Self::WorkQueue),
        ];
        choice(node, &table, &[], cx)
    }
}
