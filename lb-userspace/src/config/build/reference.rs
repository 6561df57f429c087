//! What objects say of each other.

use crate::{
    config::decode::{At, Spot},
    model::{Id, Protocol},
};

/// Kinds of objects that have names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    Router,
    Service,
    Middleware,
    Transport,
    /// Without a protocol: their ids have that of TCP.
    TlsOptions,
}

impl Kind {
    /// In a fault.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Router => "router",
            Self::Service => "service",
            Self::Middleware => "middleware",
            Self::Transport => "servers transport",
            Self::TlsOptions => "TLS options",
        }
    }
}

/// An object that another one names.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reference {
    pub(crate) kind: Kind,
    pub(crate) id: Id,
    /// Where it stands.
    pub(crate) spot: Spot,
}

impl Reference {
    /// The object that `at` names in an object of `owner`'s provider and protocol.
    pub(super) fn new(kind: Kind, at: &At<String>, owner: &Id) -> Self {
        Self::at(kind, &at.value, &at.spot, owner)
    }

    /// As [`Self::new`], where the name has no place of its own.
    pub(super) fn at(kind: Kind, written: &str, spot: &Spot, owner: &Id) -> Self {
        let protocol = match kind {
            Kind::TlsOptions => Protocol::Tcp,
            _ => owner.protocol,
        };
        Self { kind, id: Id::refer(protocol, written, &owner.provider), spot: spot.clone() }
    }
}
