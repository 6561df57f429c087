//! Who has which entry point where HTTP, TCP and the kernel meet, and what entry points add.

use super::*;
use crate::{
    model::{EntryPointOptions, Middleware, Path, PingSettings, RouterTls, Transport},
    rule::{Rule, Syntax},
};

fn http_id(name: &str) -> Id {
    Id::new(Protocol::Http, name, "file")
}

fn http(name: &str, entry_points: &[&str], service: &str) -> RouterConfig {
    let rule = Rule::parse("Host(`a.example`)", Protocol::Http, Syntax::Auto).unwrap();
    RouterConfig {
        id: http_id(name),
        rule: Some(Arc::new(rule)),
        ..router(name, entry_points, service)
    }
}

/// As [`Case::web`] with an HTTP service `app` and no routers.
fn case() -> Case {
    let mut case = Case::web(&[A]);
    case.dynamic.routers.clear();
    case.dynamic.services.push(Service { id: http_id("app"), ..service("app", &[B]) }.into());
    case
}

fn options(case: &mut Case, name: &str, edit: impl FnOnce(&mut EntryPointOptions)) {
    let point = case.entry_points.get_mut(name).unwrap();
    edit(Arc::make_mut(&mut point.options));
}

fn prefix(name: &str) -> Middleware {
    let loaded = crate::config::load_bytes(
        std::path::Path::new("lb.yaml"),
        b"http: { middlewares: { a: { addPrefix: { prefix: /a } } } }",
        &Default::default(),
    );
    let settings = Arc::clone(&loaded.unwrap().dynamic.middlewares[0].settings);
    Middleware { id: http_id(name), settings }
}

#[test]
fn an_http_router_goes_through_the_proxy() {
    let mut case = case();
    case.dynamic.routers.push(http("app", &["web"], "app").into());
    let snapshot = case.start().unwrap();
    let router = &snapshot.routers[&http_id("app")];
    assert_eq!((router.path, &*router.why), (Path::Proxy, "HTTP is the proxy's"));
    assert_eq!(router.priority, "Host(`a.example`)".len() as i64);
    assert_eq!(case.faults(), [""; 0]);
}

#[test]
fn many_share_an_entry_point_in_the_proxy() {
    let mut case = case();
    case.dynamic
        .routers
        .extend(["a", "b", "c"].map(|name| http(name, &["web"], "app")).map(Shared::from));
    let snapshot = case.start().unwrap();
    assert!(snapshot.routers.values().all(|router| router.entry_points == ["web"]));
    assert_eq!((snapshot.routers.len(), case.faults()), (3, vec![]));
}

#[test]
fn the_kernel_gives_way_to_a_router_that_names_its_entry_point() {
    let mut case = case();
    case.dynamic
        .routers
        .extend([http("app", &["web"], "app"), router("web", &["web"], "web")].map(Shared::from));
    let snapshot = case.start().unwrap();
    let router = &snapshot.routers[&service_id("web")];
    assert_eq!(router.path, Path::Proxy);
    assert_eq!(router.why, "shares entry point \"web\" with http/app@file");
    assert_eq!(snapshot.routers[&http_id("app")].entry_points, ["web"]);
}

#[test]
fn the_kernel_keeps_what_it_was_told_to_serve() {
    let mut case = case();
    let pg = RouterConfig { datapath: PathChoice::Kernel, ..router("web", &["web"], "web") };
    case.dynamic.routers.extend([http("app", &["web", "any"], "app"), pg].map(Shared::from));
    let snapshot = case.start().unwrap();
    assert_eq!(snapshot.routers[&service_id("web")].path, Path::Kernel);
    let app = &snapshot.routers[&http_id("app")];
    assert_eq!(app.entry_points, ["any"]);
    assert_eq!(app.why, "HTTP is the proxy's; tcp/web@file has web whole, in the kernel");
}

#[test]
fn a_router_that_is_left_with_nothing_is_off() {
    let mut case = case();
    let pg = RouterConfig { datapath: PathChoice::Kernel, ..router("web", &["web"], "web") };
    case.dynamic.routers.extend([http("app", &["web"], "app"), pg].map(Shared::from));
    let snapshot = case.start().unwrap();
    assert_eq!(snapshot.routers.len(), 1);
    let fault = "lb.yaml:7:5: http.routers.app.entryPoints: router tcp/web@file has entry point \
                 \"web\" whole, in the kernel; give one of them another entry point, or that one \
                 `datapath: proxy`";
    assert_eq!(case.faults(), [fault]);
}

#[test]
fn a_router_without_entry_points_leaves_the_kernels_alone() {
    let mut case = case();
    case.dynamic
        .routers
        .extend([http("app", &[], "app"), router("web", &["web"], "web")].map(Shared::from));
    let snapshot = case.start().unwrap();
    assert_eq!(snapshot.routers[&service_id("web")].path, Path::Kernel);
    assert_eq!(snapshot.routers[&http_id("app")].entry_points, ["any", "local"]);
    assert_eq!(snapshot.routers[&http_id("app")].why, "HTTP is the proxy's");
}

#[test]
fn a_router_without_entry_points_has_the_default_ones() {
    let mut case = case();
    options(&mut case, "any", |options| options.as_default = true);
    case.dynamic.routers.push(http("app", &[], "app").into());
    let snapshot = case.start().unwrap();
    assert_eq!(snapshot.routers[&http_id("app")].entry_points, ["any"]);
}

#[test]
fn a_tcp_router_that_takes_all_is_asked_last() {
    let mut case = case();
    case.dynamic
        .routers
        .extend([http("app", &["web"], "app"), router("web", &["web"], "web")].map(Shared::from));
    let snapshot = case.start().unwrap();
    assert_eq!(snapshot.routers[&service_id("web")].priority, -1);
}

#[test]
fn the_proxy_protocol_needs_the_proxy() {
    let mut case = case();
    options(&mut case, "web", |options| options.proxy_protocol = Some(Default::default()));
    case.dynamic.routers.push(router("web", &["web"], "web").into());
    let snapshot = case.start().unwrap();
    let why = &snapshot.routers[&service_id("web")].why;
    assert_eq!(why, "entry point \"web\" expects the PROXY protocol");
}

#[test]
fn a_bound_of_connections_needs_the_proxy() {
    let mut case = case();
    options(&mut case, "web", |options| options.max_connections = 9);
    case.dynamic.routers.push(router("web", &["web"], "web").into());
    let snapshot = case.start().unwrap();
    let why = &snapshot.routers[&service_id("web")].why;
    assert_eq!(why, "entry point \"web\" has a bound of connections");
}

#[test]
fn an_entry_point_puts_its_middlewares_and_tls_in_front() {
    let mut case = case();
    options(&mut case, "any", |options| {
        options.middlewares = vec!["first@file".into()];
        options.tls = Some(RouterTls::default());
    });
    case.dynamic.middlewares.extend([prefix("first"), prefix("second")]);
    let both = http("both", &["any", "web"], "app");
    case.dynamic.routers.push(RouterConfig { middlewares: vec!["second".into()], ..both }.into());
    case.dynamic.routers.push(http("one", &["any"], "app").into());
    let snapshot = case.start().unwrap();
    let of = |name: &str| &snapshot.routers[&http_id(name)];
    assert_eq!(of("any-both").middlewares, [http_id("first"), http_id("second")]);
    assert_eq!(of("any-both").entry_points, ["any"]);
    assert!(of("any-both").tls.is_some());
    assert_eq!(of("both").middlewares, [http_id("second")]);
    assert_eq!((of("both").entry_points.as_slice(), &of("both").tls), (&["web".into()][..], &None));
    assert_eq!(of("one").middlewares, [http_id("first")]);
    assert_eq!(snapshot.routers.len(), 3);
}

#[test]
fn an_entry_point_without_its_middleware_is_closed_to_http() {
    let mut case = case();
    options(&mut case, "any", |options| options.middlewares = vec!["auth@docker".into()]);
    case.dynamic.routers.push(http("app", &["any"], "app").into());
    let snapshot = case.start().unwrap();
    assert!(snapshot.routers.is_empty());
    let fault = "lb.yaml:7:5: http.routers.app.entryPoints: entry point \"any\" lacks what it \
                 puts in front of its routers: waits: provider \"docker\" has no http middleware \"auth\"";
    assert_eq!(case.faults(), [fault]);
}

#[test]
fn a_part_of_another_provider_is_waited_for() {
    let mut case = case();
    let x = Id::new(Protocol::Http, "x", "docker");
    case.dynamic.services[1].composed =
        Some(crate::model::Composed::Failover { service: x.clone(), fallback: x.clone() });
    case.dynamic.routers.push(http("app", &["web"], "app").into());
    assert!(case.start().unwrap().routers.is_empty());
    let fault = "lb.yaml:7:5: http.routers.app.service: waits: provider \"docker\" has no http \
                 service \"x\"";
    assert_eq!(case.faults(), [fault]);
    let dynamic = Dynamic { services: vec![Service::new(x).into()], ..Dynamic::default() };
    let snapshot = case.tell(Event::Update { provider: "docker".into(), dynamic }).unwrap();
    assert_eq!((snapshot.routers.len(), case.faults()), (1, vec![]));
}

#[test]
fn services_of_two_providers_that_are_made_of_each_other_are_not_routed_to() {
    let mut case = case();
    let x = Id::new(Protocol::Http, "x", "docker");
    let made_of =
        |id: &Id| crate::model::Composed::HighestRandomWeight { services: vec![(id.clone(), 1)] };
    case.dynamic.services[1].composed = Some(made_of(&x));
    case.dynamic.routers.push(http("app", &["web"], "app").into());
    case.start();
    let service = Service { composed: Some(made_of(&http_id("app"))), ..Service::new(x) };
    let dynamic = Dynamic { services: vec![service.into()], ..Dynamic::default() };
    case.tell(Event::Update { provider: "docker".into(), dynamic });
    let fault = "lb.yaml:7:5: http.routers.app.service: waits: service app@file is made of itself";
    assert_eq!(case.faults(), [fault]);
}

#[test]
fn a_transport_of_another_provider_is_waited_for() {
    let mut case = case();
    let t = Id::new(Protocol::Http, "t", "docker");
    case.dynamic.services[1].http.transport = Some(t.clone());
    case.dynamic.routers.push(http("app", &["web"], "app").into());
    case.start();
    let fault = "lb.yaml:7:5: http.routers.app.service: waits: provider \"docker\" has no http \
                 servers transport \"t\"";
    assert_eq!(case.faults(), [fault]);
    let dynamic = Dynamic { transports: vec![Transport::new(t.clone())], ..Dynamic::default() };
    let snapshot = case.tell(Event::Update { provider: "docker".into(), dynamic }).unwrap();
    assert!(snapshot.routers.len() == 1 && snapshot.transports.contains_key(&t));
}

#[test]
fn tls_options_of_another_provider_are_waited_for() {
    let mut case = case();
    let tls = RouterTls { options: Some("strict@docker".into()), ..RouterTls::default() };
    case.dynamic
        .routers
        .push(RouterConfig { tls: Some(Arc::new(tls)), ..http("app", &["any"], "app") }.into());
    assert!(case.start().unwrap().routers.is_empty());
    let fault = "lb.yaml:7:5: http.routers.app.tls.options: waits: provider \"docker\" has no TLS \
                 options \"strict\"";
    assert_eq!(case.faults(), [fault]);
    let mut dynamic = Dynamic::default();
    dynamic.tls.options.insert("strict".into(), Default::default());
    let snapshot = case.tell(Event::Update { provider: "docker".into(), dynamic }).unwrap();
    assert_eq!(snapshot.routers.len(), 1);
}

#[test]
fn tls_options_of_an_entry_point_are_the_main_files() {
    let mut case = case();
    options(&mut case, "any", |options| {
        options.tls = Some(RouterTls { options: Some("strict".into()), ..RouterTls::default() });
    });
    case.dynamic.tls.options.insert("strict".into(), Default::default());
    case.start();
    let id = Id::new(Protocol::Http, "app", "docker");
    let service = Service::new(id.clone());
    let router = RouterConfig { id: id.clone(), ..http("app", &["any"], "app") };
    let dynamic = Dynamic {
        routers: vec![router.into()],
        services: vec![service.into()],
        ..Dynamic::default()
    };
    let snapshot = case.tell(Event::Update { provider: "docker".into(), dynamic }).unwrap();
    let tls = snapshot.routers[&id].tls.as_ref().unwrap();
    assert_eq!(tls.options.as_deref(), Some("strict@file"));
}

#[test]
fn a_name_that_resolves_leaves_the_routers_as_they_are() {
    let mut case = Case::web(&["db:80"]);
    let before = Arc::clone(&case.reconciler.snapshot().routers);
    assert_eq!(case.faults().len(), 1);
    let after = case.resolve("db", &["10.0.0.9"]).unwrap();
    assert!(Arc::ptr_eq(&before, &after.routers));
    assert_eq!((case.faults(), case.backends().len()), (vec![], 1));
}

#[test]
fn services_of_lbs_own_are_there() {
    let mut case = case();
    case.dynamic.routers.push(http("api", &["web"], "api@internal").into());
    let snapshot = case.start().unwrap();
    assert_eq!(snapshot.routers[&http_id("api")].service.qualified(), "api@internal");
}

#[test]
fn ping_has_a_router_where_it_is_asked_for() {
    let mut case = case();
    let ping = PingSettings { entry_point: "any".into(), manual_routing: false };
    let settings = Box::new(Settings { ping: Some(ping), ..Settings::default() });
    let entry_points = case.entry_points.clone();
    let snapshot = case.tell(Event::Static { settings, entry_points }).unwrap();
    let router = &snapshot.routers[&Id::new(Protocol::Http, "ping", "internal")];
    assert_eq!(router.entry_points, ["any"]);
    assert_eq!(router.service.qualified(), "ping@internal");
    assert_eq!(router.rule.as_ref().unwrap().text(), "PathPrefix(`/ping`)");
}

#[test]
fn a_redirection_is_a_router_with_a_middleware() {
    let mut case = case();
    options(&mut case, "web", |options| {
        options.redirection = Some(crate::model::Redirection {
            to: "any".into(),
            scheme: "https".into(),
            permanent: true,
            priority: i64::MAX - 1,
        });
    });
    let snapshot = case.start().unwrap();
    let router = &snapshot.routers[&Id::new(Protocol::Http, "web-to-any", "internal")];
    assert_eq!(
        (router.entry_points.as_slice(), router.priority),
        (&["web".into()][..], i64::MAX - 1)
    );
    assert_eq!(router.service.qualified(), "noop@internal");
    let middleware = &snapshot.middlewares[&router.middlewares[0]];
    assert_eq!(middleware.id.qualified(), "redirect-web-to-any@internal");
    assert_eq!(middleware.settings.kind(), "redirectScheme");
    assert_eq!(case.faults(), [""; 0]);
}

#[test]
fn routers_stay_the_same_through_a_verdict() {
    let mut case = Case::checked(&[A]);
    let before = Arc::clone(&case.reconciler.snapshot().routers);
    let after = case.verdict(A, BackendState::Down).unwrap();
    assert!(Arc::ptr_eq(&before, &after.routers));
}

#[test]
fn middlewares_and_transports_keep_their_arcs() {
    let mut case = case();
    case.dynamic.middlewares.push(prefix("a"));
    case.dynamic.transports.push(Transport::new(http_id("t")));
    let before = case.start().unwrap();
    case.dynamic.routers.push(http("app", &["web"], "app").into());
    let after = case.reload().unwrap();
    assert!(Arc::ptr_eq(&before.middlewares[&http_id("a")], &after.middlewares[&http_id("a")]));
    assert!(Arc::ptr_eq(&before.transports[&http_id("t")], &after.transports[&http_id("t")]));
}

#[test]
fn certificates_stand_under_their_provider() {
    let mut case = case();
    case.dynamic.tls.options.insert("strict".into(), Default::default());
    let snapshot = case.start().unwrap();
    assert!(snapshot.tls["file"].options.contains_key("strict"));
    case.dynamic.tls = Default::default();
    assert!(case.reload().unwrap().tls.is_empty());
}
