//! lb and its entry points as services of a Consul.

use std::net::IpAddr;

use super::{events::node, writer::Writer};
use crate::{
    model::{EntryPoint, Protocol, Registration, Snapshot},
    provider::consul::register::Entry,
};

impl Writer {
    /// Registers what the snapshot has, and takes back what it has no more.
    pub(super) fn register(&mut self, snapshot: &Snapshot) {
        let settings = snapshot.settings.register.as_ref();
        let node = node(&snapshot.settings, self.shared.paths.instance());
        let entries = settings.map(|settings| entries(settings, &node, snapshot));
        self.registrar.follow(settings, entries.unwrap_or_default());
    }
}

/// lb itself, then its entry points.
fn entries(settings: &Registration, node: &str, snapshot: &Snapshot) -> Vec<Entry> {
    let id = settings.id.clone().unwrap_or_else(|| format!("{}-{node}", settings.name));
    let own = Entry {
        id: id.clone(),
        name: settings.name.clone(),
        address: settings.address.clone(),
        port: snapshot.settings.api.listen.map(|address| address.port()),
        tags: settings.tags.clone(),
    };
    let is_named = |point: &&EntryPoint| {
        settings.entry_points.as_ref().is_none_or(|names| names.contains(&point.name))
    };
    let points = snapshot.entry_points.values().filter(is_named).map(|point| Entry {
        id: format!("{id}-{}", point.name),
        name: format!("{}-{}", settings.name, point.name),
        address: address(point.ip).or_else(|| settings.address.clone()),
        port: Some(point.port),
        tags: settings.tags.iter().cloned().chain([protocol(point).to_owned()]).collect(),
    });
    [own].into_iter().chain(points).collect()
}

/// One that stands for itself.
fn address(ip: Option<IpAddr>) -> Option<String> {
    ip.filter(|ip| !ip.is_unspecified()).map(|ip| ip.to_string())
}

fn protocol(point: &EntryPoint) -> &'static str {
    match point.protocol {
        Protocol::Udp => "udp",
        Protocol::Tcp | Protocol::Http => "tcp",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::samples;

    fn settings() -> Registration {
        Registration {
            name: "edge".into(),
            tags: vec!["blue".into()],
            address: Some("10.0.0.9".into()),
            ..Registration::default()
        }
    }

    fn words(settings: &Registration) -> Vec<String> {
        let snapshot = samples::snapshot();
        let of = |entry: Entry| {
            let Entry { id, name, address, port, tags } = entry;
            let (address, port) = (address.unwrap_or_default(), port.unwrap_or_default());
            format!("{id} {name} {address}:{port} {}", tags.join(","))
        };
        entries(settings, "n1", &snapshot).into_iter().map(of).collect()
    }

    #[test]
    fn lb_and_each_entry_point_are_services() {
        let words = words(&settings());
        assert_eq!(words[0].split(':').next(), Some("edge-n1 edge 10.0.0.9"));
        assert_eq!(words.len(), 1 + samples::snapshot().entry_points.len());
        assert!(words[1].starts_with("edge-n1-dns edge-dns "), "{words:?}");
        assert!(words[1].ends_with(" blue,udp"), "{words:?}");
    }

    #[test]
    fn entry_points_that_are_not_named_are_left_out() {
        let some = Registration { entry_points: Some(Vec::new()), ..settings() };
        assert_eq!(words(&some).len(), 1);
        let own = Registration { id: Some("lb-7".into()), ..some };
        assert!(words(&own)[0].starts_with("lb-7 edge "), "{:?}", words(&own));
    }
}
