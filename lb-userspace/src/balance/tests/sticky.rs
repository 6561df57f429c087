//! Sessions that stay with their server.

use super::*;
use crate::{model::Cookie, proxy::Head};

fn sticky(weights: &[u32]) -> Service {
    let cookie = Cookie { name: Some("server_id".into()), secure: true, ..Cookie::default() };
    let http = HttpBalancing { sticky: Some(cookie), ..HttpBalancing::default() };
    with_http(service(Algorithm::RoundRobin, weights), http)
}

/// The head of a request that sends back what a `Set-Cookie` said.
fn with_session(group: &Group, at: usize) -> Head {
    let mut head = Head::request("GET", "/");
    let (_, text) = group.servers()[at].cookie.as_ref().expect("a cookie");
    head.add("Cookie", format!("a=b; {}", text.split(';').next().expect("a pair")));
    head
}

fn of(group: &Group, head: &Head) -> (usize, bool) {
    let ticket = group.pick(&Key { head: Some(head), ..key() }, &[]).expect("a server");
    (number(&ticket), ticket.set_cookie().is_some())
}

#[test]
fn a_new_session_is_told_its_cookie() {
    let group = Group::new(&sticky(&[1, 1]), None);
    let ticket = group.pick(&key(), &[]).expect("a server");
    let text = ticket.set_cookie().expect("a cookie");
    assert!(text.starts_with("server_id=") && text.ends_with("; Path=/; Secure"), "{text}");
    let plain = Group::new(&service(Algorithm::RoundRobin, &[1]), None);
    assert_eq!(plain.pick(&key(), &[]).expect("a server").set_cookie(), None);
}

#[test]
fn a_session_stays_with_its_server() {
    let group = Group::new(&sticky(&[1, 1, 1]), None);
    let head = with_session(&group, 1);
    for _ in 0..10 {
        assert_eq!(of(&group, &head), (1, false));
    }
    let mut stranger = Head::request("GET", "/");
    stranger.add("Cookie", "server_id=123");
    assert!(of(&group, &stranger).1);
}

#[test]
fn a_drained_server_keeps_its_sessions_and_gets_no_new_ones() {
    let before = Group::new(&sticky(&[1, 1]), None);
    let head = with_session(&before, 1);
    for change in [
        |backend: &mut Backend| backend.drained = true,
        |backend: &mut Backend| backend.weight_override = Some(0),
    ] {
        let mut drained = sticky(&[1, 1]);
        change(&mut drained.backends[1]);
        let group = Group::new(&drained, Some(&before));
        assert_eq!(of(&group, &head), (1, false));
        assert_eq!(counts(&group, 2, 4), [4, 0]);
    }
}

#[test]
fn the_sessions_of_a_server_that_is_down_or_removed_move() {
    let before = Group::new(&sticky(&[1, 1]), None);
    let head = with_session(&before, 1);
    for change in [
        |backend: &mut Backend| backend.health = down(),
        |backend: &mut Backend| backend.leaving = true,
    ] {
        let mut changed = sticky(&[1, 1]);
        change(&mut changed.backends[1]);
        assert_eq!(of(&Group::new(&changed, Some(&before)), &head), (0, true));
    }
}

#[test]
fn a_retry_leaves_the_session() {
    let group = Group::new(&sticky(&[1, 1]), None);
    let head = with_session(&group, 1);
    let avoid = [group.servers()[1].id()];
    let ticket = group.pick(&Key { head: Some(&head), ..key() }, &avoid).expect("a server");
    assert!(number(&ticket) == 0 && ticket.set_cookie().is_some());
}
