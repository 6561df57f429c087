//! Several instances of one provider.

use super::{assemble, assemble_by, dynamic, instance, other};
use crate::{
    model::Exposure,
    provider::discovery::{Assembled, Health, Instance, Reason},
};

const RULE: (&str, &str) = ("traefik.http.routers.api.rule", "Host(`a.example`)");

/// `address*weight` of the only service.
fn servers(assembled: &Assembled) -> Vec<String> {
    let services = dynamic(assembled).services;
    assert_eq!(services.len(), 1, "{services:?}");
    services[0].servers.iter().map(|one| format!("{}*{}", one.address(), one.weight)).collect()
}

fn reasons(assembled: &Assembled) -> Vec<(&str, Reason)> {
    let of = assembled.skipped.iter();
    of.map(|skipped| (skipped.instance.as_str(), skipped.reason)).collect()
}

const SECOND: &str = "docker container \"api-2\"";

#[test]
fn instances_of_one_service_are_pooled_each_with_its_weight() {
    let weight = ("traefik.http.services.api.loadbalancer.server.weight", "3");
    let one = other(1, &[RULE]);
    let pooled = assemble(&[one, other(2, &[RULE, weight])]);
    assert_eq!(servers(&pooled), ["10.0.0.1:80*1", "10.0.0.2:80*3"]);
    assert_eq!((pooled.serving, dynamic(&pooled).routers.len()), (2, 1));
    assert_eq!((pooled.faults, pooled.skipped), (vec![], vec![]));
}

#[test]
fn services_that_differ_otherwise_conflict_and_the_older_one_stays() {
    let check = ("traefik.http.services.api.loadbalancer.healthcheck.path", "/up");
    let pooled = assemble(&[other(2, &[RULE, check]), other(1, &[RULE])]);
    assert_eq!(servers(&pooled), ["10.0.0.1:80*1"]);
    assert_eq!(reasons(&pooled), [(SECOND, Reason::Conflict)]);
    let fault = pooled.faults[0].to_string();
    assert!(fault.contains("docker container \"api-2\": ") && fault.contains("api-1"), "{fault}");
}

#[test]
fn one_that_leaves_gives_way_to_a_newer_one_that_differs() {
    let check = ("traefik.http.services.api.loadbalancer.healthcheck.path", "/up");
    let leaving = Instance { leaving: true, ..other(1, &[RULE]) };
    let pooled = assemble(&[leaving, other(2, &[RULE, check])]);
    assert_eq!(servers(&pooled), ["10.0.0.2:80*1"]);
}

#[test]
fn routers_that_differ_conflict() {
    let rule = ("traefik.http.routers.api.rule", "Host(`b.example`)");
    let pooled = assemble(&[other(1, &[RULE]), other(2, &[rule])]);
    assert_eq!(reasons(&pooled), [(SECOND, Reason::Conflict)]);
    assert!(pooled.faults[0].message.contains("router \"api\""), "{:?}", pooled.faults);
}

#[test]
fn middlewares_that_differ_conflict() {
    let prefix = |prefix| ("traefik.http.middlewares.m.addprefix.prefix", prefix);
    let (one, two) = (other(1, &[RULE, prefix("/a")]), other(2, &[RULE, prefix("/b")]));
    assert_eq!(reasons(&assemble(&[one, two])), [(SECOND, Reason::Conflict)]);
}

#[test]
fn two_at_one_address_conflict() {
    let two = Instance { address: Some("10.0.0.1".to_owned()), ..other(2, &[RULE]) };
    let pooled = assemble(&[other(1, &[RULE]), two]);
    assert_eq!(servers(&pooled), ["10.0.0.1:80*1"]);
    assert_eq!(reasons(&pooled), [(SECOND, Reason::Conflict)]);
}

#[test]
fn a_bad_label_takes_out_its_own_instance_by_name() {
    let bad = ("traefik.http.routers.api.rul", "Host(`a.example`)");
    let pooled = assemble(&[other(1, &[RULE]), other(2, &[bad])]);
    assert_eq!(servers(&pooled), ["10.0.0.1:80*1"]);
    assert_eq!(reasons(&pooled), [(SECOND, Reason::BadLabel)]);
    assert_eq!(
        pooled.faults[0].to_string(),
        "docker container \"api-2\": traefik.http.routers.api.rul: unknown key; did you mean \"rule\"?"
    );
}

#[test]
fn one_that_is_being_stopped_takes_nothing_new() {
    let weight = ("traefik.http.services.api.loadbalancer.server.weight", "3");
    let leaving = Instance { leaving: true, ..other(2, &[RULE, weight]) };
    assert_eq!(
        servers(&assemble(&[other(1, &[RULE]), leaving])),
        ["10.0.0.1:80*1", "10.0.0.2:80*0"]
    );
}

#[test]
fn an_instance_that_is_as_it_was_says_the_same_again() {
    let rules = crate::provider::discovery::Rules::new("docker", &Exposure::default());
    let mut assembler = crate::provider::discovery::Assembler::new(rules);
    let first = dynamic(&assembler.assemble(&[other(1, &[RULE]), other(2, &[RULE])]));
    let again = dynamic(&assembler.assemble(&[other(2, &[RULE]), other(1, &[RULE])]));
    assert_eq!(first, again);
}

macro_rules! skipped {
    ($($test:ident: $exposure:expr, $instance:expr => $reason:ident, $detail:expr;)+) => {
        $(#[test]
        fn $test() {
            let assembled = assemble_by(&$exposure, &[$instance]);
            assert_eq!((assembled.serving, assembled.skipped.len()), (0, 1), "{assembled:?}");
            let skipped = &assembled.skipped[0];
            assert_eq!(skipped.reason, Reason::$reason, "{skipped:?}");
            assert!(skipped.detail.contains($detail), "{skipped:?}");
        })+
    };
}

fn not_by_default() -> Exposure {
    Exposure { exposed_by_default: false, ..Exposure::default() }
}

fn constrained(text: &str) -> Exposure {
    Exposure { constraints: text.to_owned(), ..Exposure::default() }
}

skipped! {
    skipped_where_not_enabled: not_by_default(), instance(&[RULE]) => NotEnabled, "";
    skipped_where_disabled: Exposure::default(), instance(&[("traefik.enable", "false")]) => NotEnabled, "";
    skipped_where_disabled_by_lb: Exposure::default(), instance(&[("lb.enable", "false")]) => NotEnabled, "";
    skipped_where_enable_is_no_boolean: Exposure::default(), instance(&[("traefik.enable", "yes")]) => BadLabel, "yes";
    skipped_by_constraint: constrained("Label(`env`, `prod`)"), instance(&[("env", "dev")]) => Constraint, "";
    skipped_by_tag: constrained("Tag(`prod`)"), instance(&[]) => Constraint, "";
    skipped_where_unhealthy: Exposure::default(),
        Instance { health: Health::Bad("unhealthy".into()), ..instance(&[]) } => Unhealthy, "unhealthy";
    skipped_without_address: Exposure::default(),
        Instance { address: None, unreachable: "not in network \"web\"".into(), ..instance(&[]) }
        => NoAddress, "not in network";
    skipped_without_port: Exposure::default(), Instance { tcp: vec![], ..instance(&[]) } => NoPort, "server.port";
    skipped_with_a_bad_port: Exposure::default(),
        instance(&[("traefik.http.services.a.loadbalancer.server.port", "http")]) => BadLabel, "expected a port";
    skipped_with_two_services_and_a_router_that_names_none: Exposure::default(),
        instance(&[RULE, ("traefik.http.services.a.loadbalancer.server.port", "1"),
            ("traefik.http.services.b.loadbalancer.server.port", "2")]) => BadLabel, "a, b";
    skipped_where_the_template_fails:
        Exposure { default_rule: "{{ index (splitList \".\" .Name) 7 }}".into(), ..Exposure::default() },
        instance(&[]) => BadLabel, "defaultRule";
}

#[test]
fn unhealthy_ones_keep_their_router_where_empty_services_are_allowed() {
    let exposure = Exposure { allow_empty_services: true, ..Exposure::default() };
    let sick = Instance { health: Health::Bad("starting".to_owned()), ..instance(&[RULE]) };
    let assembled = assemble_by(&exposure, &[sick]);
    assert_eq!(servers(&assembled), Vec::<String>::new());
    assert_eq!(dynamic(&assembled).routers.len(), 1);
}

#[test]
fn one_that_brings_middlewares_alone_needs_no_port() {
    let labels = [("traefik.http.middlewares.m.compress", "true")];
    let assembled = assemble(&[Instance { tcp: vec![], ..instance(&labels) }]);
    let dynamic = dynamic(&assembled);
    assert_eq!((dynamic.middlewares.len(), dynamic.services.len()), (1, 0));
}

#[test]
fn a_router_that_names_what_is_nowhere_is_off_alone() {
    let missing = ("traefik.http.routers.b.middlewares", "nowhere");
    let both = [RULE, ("traefik.http.routers.b.rule", "Host(`b.example`)"), missing];
    let routers = dynamic(&assemble(&[instance(&both)])).routers;
    assert_eq!(routers.iter().map(|one| one.id.name.as_str()).collect::<Vec<_>>(), ["api"]);
}

#[test]
fn a_router_at_an_entry_point_that_is_nowhere_is_off_alone() {
    let nowhere = ("traefik.http.routers.b.entrypoints", "nowhere");
    let both = [RULE, ("traefik.http.routers.b.rule", "Host(`b.example`)"), nowhere];
    let routers = dynamic(&assemble(&[instance(&both)])).routers;
    assert_eq!(routers.iter().map(|one| one.id.name.as_str()).collect::<Vec<_>>(), ["api"]);
}
