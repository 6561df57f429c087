//! Host names, against a small name server.

use std::{net::IpAddr, sync::Arc, time::Duration};

use hickory_resolver::proto::{op::ResponseCode, rr::RecordType};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};

use super::{
    service, snapshot,
    zone::{Say, Setup},
};
use crate::{
    health::{Counters, NameState, Names},
    model::{Server, Snapshot},
    reconcile::Event,
};

type Looked = Result<(Vec<String>, u64), String>;

fn found(addresses: &[&str], ttl: u64) -> Looked {
    Ok((addresses.iter().map(|a| (*a).to_owned()).collect(), ttl))
}

#[tokio::test]
async fn both_families_are_asked_and_sorted() {
    let setup = Setup::new().await;
    setup.a("db.example", 30, &["10.0.0.2", "10.0.0.1"]);
    setup.aaaa("db.example", 60, &["2001:db8::1"]);
    let expected = found(&["10.0.0.1", "10.0.0.2", "2001:db8::1"], 30);
    assert_eq!(setup.lookup("db.example").await, expected);
}

#[tokio::test]
async fn one_family_may_be_absent() {
    let setup = Setup::new().await;
    setup.a("db.example", 30, &["10.0.0.1"]);
    assert_eq!(setup.lookup("db.example").await, found(&["10.0.0.1"], 30));
}

#[tokio::test]
async fn one_family_may_be_empty() {
    let setup = Setup::new().await;
    setup.a("db.example", 30, &[]);
    setup.aaaa("db.example", 20, &["2001:db8::1"]);
    assert_eq!(setup.lookup("db.example").await, found(&["2001:db8::1"], 20));
}

#[tokio::test]
async fn half_an_answer_is_none() {
    let setup = Setup::new().await;
    setup.a("db.example", 30, &["10.0.0.1"]);
    setup.say("db.example", RecordType::AAAA, Say::Code(ResponseCode::ServFail));
    let error = setup.lookup("db.example").await.unwrap_err();
    assert!(error.to_lowercase().contains("server failure"), "{error}");
}

#[tokio::test]
async fn a_name_without_addresses_is_told() {
    let setup = Setup::new().await;
    let error = setup.lookup("gone.example").await.unwrap_err();
    assert_eq!(error, "gone.example has no address in DNS");
}

#[tokio::test]
async fn a_refusal_is_told() {
    let setup = Setup::new().await;
    for kind in [RecordType::A, RecordType::AAAA] {
        setup.say("db.example", kind, Say::Code(ResponseCode::Refused));
    }
    let error = setup.lookup("db.example").await.unwrap_err();
    assert!(error.to_lowercase().contains("refused"), "{error}");
}

#[tokio::test]
async fn silence_is_told() {
    let setup = Setup::new().await;
    for kind in [RecordType::A, RecordType::AAAA] {
        setup.say("db.example", kind, Say::Nothing);
    }
    let error = setup.lookup("db.example").await.unwrap_err();
    assert!(error.contains("db.example"), "{error}");
}

#[tokio::test]
async fn a_nonsense_name_is_told() {
    let setup = Setup::new().await;
    let error = setup.lookup("a..b").await.unwrap_err();
    assert!(error.contains("is no host name"), "{error}");
}

#[tokio::test]
async fn the_hosts_file_comes_first_and_dns_is_not_asked() {
    let setup = Setup::new().await;
    setup.a("db.example", 30, &["10.0.0.1"]);
    setup.write("hosts", "192.0.2.7 DB.example db\n2001:db8::7 db.example\n");
    assert_eq!(setup.lookup("db.example").await, found(&["192.0.2.7", "2001:db8::7"], 5));
    assert_eq!(setup.lookup("db").await, found(&["192.0.2.7"], 5));
    assert_eq!(setup.asked(), Vec::<String>::new());
}

#[tokio::test]
async fn a_changed_hosts_file_is_read_again() {
    let setup = Setup::new().await;
    let dns = setup.dns();
    setup.write("hosts", "192.0.2.7 db\n");
    assert_eq!(dns.lookup("db").await.unwrap().addresses, ["192.0.2.7".parse::<IpAddr>().unwrap()]);
    setup.write("hosts", "192.0.2.10 db\n");
    assert_eq!(
        dns.lookup("db").await.unwrap().addresses,
        ["192.0.2.10".parse::<IpAddr>().unwrap()]
    );
}

#[tokio::test]
async fn no_resolv_conf_leaves_the_hosts_file() {
    let setup = Setup::new().await;
    setup.write("hosts", "192.0.2.7 db\n");
    std::fs::remove_file(setup.path("resolv.conf")).unwrap();
    assert_eq!(setup.lookup("db").await, found(&["192.0.2.7"], 5));
    let error = setup.lookup("other").await.unwrap_err();
    assert!(error.contains("resolv.conf: No such file"), "{error}");
}

#[tokio::test]
async fn a_resolv_conf_without_servers_is_told() {
    let setup = Setup::new().await;
    setup.write("resolv.conf", "search example\n");
    let error = setup.lookup("db").await.unwrap_err();
    assert!(error.contains("no nameservers"), "{error}");
}

#[tokio::test]
async fn the_search_list_is_used() {
    let setup = Setup::new().await;
    setup.write("resolv.conf", "nameserver 127.0.0.1\nsearch inside.example\n");
    setup.a("db.inside.example", 30, &["10.0.0.1"]);
    assert_eq!(setup.lookup("db").await, found(&["10.0.0.1"], 30));
}

fn with_server(hosts: &[&str]) -> Snapshot {
    let mut named = service("web", None, Vec::new());
    named.servers = hosts
        .iter()
        .map(|host| Server {
            host: (*host).to_owned(),
            port: 80,
            weight: 1,
            options: Default::default(),
        })
        .collect();
    for server in &named.servers {
        let mut backend = super::backend("127.0.0.1:80".parse().unwrap());
        backend.server = server.address();
        named.backends.push(backend);
    }
    snapshot([named])
}

struct Run {
    names: Names,
    events: mpsc::Receiver<Event>,
    counters: Arc<Counters>,
}

impl Run {
    fn of(setup: &Setup, snapshot: &Snapshot) -> Self {
        let (sender, events) = mpsc::channel(64);
        let counters = Arc::new(Counters::default());
        let mut names = Names::with_dns(sender, Arc::clone(&counters), setup.dns());
        names.update(snapshot);
        Self { names, events, counters }
    }

    async fn next(&mut self) -> (String, Vec<String>) {
        match timeout(Duration::from_secs(20), self.events.recv()).await {
            Ok(Some(Event::Resolved { host, addresses })) => {
                (host, addresses.iter().map(IpAddr::to_string).collect())
            }
            other => panic!("{other:?}"),
        }
    }

    fn state(&self, host: &str) -> Option<NameState> {
        self.names.states().lock().unwrap().get(host).cloned()
    }

    async fn until(&self, what: impl Fn(&Self) -> bool) {
        let waiting = async {
            while !what(self) {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(Duration::from_secs(20), waiting).await.expect("it comes true");
    }
}

#[tokio::test]
async fn a_new_name_is_told() {
    let setup = Setup::new().await;
    setup.a("db.example", 30, &["10.0.0.1"]);
    let mut run = Run::of(&setup, &with_server(&["db.example"]));
    assert_eq!(run.next().await, ("db.example".to_owned(), vec!["10.0.0.1".to_owned()]));
    let state = run.state("db.example").unwrap();
    assert_eq!(state.error, None);
    assert_eq!(state.addresses.len(), 1);
    assert!(state.resolved_at > 1_700_000_000);
}

#[tokio::test]
async fn addresses_are_not_resolved() {
    let setup = Setup::new().await;
    let run = Run::of(&setup, &with_server(&["10.0.0.1", "2001:db8::1"]));
    sleep(Duration::from_millis(100)).await;
    assert!(run.names.states().lock().unwrap().is_empty());
    assert_eq!(setup.asked(), Vec::<String>::new());
}

#[tokio::test]
async fn a_changed_answer_is_told_after_its_ttl() {
    let setup = Setup::new().await;
    setup.a("db.example", 1, &["10.0.0.1"]);
    let mut run = Run::of(&setup, &with_server(&["db.example"]));
    run.next().await;
    setup.a("db.example", 1, &["10.0.0.1", "10.0.0.2"]);
    assert_eq!(run.next().await.1, ["10.0.0.1", "10.0.0.2"]);
}

#[tokio::test]
async fn an_answer_without_ttl_holds_a_second() {
    let setup = Setup::new().await;
    setup.a("db.example", 0, &["10.0.0.1"]);
    let mut run = Run::of(&setup, &with_server(&["db.example"]));
    run.next().await;
    sleep(Duration::from_millis(500)).await;
    assert_eq!(run.counters.resolved(), 1);
}

#[tokio::test]
async fn the_same_answer_is_told_once() {
    let setup = Setup::new().await;
    setup.a("db.example", 1, &["10.0.0.2", "10.0.0.1"]);
    let mut run = Run::of(&setup, &with_server(&["db.example"]));
    run.next().await;
    setup.a("db.example", 1, &["10.0.0.1", "10.0.0.2"]);
    run.until(|run| run.counters.resolved() >= 2).await;
    assert!(run.events.try_recv().is_err());
}

#[tokio::test]
async fn the_last_answer_stays_on_failure() {
    let setup = Setup::new().await;
    setup.a("db.example", 1, &["10.0.0.1"]);
    let mut run = Run::of(&setup, &with_server(&["db.example"]));
    run.next().await;
    setup.say("db.example", RecordType::A, Say::Code(ResponseCode::ServFail));
    run.until(|run| run.state("db.example").is_some_and(|state| state.error.is_some())).await;
    assert_eq!(run.state("db.example").unwrap().addresses.len(), 1);
    assert!(run.events.try_recv().is_err());
    assert!(run.counters.unresolved() >= 1);
}

#[tokio::test]
async fn an_empty_answer_keeps_the_last_one() {
    let setup = Setup::new().await;
    setup.a("db.example", 1, &["10.0.0.1"]);
    let mut run = Run::of(&setup, &with_server(&["db.example"]));
    run.next().await;
    setup.a("db.example", 1, &[]);
    run.until(|run| run.state("db.example").is_some_and(|state| state.error.is_some())).await;
    assert_eq!(run.state("db.example").unwrap().addresses.len(), 1);
    assert!(run.events.try_recv().is_err());
}

#[tokio::test]
async fn a_failed_name_is_tried_again() {
    let setup = Setup::new().await;
    let mut run = Run::of(&setup, &with_server(&["db.example"]));
    run.until(|run| run.counters.unresolved() >= 1).await;
    setup.a("db.example", 30, &["10.0.0.1"]);
    assert_eq!(run.next().await.1, ["10.0.0.1"]);
    assert_eq!(run.state("db.example").unwrap().error, None);
}

#[tokio::test]
async fn a_removed_name_is_forgotten() {
    let setup = Setup::new().await;
    setup.a("db.example", 1, &["10.0.0.1"]);
    let mut run = Run::of(&setup, &with_server(&["db.example"]));
    run.next().await;
    run.names.update(&with_server(&[]));
    assert_eq!(run.state("db.example"), None);
    sleep(Duration::from_millis(100)).await;
    let asked = setup.asked().len();
    sleep(Duration::from_millis(1500)).await;
    assert_eq!(setup.asked().len(), asked);
}

#[tokio::test]
async fn a_name_added_later_is_told() {
    let setup = Setup::new().await;
    setup.a("one.example", 30, &["10.0.0.1"]);
    setup.a("two.example", 30, &["10.0.0.2"]);
    let mut run = Run::of(&setup, &with_server(&["one.example"]));
    run.next().await;
    run.names.update(&with_server(&["one.example", "two.example"]));
    assert_eq!(run.next().await, ("two.example".to_owned(), vec!["10.0.0.2".to_owned()]));
}

#[tokio::test]
async fn a_snapshot_that_forgot_the_addresses_is_told_again() {
    let setup = Setup::new().await;
    setup.a("db.example", 300, &["10.0.0.1"]);
    let mut run = Run::of(&setup, &with_server(&["db.example"]));
    run.next().await;
    let mut forgotten = service("web", None, Vec::new());
    forgotten.servers = vec![Server {
        host: "db.example".into(),
        port: 80,
        weight: 1,
        options: Default::default(),
    }];
    run.names.update(&snapshot([forgotten]));
    assert_eq!(run.next().await.1, ["10.0.0.1"]);
}
