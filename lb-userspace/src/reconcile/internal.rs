//! Routers of lb's own, as settings and entry points ask for them.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    model::{
        Dynamic, EntryPoint, Id, Observability, PathChoice, Place, Protocol, RouterConfig, Settings,
    },
    rule::{Rule, Syntax},
};

/// What provider `internal` says.
pub(crate) fn dynamic(settings: &Settings, entry_points: &BTreeMap<String, EntryPoint>) -> Dynamic {
    let mut dynamic = Dynamic::default();
    let is_tcp = |name: &str| entry_points.get(name).is_some_and(|e| e.protocol == Protocol::Tcp);
    if let Some(ping) = &settings.ping
        && !ping.manual_routing
        && is_tcp(&ping.entry_point)
    {
        dynamic.routers.extend(router("ping", &ping.entry_point, "PathPrefix(`/ping`)", LAST));
    }
    dynamic
}

/// In front of every router of a file.
const LAST: i64 = i64::MAX;

/// A router to the service of that name.
fn router(name: &str, entry_point: &str, rule: &str, priority: i64) -> Option<RouterConfig> {
    let rule = Rule::parse(rule, Protocol::Http, Syntax::V3).ok()?;
    Some(RouterConfig {
        id: Id::new(Protocol::Http, name, Id::INTERNAL),
        entry_points: vec![entry_point.to_owned()],
        service: name.to_owned(),
        priority,
        rule: Some(Arc::new(rule)),
        middlewares: Vec::new(),
        tls: None,
        observability: Observability::default(),
        datapath: PathChoice::Auto,
        place: Place::default(),
    })
}
