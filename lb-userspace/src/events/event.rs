//! One thing that happened, and how it is written (CloudEvents 1.0, JSON format).

use std::{sync::Arc, time::SystemTime};

use serde::Serialize;
use serde_json::json;

use super::subject;
use crate::api::time::rfc3339_millis;

/// Declares what can happen: types with what belongs to each.
macro_rules! whats {
    ($(
        $(#[doc = $doc:literal])+
        $name:ident = $type:literal { $( $(#[doc = $of:literal])+ $field:ident: $value:ty, )* }
    )+) => {
        /// What happened. A service is written `http/NAME@PROVIDER`, a backend `IP:PORT`.
        #[derive(Clone, Debug, PartialEq, Serialize)]
        #[serde(untagged, rename_all_fields = "camelCase")]
        pub enum What {
            $(
                $(#[doc = $doc])+
                $name { $( $(#[doc = $of])+ $field: $value, )* },
            )+
        }

        impl What {
            /// All types, in their order.
            pub const TYPES: &[&str] = &[$($type),+];

            /// `lb.health.changed` and the like.
            pub const fn name(&self) -> &'static str {
                match self {
                    $(Self::$name { .. } => $type,)+
                }
            }
        }
    };
}

whats! {
    /// A backend's verdict.
    HealthChanged = "lb.health.changed" {
        /// Of which service.
        service: String,
        /// Of which backend.
        backend: String,
        /// The configured `host:port`.
        server: String,
        /// `unchecked`, `pending`, `up` or `down`.
        from: &'static str,
        /// What it is now.
        to: &'static str,
        /// What the latest check said.
        reason: String,
    }
    /// A backend's weight, or that of a part of a weighted service.
    WeightChanged = "lb.weight.changed" {
        /// Of which service.
        service: String,
        /// Of which backend or part.
        backend: String,
        /// As it was.
        from: u32,
        /// As it is.
        to: u32,
        /// Whether it is a runtime weight, not the configured one.
        set: bool,
    }
    /// A backend is drained, or takes connections again.
    DrainChanged = "lb.drain.changed" {
        /// Of which service.
        service: String,
        /// Which backend.
        backend: String,
        /// Whether it drains.
        drained: bool,
    }
    /// The drain time of a backend is over: what it still has is ended.
    DrainEnded = "lb.drain.ended" {
        /// Of which service.
        service: String,
        /// Which backend.
        backend: String,
    }
    /// A backend is there that was not.
    BackendAdded = "lb.backend.added" {
        /// Of which service.
        service: String,
        /// Which backend.
        backend: String,
        /// The configured `host:port`.
        server: String,
        /// Its weight.
        weight: u32,
    }
    /// A backend is configured no more, and keeps what it has until its drain time is over.
    BackendLeaving = "lb.backend.leaving" {
        /// Of which service.
        service: String,
        /// Which backend.
        backend: String,
    }
    /// A backend is gone.
    BackendRemoved = "lb.backend.removed" {
        /// Of which service.
        service: String,
        /// Which backend.
        backend: String,
    }
    /// The configuration was read, and something of it is new.
    Reloaded = "lb.reload.succeeded" {
        /// In words, one for each object; the first hundred.
        changes: Vec<String>,
        /// How many there are.
        count: usize,
    }
    /// The configuration, or a part of it, was refused; its last good state stays.
    ReloadRefused = "lb.reload.refused" {
        /// As `lb check` prints them; the first hundred.
        faults: Vec<String>,
        /// How many there are.
        count: usize,
    }
    /// A certificate is in use that was not, or not in this form.
    CertificateLoaded = "lb.certificate.loaded" {
        /// Whom it is for.
        names: Vec<String>,
        /// Until when it is valid (RFC 3339).
        expires: String,
    }
    /// A certificate is in use no more.
    CertificateRemoved = "lb.certificate.removed" {
        /// Whom it was for.
        names: Vec<String>,
    }
    /// Something is wrong with a certificate, or with what else TLS needs.
    CertificateFailed = "lb.certificate.failed" {
        /// In a sentence.
        reason: String,
    }
    /// Real requests have shown a server to be faulty: it gets none for a while.
    EjectionBegan = "lb.ejection.began" {
        /// Of which service.
        service: String,
        /// Which server.
        backend: String,
    }
    /// An ejected server gets requests again.
    EjectionEnded = "lb.ejection.ended" {
        /// Of which service.
        service: String,
        /// Which server.
        backend: String,
    }
    /// A circuit breaker changed its state.
    CircuitChanged = "lb.circuit.changed" {
        /// Of which router.
        router: String,
        /// Which middleware.
        middleware: String,
        /// `open`, `recovering` or `closed`.
        to: &'static str,
    }
    /// A provider's state changed.
    ProviderChanged = "lb.provider.changed" {
        /// Its name.
        provider: String,
        /// As it was; empty where it is new.
        from: String,
        /// As it is; empty where it is gone.
        to: String,
        /// What went wrong last.
        error: Option<String>,
    }
    /// Traffic begins to be moved.
    ShiftStarted = "lb.shift.started" {
        /// Of which service.
        service: String,
        /// Whence.
        from: String,
        /// Whither.
        to: String,
        /// Percentages, one after the other.
        steps: Vec<u32>,
    }
    /// A shift has come to its next step.
    ShiftAdvanced = "lb.shift.advanced" {
        /// Of which service.
        service: String,
        /// Whence.
        from: String,
        /// Whither.
        to: String,
        /// How much goes there now.
        percent: u32,
    }
    /// A shift is done.
    ShiftFinished = "lb.shift.finished" {
        /// Of which service.
        service: String,
        /// Whence.
        from: String,
        /// Whither.
        to: String,
        /// How much goes there now.
        percent: u32,
    }
    /// A shift was taken back: the weights are what they were before it.
    ShiftRolledBack = "lb.shift.rolledback" {
        /// Of which service.
        service: String,
        /// Whence.
        from: String,
        /// Whither.
        to: String,
        /// How much went there.
        percent: u32,
        /// Which bound didn't hold, or who said so.
        reason: String,
    }
    /// The daemon runs: its first snapshot is in force.
    DaemonStarted = "lb.daemon.started" {
        /// Its version.
        version: &'static str,
        /// Of the snapshot.
        generation: u64,
    }
    /// The daemon ends.
    DaemonStopping = "lb.daemon.stopping" {
        /// Why.
        reason: String,
    }
}

impl What {
    /// The object, and the part of it, that it is about.
    fn about(&self) -> (&str, Option<&str>) {
        match self {
            Self::HealthChanged { service, backend, .. }
            | Self::WeightChanged { service, backend, .. }
            | Self::DrainChanged { service, backend, .. }
            | Self::DrainEnded { service, backend }
            | Self::BackendAdded { service, backend, .. }
            | Self::BackendLeaving { service, backend }
            | Self::BackendRemoved { service, backend }
            | Self::EjectionBegan { service, backend }
            | Self::EjectionEnded { service, backend } => (service, Some(backend)),
            Self::ShiftStarted { service, .. }
            | Self::ShiftAdvanced { service, .. }
            | Self::ShiftFinished { service, .. }
            | Self::ShiftRolledBack { service, .. } => (service, None),
            Self::CircuitChanged { router, middleware, .. } => (router, Some(middleware)),
            Self::ProviderChanged { provider, .. } => (provider, None),
            Self::CertificateLoaded { names, .. } | Self::CertificateRemoved { names } => {
                (names.first().map_or("unnamed", String::as_str), None)
            }
            Self::CertificateFailed { .. } => ("failed", None),
            Self::Reloaded { .. } => ("succeeded", None),
            Self::ReloadRefused { .. } => ("refused", None),
            Self::DaemonStarted { .. } => ("started", None),
            Self::DaemonStopping { .. } => ("stopping", None),
        }
    }

    /// `health` of `lb.health.changed`.
    fn group(&self) -> &'static str {
        self.name().split('.').nth(1).unwrap_or_default()
    }
}

/// One of them, as it is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Its number in this run of the daemon, from 1.
    pub seq: u64,
    /// Unique among all events of all nodes: what a reader goes on from, and NATS tells
    /// duplicates by.
    pub id: String,
    /// Its type.
    pub kind: &'static str,
    /// The event in CloudEvents' JSON format, in one line.
    pub json: Arc<str>,
    /// What stands in NATS behind `lb.events.`: `NODE.health.SERVICE`.
    pub subject: String,
}

impl Event {
    pub(super) fn new(run: &str, seq: u64, node: &str, what: &What, time: SystemTime) -> Self {
        let id = format!("{run}-{seq}");
        let (object, part) = what.about();
        let about = part.map_or(object.to_owned(), |part| format!("{object}/{part}"));
        let json = json!({
            "specversion": "1.0",
            "id": id,
            "source": node,
            "type": what.name(),
            "subject": about,
            "time": rfc3339_millis(time),
            "datacontenttype": "application/json",
            "data": what,
        });
        Self {
            seq,
            kind: what.name(),
            json: json.to_string().into(),
            subject: format!(
                "{}.{}.{}",
                subject::token(node),
                what.group(),
                subject::token(object)
            ),
            id,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn event_is_a_cloud_event() {
        let what = What::HealthChanged {
            service: "http/api.v1@file".into(),
            backend: "10.0.0.1:80".into(),
            server: "a:80".into(),
            from: "up",
            to: "down",
            reason: "connection refused".into(),
        };
        let time = UNIX_EPOCH + Duration::from_millis(1_767_225_599_042);
        let event = Event::new("65f-7", 3, "edge.1", &what, time);
        assert_eq!(event.subject, "edge%2E1.health.http/api%2Ev1@file");
        let json: serde_json::Value = serde_json::from_str(&event.json).unwrap();
        let expected = json!({
            "specversion": "1.0",
            "id": "65f-7-3",
            "source": "edge.1",
            "type": "lb.health.changed",
            "subject": "http/api.v1@file/10.0.0.1:80",
            "time": "2025-12-31T23:59:59.042Z",
            "datacontenttype": "application/json",
            "data": {
                "service": "http/api.v1@file", "backend": "10.0.0.1:80", "server": "a:80",
                "from": "up", "to": "down", "reason": "connection refused",
            },
        });
        assert_eq!(json, expected);
    }

    #[test]
    fn every_type_has_three_parts() {
        for name in What::TYPES {
            assert_eq!(name.split('.').count(), 3, "{name}");
        }
    }
}
