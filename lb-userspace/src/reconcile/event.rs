//! What the one writer is told.

use std::{collections::BTreeMap, net::IpAddr};

use crate::model::{BackendId, ChoiceKey, Dynamic, EntryPoint, Health, Id, Settings};

/// Whatever can change the snapshot.
#[derive(Clone, Debug)]
pub enum Event {
    /// The static part, at start and whenever its file changes.
    Static {
        /// Settings of the instance.
        settings: Box<Settings>,
        /// Entry points by name.
        entry_points: BTreeMap<String, EntryPoint>,
    },
    /// A provider's whole dynamic part.
    Update {
        /// `file`, later `docker`, ….
        provider: String,
        /// Replaces what that provider said before.
        dynamic: Dynamic,
    },
    /// A verdict, or a check's latest output.
    Health {
        /// Of which backend.
        backend: BackendId,
        /// What is known now.
        health: Health,
    },
    /// A host name's addresses.
    Resolved {
        /// The name.
        host: String,
        /// Its addresses; an empty answer or a failure is not sent.
        addresses: Vec<IpAddr>,
    },
    /// `lb weight`: `None` resets to the configured one.
    Weight {
        /// Of which backend.
        backend: BackendId,
        /// 0 to 65,535.
        weight: Option<u32>,
    },
    /// The weight of a part of a weighted service: `None` resets to the configured one.
    PartWeight {
        /// The service.
        service: Id,
        /// Its part.
        part: Id,
        /// 0 to 65,535.
        weight: Option<u32>,
    },
    /// `lb drain` and `lb undrain`.
    Drain {
        /// Of which backend.
        backend: BackendId,
        /// Whether it drains.
        drain: bool,
    },
    /// A leaving backend has no flows any more: it can be forgotten.
    Empty {
        /// Which one.
        backend: BackendId,
    },
    /// The nodes that share a bucket have agreed on how they choose.
    Agreed {
        /// The key that all of them have.
        key: ChoiceKey,
    },
    /// Time passes (once a second): drain times run out.
    Tick,
}

/// A backend found in the kernel when the daemon started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adopted {
    /// Which one.
    pub backend: BackendId,
    /// Whether it took connections: not marked as down.
    pub up: bool,
}
