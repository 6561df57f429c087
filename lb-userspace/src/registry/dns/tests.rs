//! Questions and answers.

use std::time::Instant;

use hickory_proto::{
    op::{Edns, Message, OpCode, Query, ResponseCode},
    rr::{DNSClass, Name, RecordType},
};

use super::Zone;
use crate::registry::{
    change::Change,
    state::State,
    types::{Check, Instance, Status, Weights},
};

pub(crate) fn zone() -> Zone {
    Zone {
        domain: Name::from_ascii("consul.").unwrap(),
        datacenter: "dc1".into(),
        node: "host".into(),
        address: "127.0.0.1".parse().unwrap(),
        ttl: 0,
    }
}

/// `api` has two that pass, one that warns and one that is critical; `db` a name for an address.
pub(crate) fn state() -> State {
    let mut state = State::default();
    let mut index = 1;
    let mut add = |change| {
        index += 1;
        state.apply(index, change, Instant::now());
    };
    for (id, name, address, status, tags) in [
        ("api-1", "api", "10.0.1.5", Status::Passing, &["production", "v2"][..]),
        ("api-2", "api", "10.0.1.6", Status::Passing, &["v1.2"]),
        ("api-3", "api", "10.0.1.7", Status::Warning, &[]),
        ("api-4", "api", "10.0.1.8", Status::Critical, &["dead"]),
        ("db-1", "db", "db.example.com", Status::Passing, &[]),
        ("six-1", "six", "2001:db8::5", Status::Passing, &[]),
    ] {
        add(Change::Instance(Instance {
            id: id.into(),
            name: name.into(),
            address: address.into(),
            port: 8080,
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            weights: Weights { passing: 1, warning: 9 },
            ..Instance::default()
        }));
        add(Change::Check(Check {
            id: format!("service:{id}"),
            instance: id.into(),
            status,
            ..Check::default()
        }));
    }
    for i in 0..100 {
        add(Change::Instance(Instance {
            id: format!("many-{i}"),
            name: "many".into(),
            address: format!("10.1.0.{i}"),
            port: 1,
            ..Instance::default()
        }));
    }
    state
}

fn question(name: &str, kind: RecordType) -> Message {
    let mut message = Message::query();
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message
}

fn answer(question: &Message, is_udp: bool) -> Message {
    let bytes = zone().answer(&question.to_vec().unwrap(), &state(), is_udp).unwrap();
    Message::from_vec(&bytes).unwrap()
}

/// Sorted, as `TYPE data`.
fn records(message: &Message) -> Vec<String> {
    let row = |r: &hickory_proto::rr::Record| format!("{} {}", r.record_type(), r.data);
    let mut rows: Vec<_> = message.answers.iter().map(row).collect();
    rows.sort();
    rows
}

macro_rules! rows {
    ($($test:ident: $name:literal $kind:ident => $code:ident [$($record:literal),*];)+) => {$(
        #[test]
        fn $test() {
            let got = answer(&question($name, RecordType::$kind), false);
            assert_eq!(got.metadata.response_code, ResponseCode::$code);
            let wanted: &[&str] = &[$($record),*];
            assert_eq!(records(&got), wanted);
            assert!(got.answers.iter().all(|record| record.ttl == 0));
            let is_ours = ResponseCode::$code != ResponseCode::Refused;
            assert_eq!(got.metadata.authoritative, is_ours);
            assert_eq!(got.authorities.len(), usize::from(is_ours && wanted.is_empty()));
        }
    )+};
}

rows! {
    addresses_of_those_that_are_not_critical: "api.service.consul." A => NoError ["A 10.0.1.5", "A 10.0.1.6", "A 10.0.1.7"];
    names_are_compared_without_case: "API.Service.CONSUL." A => NoError ["A 10.0.1.5", "A 10.0.1.6", "A 10.0.1.7"];
    the_data_centre_may_be_named: "api.service.dc1.consul." A => NoError ["A 10.0.1.5", "A 10.0.1.6", "A 10.0.1.7"];
    another_data_centre_is_not_there: "api.service.dc2.consul." A => NXDomain [];
    servers_with_port_and_weight: "api.service.consul." SRV => NoError ["SRV 1 1 8080 0a000105.addr.consul.", "SRV 1 1 8080 0a000106.addr.consul.", "SRV 1 9 8080 0a000107.addr.consul."];
    any_is_the_addresses: "api.service.consul." ANY => NoError ["A 10.0.1.5", "A 10.0.1.6", "A 10.0.1.7"];
    a_tag_chooses: "v2.api.service.consul." A => NoError ["A 10.0.1.5"];
    a_tag_may_have_dots: "v1.2.api.service.consul." A => NoError ["A 10.0.1.6"];
    a_tag_that_nobody_has: "v3.api.service.consul." A => NXDomain [];
    a_tag_of_critical_ones: "dead.api.service.consul." A => NXDomain [];
    rfc_2782_with_a_protocol: "_api._tcp.service.consul." SRV => NoError ["SRV 1 1 8080 0a000105.addr.consul.", "SRV 1 1 8080 0a000106.addr.consul.", "SRV 1 9 8080 0a000107.addr.consul."];
    rfc_2782_with_a_tag: "_api._v2.service.consul." SRV => NoError ["SRV 1 1 8080 0a000105.addr.consul."];
    an_unknown_service: "nope.service.consul." A => NXDomain [];
    no_such_type: "api.service.consul." AAAA => NoError [];
    ipv6: "six.service.consul." AAAA => NoError ["AAAA 2001:db8::5"];
    servers_with_ipv6: "six.service.consul." SRV => NoError ["SRV 1 1 8080 20010db8000000000000000000000005.addr.consul."];
    a_name_for_an_address: "db.service.consul." A => NoError ["CNAME db.example.com."];
    servers_with_a_name: "db.service.consul." SRV => NoError ["SRV 1 1 8080 db.example.com."];
    targets_resolve: "0a000105.addr.consul." A => NoError ["A 10.0.1.5"];
    targets_resolve_with_the_data_centre: "0a000105.addr.dc1.consul." A => NoError ["A 10.0.1.5"];
    targets_of_ipv6_resolve: "20010db8000000000000000000000005.addr.consul." AAAA => NoError ["AAAA 2001:db8::5"];
    a_target_that_is_none: "xyz.addr.consul." A => NXDomain [];
    the_node: "host.node.consul." A => NoError ["A 127.0.0.1"];
    another_node: "other.node.consul." A => NXDomain [];
    above_services_is_nothing: "service.consul." A => NoError [];
    name_servers: "consul." NS => NoError ["NS ns.consul."];
    the_name_server: "ns.consul." A => NoError ["A 127.0.0.1"];
    something_else: "what.consul." A => NXDomain [];
    other_domains_are_refused: "example.com." A => Refused [];
}

#[test]
fn an_authority_is_told_where_there_is_no_answer() {
    let got = answer(&question("nope.service.consul.", RecordType::A), true);
    assert_eq!(got.authorities[0].record_type(), RecordType::SOA);
}

#[test]
fn srv_brings_addresses_along() {
    let got = answer(&question("v2.api.service.consul.", RecordType::SRV), true);
    assert_eq!(got.additionals.len(), 1);
    assert_eq!(got.additionals[0].name.to_string(), "0a000105.addr.consul.");
}

#[test]
fn too_much_for_a_datagram_is_cut_and_says_so() {
    let mut asked = question("many.service.consul.", RecordType::A);
    for (size, least, most) in [(None, 20, 512), (Some(1232), 60, 1232), (Some(100), 20, 512)] {
        asked.edns = size.map(|size| {
            let mut edns = Edns::new();
            edns.set_max_payload(size);
            edns
        });
        let bytes = zone().answer(&asked.to_vec().unwrap(), &state(), true).unwrap();
        let got = Message::from_vec(&bytes).unwrap();
        assert!(bytes.len() <= most && got.answers.len() >= least, "{size:?}: {}", bytes.len());
        assert!(got.metadata.truncation);
        assert_eq!(got.edns.is_some(), size.is_some());
    }
    let got = answer(&asked, false);
    assert!(!got.metadata.truncation);
    assert_eq!(got.answers.len(), 100);
}

#[test]
fn answers_are_shuffled() {
    let first = || {
        answer(&question("many.service.consul.", RecordType::A), false).answers[0].data.to_string()
    };
    let seen: std::collections::BTreeSet<_> = (0..50).map(|_| first()).collect();
    assert!(seen.len() > 5, "{seen:?}");
}

#[test]
fn the_head_is_the_questions() {
    let mut asked = question("api.service.consul.", RecordType::A);
    asked.metadata.recursion_desired = true;
    let got = answer(&asked, true);
    assert_eq!((got.metadata.id, got.metadata.recursion_desired), (asked.metadata.id, true));
    assert!(!got.metadata.recursion_available);
    assert_eq!(got.queries, asked.queries);
}

#[test]
fn other_operations_are_not_done() {
    let mut asked = question("api.service.consul.", RecordType::A);
    asked.metadata.op_code = OpCode::Notify;
    assert_eq!(answer(&asked, true).metadata.response_code, ResponseCode::NotImp);
}

#[test]
fn other_classes_are_refused() {
    let mut asked = question("api.service.consul.", RecordType::A);
    asked.queries[0].set_query_class(DNSClass::CH);
    assert_eq!(answer(&asked, true).metadata.response_code, ResponseCode::Refused);
}

#[test]
fn garbage_gets_an_error_or_nothing_and_never_a_panic() {
    let state = state();
    let sound = question("api.service.consul.", RecordType::SRV).to_vec().unwrap();
    for seed in 0..20_000_u64 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut bytes = sound.clone();
        for _ in 0..random.usize(1..6) {
            let at = random.usize(..bytes.len());
            bytes[at] = random.u8(..);
        }
        bytes.truncate(random.usize(..=bytes.len()));
        let _any = zone().answer(&bytes, &state, random.bool());
    }
    let answer = Message::from_vec(&zone().answer(&[7; 13], &state, true).unwrap()).unwrap();
    assert_eq!(answer.metadata.response_code, ResponseCode::FormErr);
    assert!(zone().answer(&[0xff; 13], &state, true).is_none(), "an answer is no question");
}
