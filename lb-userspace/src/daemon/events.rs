//! Telling what happens: the one place where events are made.

use std::sync::Arc;

use super::writer::Writer;
use crate::{
    api::Daemon,
    events::{What, changes},
    model::{Settings, Snapshot},
    nats,
    provider::Reload,
};

/// Changes and faults that one event lists.
const LISTED: usize = 100;

impl Writer {
    pub(super) fn tell(&self, what: &What) {
        self.shared.events().tell(what);
    }

    /// `snapshot` comes into force in place of the one before.
    pub(super) fn tell_changes(&self, snapshot: &Snapshot) {
        let before = &self.in_force;
        if before.settings != snapshot.settings || before.generation == 0 {
            self.name_node(&snapshot.settings);
        }
        if before.generation == 0 {
            let (version, generation) = (env!("CARGO_PKG_VERSION"), snapshot.generation);
            self.tell(&What::DaemonStarted { version, generation });
            return;
        }
        changes(before, snapshot).iter().for_each(|what| self.tell(what));
    }

    /// Starts, changes or ends publishing.
    pub(super) fn follow_nats(&mut self, snapshot: &Snapshot) {
        let settings = &snapshot.settings;
        let wanted = settings.events.as_ref().and_then(|events| events.nats.as_ref());
        let needs = nats::Needs {
            events: Arc::clone(self.shared.events()),
            daemon: self.shared.clone(),
            inputs: self.inputs.clone(),
            // One of the two, so that all nodes of a configuration ask the same bucket.
            agreed: settings.nats.is_none().then(|| self.sources.agreed().clone()),
        };
        self.nats.follow(wanted, &node(settings, self.shared.paths.instance()), &needs);
    }

    fn name_node(&self, settings: &Settings) {
        let events = settings.events.as_deref();
        let node = node(settings, self.shared.paths.instance());
        self.shared.events().follow(&node, events.map(|events| events.buffer));
    }

    /// What the proxy has found out since the last second.
    pub(super) fn tell_watched(&mut self) {
        let new = self.watched.look(&self.proxy.view(), &self.sources.statuses());
        new.iter().for_each(|what| self.tell(what));
    }

    /// A reading that says something new.
    pub(super) fn tell_reload(&self, reload: &Reload) {
        let count = reload.faults.len();
        if count > 0 {
            let faults = reload.faults.iter().take(LISTED).map(ToString::to_string).collect();
            self.tell(&What::ReloadRefused { faults, count });
        }
        let count = reload.changes.len();
        // The first one is the start.
        if count > 0 && self.in_force.generation > 0 {
            let changes = reload.changes.iter().take(LISTED).cloned().collect();
            self.tell(&What::Reloaded { changes, count });
        }
    }
}

/// Who this is among lb's nodes: as configured, else the host's name, with the instance's where
/// that isn't the default one.
pub(super) fn node(settings: &Settings, instance: &str) -> String {
    if let Some(node) = settings.events.as_ref().and_then(|events| events.node.clone()) {
        return node;
    }
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = Some(host.trim()).filter(|host| !host.is_empty()).unwrap_or("lb");
    if instance == "default" { host.to_owned() } else { format!("{host}-{instance}") }
}
