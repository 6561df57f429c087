//! Services made of services.

use std::collections::BTreeMap;

use super::*;
use crate::{
    model::{Composed, Cookie},
    proxy::Head,
};

fn id(name: &str) -> Id {
    Id::new(Protocol::Http, name, "file")
}

/// Services `a`, `b` and `c` of one server each, of which some are down, and `top` made of them.
fn services(top: Composed, are_down: &[&str]) -> BTreeMap<Id, Arc<Service>> {
    let leaf = |name: &str| {
        let mut leaf = service(Algorithm::RoundRobin, &[1]);
        leaf.id = id(name);
        if are_down.contains(&name) {
            leaf.backends[0].health = down();
        }
        leaf
    };
    let top = Service { composed: Some(top), ..Service::new(id("top")) };
    let all = [leaf("a"), leaf("b"), leaf("c"), top];
    all.into_iter().map(|service| (service.id.clone(), Arc::new(service))).collect()
}

fn made(top: Composed, are_down: &[&str]) -> Services {
    Services::new(&services(top, are_down), None)
}

fn resolve<'a>(services: &'a Services, key: &Key<'_>) -> Result<Resolved<'a>, NoServer> {
    services.get(&id("top")).expect("top").resolve(key)
}

fn name(services: &Services, key: &Key<'_>) -> String {
    resolve(services, key).expect("a group").group.id().name.clone()
}

fn weighted(weights: [u32; 3], sticky: Option<Cookie>) -> Composed {
    let services = ["a", "b", "c"].map(id).into_iter().zip(weights).collect();
    Composed::Weighted { services, sticky }
}

#[test]
fn weights_are_exact_over_a_turn() {
    let services = made(weighted([90, 10, 0], None), &[]);
    let mut counts = BTreeMap::<String, usize>::new();
    for _ in 0..100 {
        *counts.entry(name(&services, &key())).or_default() += 1;
    }
    assert_eq!(counts, BTreeMap::from([("a".into(), 90), ("b".into(), 10)]));
}

#[test]
fn parts_that_are_not_available_are_passed_over() {
    let services = made(weighted([1, 1, 1], None), &["b"]);
    let names: Vec<String> = (0..4).map(|_| name(&services, &key())).collect();
    assert!(names == ["a", "c", "a", "c"], "{names:?}");
    let none = made(weighted([1, 1, 1], None), &["a", "b", "c"]);
    assert_eq!(resolve(&none, &key()).map(|_| ()), Err(NoServer::None));
    assert!(!none.get(&id("top")).expect("top").is_available());
}

#[test]
fn a_rotation_goes_on_over_reloads() {
    let top = || services(weighted([1, 1, 1], None), &[]);
    let first = Services::new(&top(), None);
    assert_eq!(name(&first, &key()), "a");
    let second = Services::new(&top(), Some(&first));
    assert_eq!(name(&second, &key()), "b");
}

#[test]
fn a_sticky_part_is_found_again_while_it_is_available() {
    let cookie = Cookie { name: Some("part".into()), ..Cookie::default() };
    let services = made(weighted([1, 1, 0], Some(cookie.clone())), &[]);
    let mut head = Head::request("GET", "/");
    let resolved = resolve(&services, &Key { head: Some(&head), ..key() }).expect("a group");
    let first = resolved.group.id().name.clone();
    let set = resolved.set_cookies[0].to_owned();
    head.add("Cookie", set.split(';').next().expect("a pair"));
    for _ in 0..5 {
        let resolved = resolve(&services, &Key { head: Some(&head), ..key() }).expect("a group");
        assert_eq!((&resolved.group.id().name, resolved.set_cookies.len()), (&first, 0));
    }
    let gone = made(weighted([1, 1, 0], Some(cookie)), &[&first]);
    let resolved = resolve(&gone, &Key { head: Some(&head), ..key() }).expect("a group");
    assert_ne!(resolved.group.id().name, first);
    assert_eq!(resolved.set_cookies.len(), 1);
}

#[test]
fn the_fallback_answers_while_the_main_one_is_down() {
    let top = || Composed::Failover { service: id("a"), fallback: id("b") };
    assert_eq!(name(&made(top(), &[]), &key()), "a");
    assert_eq!(name(&made(top(), &["a"]), &key()), "b");
    assert!(!made(top(), &["a", "b"]).get(&id("top")).expect("top").is_available());
}

#[test]
fn a_client_stays_with_its_part_by_highest_random_weight() {
    let top = || Composed::HighestRandomWeight {
        services: vec![(id("a"), 1), (id("b"), 1), (id("c"), 0)],
    };
    let all = made(top(), &[]);
    let less = made(top(), &["b"]);
    let mut of_a = 0;
    for n in 0..1_000 {
        let before = name(&all, &client(n));
        assert_eq!(before, name(&all, &client(n)));
        assert_eq!(name(&less, &client(n)), "a");
        of_a += usize::from(before == "a");
    }
    assert!((420..580).contains(&of_a), "{of_a}");
}

#[test]
fn mirrors_get_their_percentage_exactly() {
    let services = made(
        Composed::Mirroring {
            service: id("a"),
            mirror_body: true,
            max_body: Some(1_000),
            mirrors: vec![(id("b"), 10), (id("c"), 100)],
        },
        &[],
    );
    let mut counts = [0, 0];
    for _ in 0..1_000 {
        let resolved = resolve(&services, &key()).expect("a group");
        assert_eq!(resolved.group.id().name, "a");
        let [mirrors] = resolved.mirrors[..] else { panic!("no mirrors") };
        assert_eq!((mirrors.mirror_body, mirrors.max_body), (true, Some(1_000)));
        for node in mirrors.take() {
            let group = node.resolve(&key()).expect("a group").group;
            counts[usize::from(group.id().name == "c")] += 1;
        }
    }
    assert_eq!(counts, [100, 1_000]);
}

#[test]
fn a_service_that_is_part_of_itself_is_left_out() {
    let top = Composed::Failover { service: id("top"), fallback: id("a") };
    assert!(made(top, &[]).get(&id("top")).is_none());
}

#[test]
fn what_has_not_changed_is_taken_over() {
    let before = services(weighted([1, 1, 1], None), &[]);
    let first = Services::new(&before, None);
    let second = Services::new(&before, Some(&first));
    let same = first.groups().zip(second.groups()).all(|(a, b)| Arc::ptr_eq(a, b));
    assert!(same && second.groups().count() == 3);
}
