use super::*;
use crate::{model::Exposure, provider::discovery::Rules};

fn server(priority: u16, address: &str, weight: Option<u16>) -> Server {
    let address: std::net::SocketAddr = address.parse().unwrap();
    Server { priority, ip: address.ip(), port: address.port(), weight }
}

fn outcome(labels: &[(&str, &str)], servers: Vec<Server>, failed: Option<&str>) -> Outcome {
    let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let service = DnsService {
        name: "api.example".to_owned(),
        kind: Default::default(),
        port: None,
        labels: labels.collect(),
    };
    let told = Told { servers, failed: failed.map(str::to_owned), ..Told::default() };
    let mut assembler = Assembler::new(Rules::new(NAME, &Exposure::default()));
    let key = || "api".to_owned();
    read(&[(key(), service)].into(), &[(key(), told)].into(), &mut assembler)
}

/// Services by name, with servers and weights, or with what they are made of.
fn services(outcome: &Outcome) -> Vec<String> {
    assert!(outcome.out.is_empty(), "{:?}", outcome.out);
    let words = |draft: &Shared<ServiceDraft>| match &draft.service.composed {
        Some(Composed::Failover { service, fallback }) => {
            format!("{}: {} or {}", draft.service.id.name, service.name, fallback.name)
        }
        _ => {
            let of = |s: &crate::model::Server| format!("{}*{}", s.address(), s.weight);
            let servers: Vec<String> = draft.service.servers.iter().map(of).collect();
            format!("{}: {}", draft.service.id.name, servers.join(" "))
        }
    };
    let mut all: Vec<String> = outcome.parsed.document.services.iter().map(words).collect();
    all.sort();
    all
}

const CHECKED: (&str, &str) = ("traefik.http.services.api.loadbalancer.healthcheck.path", "/");

#[test]
fn addresses_are_servers_of_one_service() {
    let both = vec![server(0, "10.0.0.1:80", None), server(0, "[2001:db8::1]:80", None)];
    let outcome = outcome(&[], both, None);
    assert_eq!(services(&outcome), ["api: 10.0.0.1:80*1 [2001:db8::1]:80*1"]);
    assert_eq!(outcome.parsed.document.routers.len(), 1);
}

#[test]
fn srv_weights_are_weights_and_0_is_the_smallest() {
    let two = vec![server(1, "10.0.0.1:80", Some(5)), server(1, "10.0.0.2:80", Some(0))];
    assert_eq!(services(&outcome(&[], two, None)), ["api: 10.0.0.1:80*5 10.0.0.2:80*1"]);
}

#[test]
fn srv_weights_of_0_alone_are_equal() {
    let two = vec![server(1, "10.0.0.1:80", Some(0)), server(1, "10.0.0.2:80", Some(0))];
    assert_eq!(services(&outcome(&[], two, None)), ["api: 10.0.0.1:80*1 10.0.0.2:80*1"]);
}

fn ranked() -> Vec<Server> {
    vec![
        server(10, "10.0.0.1:80", Some(1)),
        server(20, "10.0.0.2:80", Some(1)),
        server(30, "10.0.0.3:80", Some(1)),
    ]
}

#[test]
fn without_checks_the_lowest_priority_serves() {
    assert_eq!(services(&outcome(&[], ranked(), None)), ["api: 10.0.0.1:80*1"]);
    let rest = ranked().into_iter().skip(1).collect();
    assert_eq!(services(&outcome(&[], rest, None)), ["api: 10.0.0.2:80*1"]);
}

#[test]
fn of_tcp_the_lowest_priority_serves() {
    let tcp = ("traefik.tcp.routers.api.rule", "HostSNI(`*`)");
    assert_eq!(services(&outcome(&[tcp], ranked(), None)), ["api: 10.0.0.1:80*1"]);
}

#[test]
fn checked_ones_stand_in_for_each_other() {
    assert_eq!(
        services(&outcome(&[CHECKED], ranked(), None)),
        [
            "api-from20: api-priority20 or api-priority30",
            "api-priority10: 10.0.0.1:80*1",
            "api-priority20: 10.0.0.2:80*1",
            "api-priority30: 10.0.0.3:80*1",
            "api: api-priority10 or api-from20",
        ]
    );
}

#[test]
fn another_port_by_label_changes_no_priority() {
    let port = ("traefik.http.services.api.loadbalancer.server.port", "8080");
    assert_eq!(services(&outcome(&[port], ranked(), None)), ["api: 10.0.0.1:8080*1"]);
}

#[test]
fn failure_is_listed_and_the_last_answer_stays() {
    let outcome = outcome(&[], vec![server(0, "10.0.0.1:80", None)], Some("NXDOMAIN"));
    assert_eq!(services(&outcome), ["api: 10.0.0.1:80*1"]);
    let skipped: Vec<_> =
        outcome.skipped.iter().map(|s| (s.reason.label(), s.detail.as_str())).collect();
    assert_eq!(skipped, [("unresolved", "NXDOMAIN; the last answer stays")]);
}
