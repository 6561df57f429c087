//! Services made of services.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use super::*;
use crate::{
    model::{Composed, Cookie},
    proxy::Head,
};

/// A service that is there or not.
#[derive(Debug)]
struct Fake {
    name: String,
    is_up: AtomicBool,
}

impl Part for Arc<Fake> {
    fn is_available(&self) -> bool {
        self.is_up.load(Relaxed)
    }
}

fn id(name: &str) -> Id {
    Id::new(Protocol::Http, name, "file")
}

fn made(composed: &Composed, are_down: &[&str]) -> Composition<Arc<Fake>> {
    again(composed, are_down, None)
}

fn again(
    composed: &Composed,
    are_down: &[&str],
    old: Option<&Composition<Arc<Fake>>>,
) -> Composition<Arc<Fake>> {
    let part = |id: &Id| {
        let is_up = AtomicBool::new(!are_down.contains(&id.name.as_str()));
        Some(Arc::new(Fake { name: id.name.to_string(), is_up }))
    };
    Composition::new(composed, &id("top"), old, part).expect("all parts")
}

fn name(composition: &Composition<Arc<Fake>>, key: &Key<'_>) -> String {
    composition.choose(key).expect("a part").part.name.clone()
}

fn weighted(weights: [u32; 3], sticky: Option<Cookie>) -> Composed {
    let services = ["a", "b", "c"].map(id).into_iter().zip(weights).collect();
    Composed::Weighted { services, sticky }
}

#[test]
fn weights_are_exact_over_a_turn() {
    let composition = made(&weighted([0, 10, 90], None), &[]);
    let mut counts = BTreeMap::<String, usize>::new();
    for _ in 0..100 {
        *counts.entry(name(&composition, &key())).or_default() += 1;
    }
    assert_eq!(counts, BTreeMap::from([("b".into(), 10), ("c".into(), 90)]));
}

#[test]
fn parts_that_are_not_available_are_passed_over() {
    let composition = made(&weighted([1, 1, 1], None), &["b"]);
    let names: Vec<String> = (0..4).map(|_| name(&composition, &key())).collect();
    assert_eq!(names, ["a", "c", "a", "c"]);
    let none = made(&weighted([1, 1, 1], None), &["a", "b", "c"]);
    assert!(!none.is_available() && none.choose(&key()).is_none());
    let weightless = made(&weighted([0, 0, 0], None), &[]);
    assert!(!weightless.is_available() && weightless.choose(&key()).is_none());
}

#[test]
fn a_rotation_goes_on_over_reloads() {
    let first = made(&weighted([1, 1, 1], None), &[]);
    assert_eq!(name(&first, &key()), "a");
    let second = again(&weighted([1, 1, 1], None), &[], Some(&first));
    assert_eq!(name(&second, &key()), "b");
}

#[test]
fn a_sticky_part_is_found_again_while_it_is_available() {
    let cookie = Cookie { name: Some("part".into()), ..Cookie::default() };
    let composition = made(&weighted([1, 1, 0], Some(cookie.clone())), &[]);
    let mut head = Head::request("GET", "/");
    let chosen = composition.choose(&Key { head: Some(&head), ..key() }).expect("a part");
    let first = chosen.part.name.clone();
    let set = chosen.set_cookie.expect("a cookie");
    head.add("Cookie", set.split(';').next().expect("a pair"));
    let with_session = Key { head: Some(&head), ..key() };
    for _ in 0..5 {
        let chosen = composition.choose(&with_session).expect("a part");
        assert_eq!((&chosen.part.name, chosen.set_cookie), (&first, None));
    }
    let drained = made(&weighted([0, 1, 1], Some(cookie.clone())), &[]);
    assert_eq!(name(&drained, &with_session), first);
    let gone = made(&weighted([1, 1, 0], Some(cookie)), &[&first]);
    let chosen = gone.choose(&with_session).expect("a part");
    assert!(chosen.part.name != first && chosen.set_cookie.is_some());
}

#[test]
fn the_fallback_answers_while_the_main_one_is_down() {
    let composed = Composed::Failover { service: id("a"), fallback: id("b") };
    assert_eq!(name(&made(&composed, &[]), &key()), "a");
    assert_eq!(name(&made(&composed, &["a"]), &key()), "b");
    assert!(!made(&composed, &["a", "b"]).is_available());
}

#[test]
fn a_client_stays_with_its_part_by_highest_random_weight() {
    let services = vec![(id("a"), 1), (id("b"), 1), (id("c"), 0)];
    let composed = Composed::HighestRandomWeight { services };
    let (all, less) = (made(&composed, &[]), made(&composed, &["b"]));
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
    let composed = |mirror_body| Composed::Mirroring {
        service: id("a"),
        mirror_body,
        max_body: Some(1_000),
        mirrors: vec![(id("b"), 10), (id("c"), 100)],
    };
    let composition = made(&composed(true), &[]);
    assert_eq!(composition.parts().count(), 3);
    let mut counts = BTreeMap::<String, usize>::new();
    for _ in 0..1_000 {
        let chosen = composition.choose(&key()).expect("a part");
        assert_eq!(chosen.part.name, "a");
        let mirrors = chosen.mirrors.expect("mirrors");
        assert_eq!(mirrors.max_body, Some(1_000));
        for part in mirrors.take() {
            *counts.entry(part.name.clone()).or_default() += 1;
        }
    }
    assert_eq!(counts, BTreeMap::from([("b".into(), 100), ("c".into(), 1_000)]));
    let without = made(&composed(false), &[]);
    let chosen = without.choose(&key()).expect("a part");
    assert_eq!(chosen.mirrors.and_then(|mirrors| mirrors.max_body), Some(0));
}

#[test]
fn without_all_its_parts_there_is_none() {
    let part = |id: &Id| {
        let fake = Fake { name: id.name.to_string(), is_up: AtomicBool::new(true) };
        (id.name != "b").then(|| Arc::new(fake))
    };
    assert!(Composition::new(&weighted([1, 1, 1], None), &id("top"), None, part).is_none());
}
