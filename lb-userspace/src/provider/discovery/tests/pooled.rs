//! Several instances of one provider.

use proptest::prelude::*;

use super::{assemble, assemble_by, dynamic, instance, other};
use crate::{
    model::{Exposure, Shared},
    provider::discovery::{Assembled, Assembler, Health, Instance, Reason, Rules, pool::pool},
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
    let mut assembler = Assembler::new(Rules::new("docker", &Exposure::default()));
    let [one, two] = [1, 2].map(|n| Shared::from(other(n, &[RULE])));
    let first = dynamic(&assembler.assemble([&one, &two]));
    let again = dynamic(&assembler.assemble([&two, &one]));
    assert_eq!(first, again);
}

#[test]
fn what_has_nothing_to_do_with_a_change_stays_the_same_object() {
    let mut assembler = Assembler::new(Rules::new("docker", &Exposure::default()));
    let of = |n, service: &str, port| {
        let service = service.to_owned();
        Shared::from(Instance { service, tcp: vec![port], ..other(n, &[]) })
    };
    let before = assembler.assemble(&[of(1, "api", 80), of(2, "api", 80), of(3, "web", 80)]);
    let after = assembler.assemble(&[of(1, "api", 80), of(2, "api", 81), of(3, "web", 80)]);
    let same = |n: usize| {
        let [before, after] = [&before, &after].map(|one| &one.document);
        (before.services[n].is(&after.services[n]), before.routers[n].is(&after.routers[n]))
    };
    assert_eq!([same(0), same(1)], [(false, true), (true, true)]);
}

prop_compose! {
    /// Few ids, services, names and addresses, so that instances share and contradict.
    fn some()(
        (id, since, leaving) in (0u8..6, 0u8..3, prop::bool::weighted(0.2)),
        (address, service) in (0u8..4, 0u8..3),
        labels in prop::collection::btree_map(0usize..LABELS.len(), 0usize..3, 0..4),
    ) -> Instance {
        let labels = labels.iter().map(|(key, value)| {
            let (key, values) = LABELS[*key];
            (key.to_owned(), values[*value].to_owned())
        });
        Instance {
            id: id.to_string(),
            origin: format!("container {id}"),
            service: format!("s{service}"),
            address: (address > 0).then(|| format!("10.0.0.{address}")),
            labels: labels.collect(),
            since: since.into(),
            leaving,
            ..other(id, &[])
        }
    }
}

const LABELS: [(&str, [&str; 3]); 6] = [
    ("traefik.http.routers.r.rule", ["Host(`a.example`)", "Host(`b.example`)", "Host(`"]),
    ("traefik.http.routers.r.service", ["s0", "s1", "elsewhere"]),
    ("traefik.http.services.s0.loadbalancer.server.weight", ["1", "2", "x"]),
    ("traefik.http.services.s1.loadbalancer.healthcheck.path", ["/a", "/b", "/a"]),
    ("traefik.http.middlewares.m.addprefix.prefix", ["/a", "/b", "/a"]),
    ("traefik.enable", ["true", "false", "maybe"]),
];

/// Everything that it comes to, in no order.
fn words(assembled: &Assembled) -> Vec<String> {
    let Assembled { document, faults, skipped, serving } = assembled;
    let mut words: Vec<String> = faults.iter().map(|fault| fault.to_string()).collect();
    words.extend(document.routers.iter().map(|one| format!("{:?}", one.config)));
    words.extend(document.services.iter().map(|one| format!("{:?}", one.service)));
    words.extend(document.middlewares.iter().map(|one| format!("{one:?}")));
    words.extend(skipped.iter().map(|one| format!("{one:?}")));
    words.push(format!("{serving} serve"));
    words.sort();
    words
}

proptest! {
    /// What is remembered, and that instances are put together in groups, changes nothing.
    #[test]
    fn states_one_after_the_other_come_to_what_each_does_by_itself(
        states in prop::collection::vec(prop::collection::vec(some(), 0..8), 1..5),
    ) {
        let rules = Rules::new("docker", &Exposure::default());
        let mut assembler = Assembler::new(rules.clone());
        for state in states {
            let state: Vec<_> = state.into_iter().map(Shared::from).collect();
            let told = words(&assembler.assemble(&state));
            let whole = pool(&Assembler::new(rules.clone()).read(&state));
            prop_assert_eq!(told, words(&whole));
        }
    }
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
