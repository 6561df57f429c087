//! Services made of services, and sessions, from end to end.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use super::kit::{Origin, Running, backend};
use crate::model::{BackendState, Composed, Cookie, Id, Protocol, Service};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: e.com\r\nConnection: close\r\n\r\n";
const A: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nby a";
const B: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nby b";

fn id(name: &str) -> Id {
    Id::new(Protocol::Http, name, "file")
}

/// A proxy whose service is made of `a` and `b`, a server each.
fn made_of(composed: Composed, a: SocketAddr, b: SocketAddr) -> Running {
    let mut running = Running::before(&[]);
    for (name, address) in [("a", a), ("b", b)] {
        let service = Service { backends: vec![backend(address)], ..Service::new(id(name)) };
        running.snapshot.services.insert(id(name), Arc::new(service));
    }
    let top = Service { composed: Some(composed), ..Service::new(id("web")) };
    running.snapshot.services.insert(id("web"), Arc::new(top));
    running.proxy.follow(&running.snapshot);
    assert_eq!(running.proxy.faults(), Vec::<String>::new());
    running
}

#[test]
fn weighted_services_share_by_weight() {
    let (a, b) = (Origin::answering(A), Origin::answering(B));
    let services = vec![(id("a"), 3), (id("b"), 1)];
    let running = made_of(Composed::Weighted { services, sticky: None }, a.address, b.address);
    let answers: Vec<String> = (0..8).map(|_| running.say(GET)).collect();
    let by = |name: &str| answers.iter().filter(|answer| answer.ends_with(name)).count();
    assert_eq!((by("by a"), by("by b")), (6, 2), "{answers:?}");
}

#[test]
fn a_sticky_cookie_leads_to_the_same_service_and_the_same_server() {
    let (a, b) = (Origin::answering(A), Origin::answering(B));
    let services = vec![(id("a"), 1), (id("b"), 1)];
    let sticky = Some(Cookie { name: Some("part".into()), ..Cookie::default() });
    let running = made_of(Composed::Weighted { services, sticky }, a.address, b.address);
    session_stays(&running, "part=");
    let running = Running::with(&[a.address, b.address], Default::default(), |service| {
        let cookie = Cookie { name: Some("server".into()), ..Cookie::default() };
        service.http.sticky = Some(cookie);
    });
    session_stays(&running, "server=");
}

/// Asserts that a cookie is set once, and that whoever sends it back gets the same answer.
fn session_stays(running: &Running, cookie: &str) {
    let first = running.say(GET);
    let line = first.lines().find_map(|line| line.strip_prefix("Set-Cookie: ")).expect(&first);
    assert!(line.starts_with(cookie), "{line}");
    let pair = line.split(';').next().expect("a pair");
    let request = format!(
        "GET / HTTP/1.1\r\nHost: e.com\r\nCookie: x=y; {pair}\r\nConnection: close\r\n\r\n"
    );
    for _ in 0..5 {
        let next = running.say(request.as_bytes());
        assert!(!next.contains("Set-Cookie") && next[next.len() - 4..] == first[first.len() - 4..]);
    }
}

/// A route that was found before the change leads to a service that is gone when it gets there.
#[test]
fn a_service_that_is_gone_answers_who_is_on_the_way_to_it() {
    let origin = Origin::answering(A);
    let mut running = Running::before(&[origin.address]);
    let there = (*running.snapshot.services[&id("web")]).clone();
    for (gone, answer) in [(true, "by a"), (false, "no server is available\n")] {
        let mut leaving = Service { gone, ..there.clone() };
        leaving.backends[0].leaving = true;
        running.snapshot.services.insert(id("web"), Arc::new(leaving));
        running.proxy.follow(&running.snapshot);
        let said = running.say(GET);
        assert!(said.ends_with(answer), "gone: {gone}: {said}");
    }
}

#[test]
fn the_fallback_answers_while_no_server_of_the_main_one_is_up() {
    let (a, b) = (Origin::answering(A), Origin::answering(B));
    let composed = Composed::Failover { service: id("a"), fallback: id("b") };
    let mut running = made_of(composed, a.address, b.address);
    assert!(running.say(GET).ends_with("by a"));
    let mut down = (*running.snapshot.services[&id("a")]).clone();
    let up = down.clone();
    down.backends[0].health.state = BackendState::Down;
    for (service, answer) in [(down, "by b"), (up, "by a")] {
        running.snapshot.services.insert(id("a"), Arc::new(service));
        running.proxy.follow(&running.snapshot);
        assert!(running.say(GET).ends_with(answer));
    }
}

#[test]
fn a_mirror_gets_the_whole_request_and_nobody_its_answer() {
    // It says that it closes: a POST sent just as a connection ends may not be sent again.
    let last = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\nby a";
    let (a, b) = (Origin::closing(last), Origin::closing(B));
    let composed = Composed::Mirroring {
        service: id("a"),
        mirror_body: true,
        max_body: Some(8),
        mirrors: vec![(id("b"), 100)],
    };
    let running = made_of(composed, a.address, b.address);
    // One body is short enough, the other is not; trailers and chunks come through either way.
    for body in ["3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n", "9\r\nabcdefghi\r\n0\r\n\r\n"] {
        let request = format!(
            "POST /p HTTP/1.1\r\nHost: e.com\r\nTransfer-Encoding: chunked\r\n\
             Connection: close\r\n\r\n{body}"
        );
        assert!(running.say(request.as_bytes()).ends_with("by a"));
    }
    let got = waited(&b);
    assert!(
        got.starts_with("POST /p HTTP/1.1\r\nHost: e.com\r\n") && got.ends_with("abc"),
        "{got}"
    );
    let got = waited(&a);
    assert!(got.contains("abc") && got.contains("abcdefghi"), "{got}");
    assert_eq!(b.seen.lock().unwrap().len(), 1, "the long one is not mirrored");
}

/// What an origin got, as soon as all its connections have ended.
fn waited(origin: &Origin) -> String {
    for _ in 0..1_000 {
        let is_over =
            |seen: &Vec<Vec<u8>>| !seen.is_empty() && seen.iter().all(|one| !one.is_empty());
        if is_over(&origin.seen.lock().unwrap()) {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    origin.got()
}
