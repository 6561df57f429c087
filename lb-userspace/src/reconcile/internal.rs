//! Routers of lb's own, as settings and entry points ask for them.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    middleware::{self, RedirectScheme},
    model::{
        Dynamic, EntryPoint, Id, Middleware, Observability, PathChoice, Place, Protocol,
        Redirection, RouterConfig, Settings, Shared,
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
        let router = router("ping", &ping.entry_point, "PathPrefix(`/ping`)", LAST);
        dynamic.routers.extend(router.map(Shared::from));
    }
    for point in entry_points.values() {
        if let Some(redirection) = &point.options.redirection {
            redirect(point, redirection, entry_points, &mut dynamic);
        }
    }
    dynamic
}

/// In front of every router of a file.
const LAST: i64 = i64::MAX;

/// `http.redirections.entryPoint`: under Traefik's names, a router of every host to nobody, behind
/// a middleware that answers.
fn redirect(
    point: &EntryPoint,
    redirection: &Redirection,
    entry_points: &BTreeMap<String, EntryPoint>,
    dynamic: &mut Dynamic,
) {
    let port = match redirection.to.strip_prefix(':') {
        Some(port) => port.parse().ok(),
        None => entry_points.get(&redirection.to).map(|to| to.port),
    };
    let Some(port) = port else { return };
    let to = redirection.to.trim_start_matches(':');
    let middleware = format!("redirect-{}-to-{to}", point.name);
    let settings = RedirectScheme::to(&redirection.scheme, Some(port), redirection.permanent);
    dynamic.middlewares.push(Middleware {
        id: Id::new(Protocol::Http, &middleware, Id::INTERNAL),
        settings: Arc::new(middleware::Settings::RedirectScheme(settings)),
    });
    let name = format!("{}-to-{to}", point.name);
    let router = router(&name, &point.name, "HostRegexp(`^.+$`)", redirection.priority);
    dynamic.routers.extend(router.map(|router| {
        let (service, middlewares) = ("noop".to_owned(), vec![middleware]);
        RouterConfig { service, middlewares, ..router }.into()
    }));
}

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
