//! From servers to backends, with names and health.

use super::*;

#[test]
fn every_server_is_a_backend() {
    let case = Case::web(&[B, A]);
    let backend = case.backend(A);
    assert_eq!(case.backends().len(), 2);
    assert_eq!((backend.server.as_str(), backend.weight()), (A, 1));
    assert_eq!(backend.health.state, BackendState::Unchecked);
}

#[test]
fn servers_of_one_address_add_up() {
    let mut case = Case::web(&[A, A]);
    assert_eq!(case.backend(A).weight(), 2);
    case.dynamic.services[0].servers[0].weight = 65_535;
    case.reload();
    assert_eq!(case.backend(A).weight(), 65_535);
}

#[test]
fn a_mapped_address_is_ipv4() {
    let mut case = Case::web(&[A]);
    case.dynamic.services[0].servers[0].host = "::ffff:10.0.0.7".into();
    case.reload();
    assert_eq!(case.present_and_leaving().0, ["10.0.0.7:80"]);
}

#[test]
fn an_unresolved_name_is_a_fault_and_no_backend() {
    let case = Case::web(&["web.test:80"]);
    assert!(case.backends().is_empty());
    let fault = "file: tcp.services.web.loadBalancer.servers[0].address: host name \"web.test\" is \
                 not resolved yet; it gives no backend";
    assert_eq!(case.faults(), [fault]);
}

#[test]
fn every_address_of_a_name_is_a_backend_of_its_weight() {
    let mut case = Case::web(&["web.test:80"]);
    case.dynamic.services[0].servers[0].weight = 3;
    case.reload();
    case.resolve("web.test", &["10.0.0.2", "10.0.0.1"]).unwrap();
    assert_eq!(case.present_and_leaving().0, [A, B]);
    let backend = case.backend(B);
    assert_eq!((backend.server.as_str(), backend.weight()), ("web.test:80", 3));
    assert!(case.faults().is_empty());
}

#[test]
fn an_address_that_leaves_dns_drains() {
    let mut case = Case::web(&["web.test:80"]);
    case.resolve("web.test", &["10.0.0.1", "10.0.0.2"]);
    case.resolve("web.test", &["10.0.0.2"]);
    assert_eq!(case.present_and_leaving(), (vec![B.into()], vec![A.into()]));
}

#[test]
fn the_same_answer_changes_nothing() {
    let mut case = Case::web(&["web.test:80"]);
    case.resolve("web.test", &["10.0.0.1", "10.0.0.2"]).unwrap();
    assert!(case.resolve("web.test", &["10.0.0.2", "10.0.0.1"]).is_none());
}

#[test]
fn an_empty_answer_changes_nothing() {
    let mut case = Case::web(&["web.test:80"]);
    case.resolve("web.test", &["10.0.0.1"]);
    assert!(case.resolve("web.test", &[]).is_none());
}

#[test]
fn names_that_nobody_uses_change_nothing() {
    let mut case = Case::web(&[A]);
    assert!(case.resolve("other.test", &["10.0.0.9"]).is_none());
}

#[test]
fn an_answer_is_kept_over_reloads() {
    let mut case = Case::web(&["web.test:80"]);
    case.resolve("web.test", &["10.0.0.1"]);
    case.servers(&["web.test:81"]);
    assert_eq!(case.present_and_leaving().0, ["10.0.0.1:81"]);
}

#[test]
fn a_name_in_place_of_an_address_keeps_it_until_it_resolves() {
    let mut case = Case::web(&[A]);
    case.servers(&["web.test:80"]);
    assert_eq!(case.present_and_leaving().0, [A]);
    case.resolve("web.test", &["10.0.0.2"]);
    assert_eq!(case.present_and_leaving(), (vec![B.into()], vec![A.into()]));
}

#[test]
fn an_unresolved_name_calls_nobody_back() {
    let mut case = Case::web(&[A, B]);
    case.servers(&[B]);
    case.servers(&[B, "web.test:80"]);
    assert_eq!(case.present_and_leaving().1, [A]);
}

#[test]
fn a_checked_server_is_pending_until_it_passes() {
    let mut case = Case::checked(&[A]);
    assert_eq!(case.backend(A).health.state, BackendState::Pending);
    assert!(!case.backend(A).takes_new());
    case.verdict(A, BackendState::Up).unwrap();
    assert!(case.backend(A).takes_new());
}

#[test]
fn a_verdict_is_kept_over_reloads() {
    let mut case = Case::checked(&[A]);
    case.verdict(A, BackendState::Down);
    case.servers(&[A, B]);
    let states = [A, B].map(|address| case.backend(address).health.state);
    assert_eq!(states, [BackendState::Down, BackendState::Pending]);
}

#[test]
fn a_change_of_the_check_keeps_the_verdict() {
    let mut case = Case::checked(&[A]);
    case.verdict(A, BackendState::Up);
    case.dynamic.services[0].health_check = Some(HealthCheck { rise: 5, ..check() });
    case.reload().unwrap();
    assert_eq!(case.backend(A).health.state, BackendState::Up);
}

#[test]
fn running_backends_that_are_to_be_checked_stay_up_meanwhile() {
    let mut case = Case::web(&[A]);
    case.dynamic.services[0].health_check = Some(check());
    case.servers(&[A, B]);
    let states = [A, B].map(|address| case.backend(address).health.state);
    assert_eq!(states, [BackendState::Up, BackendState::Pending]);
}

#[test]
fn a_check_that_is_removed_leaves_no_verdict() {
    let mut case = Case::checked(&[A]);
    case.verdict(A, BackendState::Down);
    case.dynamic.services[0].health_check = None;
    case.reload();
    assert_eq!(case.backend(A).health, Health::default());
    case.dynamic.services[0].health_check = Some(check());
    case.reload();
    assert_eq!(case.backend(A).health.state, BackendState::Up);
}

#[test]
fn the_same_verdict_changes_nothing() {
    let mut case = Case::checked(&[A]);
    case.verdict(A, BackendState::Up).unwrap();
    assert!(case.verdict(A, BackendState::Up).is_none());
}

#[test]
fn verdicts_on_strangers_change_nothing() {
    let mut case = Case::checked(&[A]);
    assert!(case.verdict(B, BackendState::Down).is_none());
}

#[test]
fn late_verdicts_on_what_is_not_checked_change_nothing() {
    let mut case = Case::web(&[A]);
    assert!(case.verdict(A, BackendState::Down).is_none());
}
