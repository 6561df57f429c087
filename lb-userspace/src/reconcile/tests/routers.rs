//! Which routers are in force, on what, and why not.

use super::*;
use crate::{
    model::{Algorithm, Fault, Path, Scheme},
    rule::{Rule, Syntax},
};

/// A router of a case, changed, and the fault that it comes to.
macro_rules! refused {
    ($($name:ident: $points:expr, $edit:expr => $fault:expr;)+) => {
        $(#[test]
        fn $name() {
            let mut case = Case::web(&[A]);
            case.dynamic.routers = vec![router("web", &$points, "web").into()];
            let edit: fn(&mut RouterConfig) = $edit;
            edit(&mut case.dynamic.routers[0]);
            let snapshot = case.reload().unwrap();
            assert!(snapshot.routers.is_empty());
            assert_eq!(case.faults(), [concat!("lb.yaml:7:5: tcp.routers.web", $fault)]);
        })+
    };
}

refused! {
    an_unknown_entry_point_has_a_hint: ["wbe"], |_| {} =>
        ".entryPoints: no entry point \"wbe\"; did you mean \"web\"?";
    a_udp_entry_point_is_not_for_tcp: ["dns"], |_| {} =>
        ".entryPoints: entry point \"dns\" is udp, the router tcp";
    an_unknown_service_has_a_hint: ["web"], |r| r.service = "wbe@file".into() =>
        ".service: waits: provider \"file\" has no tcp service \"wbe\"; did you mean \"web\"?";
    a_service_of_another_provider_is_waited_for: ["web"], |r| r.service = "web@docker".into() =>
        ".service: waits: provider \"docker\" has no tcp service \"web\"";
    the_kernel_can_not_do_tls: ["web"], |r| {
        (r.tls, r.datapath) = (Some(Arc::default()), PathChoice::Kernel);
    } => ".datapath: the kernel can't serve it: it has TLS";
    the_kernel_can_not_look_into_rules: ["web"], |r| {
        (r.rule, r.datapath) = (Some(sni("db.example.com")), PathChoice::Kernel);
    } => ".datapath: the kernel can't serve it: it has the rule HostSNI(`db.example.com`)";
    the_kernel_can_not_serve_loopback: ["local"], |r| r.datapath = PathChoice::Kernel =>
        ".datapath: the kernel can't serve it: entry point \"local\" is on loopback (127.0.0.1), \
         where no packet comes in";
    a_middleware_of_another_provider_is_waited_for: ["web"], |r| r.middlewares = vec!["a@docker".into()] =>
        ".middlewares: waits: provider \"docker\" has no tcp middleware \"a\"";
}

/// A router of a case, changed, and why the proxy forwards it.
macro_rules! proxied {
    ($($name:ident: $points:expr, $edit:expr => $why:expr;)+) => {
        $(#[test]
        fn $name() {
            let mut case = Case::web(&[A]);
            case.dynamic.routers = vec![router("web", &$points, "web").into()];
            let edit: fn(&mut Dynamic) = $edit;
            edit(&mut case.dynamic);
            let snapshot = case.reload().unwrap();
            assert_eq!(case.faults(), [""; 0]);
            let router = &snapshot.routers[&service_id("web")];
            assert_eq!((router.path, &*router.why), (Path::Proxy, $why));
        })+
    };
}

proxied! {
    tls_needs_the_proxy: ["web"], |d| d.routers[0].tls = Some(Arc::default()) => "it has TLS";
    a_rule_needs_the_proxy: ["web"], |d| d.routers[0].rule = Some(sni("a.example")) =>
        "it has the rule HostSNI(`a.example`)";
    the_proxy_may_be_asked_for: ["web"], |d| d.routers[0].datapath = PathChoice::Proxy =>
        "datapath: proxy";
    a_port_alone_needs_the_proxy: ["any"], |_| {} =>
        "entry point \"any\" (\":81\") has no address of its own (`datapath: kernel` takes every \
         address of the interfaces)";
    loopback_needs_the_proxy: ["web", "local"], |_| {} =>
        "entry point \"local\" is on loopback (127.0.0.1), where no packet comes in";
    an_algorithm_of_the_proxy_needs_it: ["web"], |d| d.services[0].algorithm = Algorithm::P2c =>
        "service web@file has the algorithm p2c, which only the proxy has";
    tls_towards_a_server_needs_the_proxy: ["web"], |d| {
        d.services[0].servers[0].options.scheme = Scheme::Https;
    } => "server 10.0.0.1:80 of service web@file gets TLS";
    a_bound_of_a_server_needs_the_proxy: ["web"], |d| {
        d.services[0].servers[0].options.max_connections = 1;
    } => "server 10.0.0.1:80 of service web@file has a bound of connections";
    a_server_on_this_host_needs_the_proxy: ["web"], |d| {
        d.services[0].servers = vec![server("127.0.0.1:80")];
    } => "server 127.0.0.1:80 of service web@file is this host itself, and packets go only beyond \
          an interface";
}

fn sni(name: &str) -> Arc<Rule> {
    let text = format!("HostSNI(`{name}`)");
    Arc::new(Rule::parse(&text, Protocol::Tcp, Syntax::Auto).unwrap())
}

#[test]
fn a_plain_router_is_the_kernels() {
    let case = Case::web(&[A]);
    let router = &case.reconciler.snapshot().routers[&service_id("web")];
    assert_eq!((router.path, &*router.why), (Path::Kernel, "needs nothing from userspace"));
    assert_eq!(
        (&router.entry_points[..], &router.service),
        (&["web".into()][..], &service_id("web"))
    );
    assert!(case.faults().is_empty());
}

#[test]
fn the_kernel_serves_a_port_alone_when_asked_to() {
    let mut case = Case::web(&[A]);
    case.dynamic.routers = vec![router("web", &["any"], "web").into()];
    case.dynamic.routers[0].datapath = PathChoice::Kernel;
    let snapshot = case.reload().unwrap();
    assert_eq!(snapshot.routers[&service_id("web")].why, "datapath: kernel");
}

#[test]
fn without_entry_points_a_router_has_all_of_its_protocol() {
    let mut case = Case::web(&[A]);
    case.entry_points.remove("local");
    case.dynamic.routers = vec![router("web", &[], "web").into()];
    case.dynamic.routers[0].datapath = PathChoice::Kernel;
    let snapshot = case.start().unwrap();
    assert_eq!(snapshot.routers[&service_id("web")].entry_points, ["any", "web"]);
}

#[test]
fn a_protocol_without_entry_points_is_a_fault() {
    let mut case = Case::web(&[A]);
    case.entry_points.retain(|name, _| name == "dns");
    case.dynamic.routers = vec![router("web", &[], "web").into()];
    case.start().unwrap();
    let fault =
        "lb.yaml:7:5: tcp.routers.web.entryPoints: there is no tcp entry point to take from";
    assert_eq!(case.faults(), [fault]);
}

#[test]
fn an_entry_point_named_twice_counts_once() {
    let mut case = Case::web(&[A]);
    case.dynamic.routers = vec![router("web", &["web", "web"], "web").into()];
    assert!(case.reload().is_none());
}

#[test]
fn the_first_router_by_name_keeps_an_entry_point() {
    let mut case = Case::web(&[A]);
    case.dynamic.routers.insert(0, router("zeta", &["web"], "web").into());
    let snapshot = case.reload().unwrap();
    assert_eq!(snapshot.routers.keys().collect::<Vec<_>>(), [&service_id("web")]);
    let fault = "lb.yaml:7:5: tcp.routers.zeta.entryPoints: router tcp/web@file has entry point \
                 \"web\" already, with the same priority; give one of them a higher `priority` or \
                 another entry point";
    assert_eq!(case.faults(), [fault]);
}

#[test]
fn the_higher_priority_takes_an_entry_point() {
    let mut case = Case::web(&[A]);
    case.dynamic
        .routers
        .push(RouterConfig { priority: 1, ..router("zeta", &["web"], "web") }.into());
    let snapshot = case.reload().unwrap();
    let points = |name: &str| &snapshot.routers[&service_id(name)].entry_points;
    assert_eq!((points("zeta").len(), points("web").len()), (1, 0));
    assert_eq!(
        snapshot.routers[&service_id("web")].why,
        "needs nothing from userspace; tcp/zeta@file has web by its priority"
    );
    assert!(case.faults().is_empty());
}

#[test]
fn a_router_stops_waiting_when_its_service_comes() {
    let mut case = Case::web(&[A]);
    case.dynamic.routers[0].service = "web@docker".into();
    assert_eq!(case.reload().unwrap().routers.len(), 0);
    let id = Id::new(Protocol::Tcp, "web", "docker");
    let service = Service { id: id.clone(), ..service("web", &[B]) };
    let dynamic = Dynamic { services: vec![service.into()], ..Dynamic::default() };
    let snapshot = case.tell(Event::Update { provider: "docker".into(), dynamic }).unwrap();
    assert_eq!(snapshot.routers[&service_id("web")].service, id);
    assert!(snapshot.faults.is_empty());
}

#[test]
fn a_service_on_its_way_out_is_not_routed_to() {
    let mut case = Case::web(&[A]);
    case.dynamic.services.clear();
    let snapshot = case.reload().unwrap();
    assert!(snapshot.routers.is_empty() && !snapshot.services.is_empty());
}

#[test]
fn a_router_of_two_providers_is_a_fault() {
    let mut case = Case::web(&[A]);
    let dynamic = case.dynamic.clone();
    case.tell(Event::Update { provider: "other".into(), dynamic }).unwrap();
    let faults = [
        "other: tcp.services.web: web@file stands twice; the first one is used, rename the other",
        "other: tcp.routers.web: web@file stands twice; the first one is used, rename the other",
    ];
    assert_eq!(case.faults(), faults);
    assert_eq!(case.reconciler.snapshot().routers.len(), 1);
}

#[test]
fn the_faults_of_a_source_are_shown() {
    let mut case = Case::web(&[A]);
    let fault = Fault {
        place: Place { file: "lb.yaml".into(), line: 3, column: 1 },
        path: "tcp.routers.x.rule".into(),
        message: "no".into(),
        hint: None,
        off: None,
    };
    case.dynamic.faults.push(fault.clone());
    assert_eq!(case.reload().unwrap().faults, [fault]);
}
