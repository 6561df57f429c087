//! What the kernel held when the daemon started.

use super::*;

fn adopting(found: &[(&str, bool)], servers: &[&str], checked: bool) -> Case {
    let mut case = Case::new();
    case.reconciler.adopt(found.iter().map(|&(address, up)| Adopted { backend: id(address), up }));
    let health_check = checked.then(check);
    case.dynamic.services.push(Service { health_check, ..service("web", servers) }.into());
    case.start();
    case
}

#[test]
fn what_is_configured_still_stays() {
    let case = adopting(&[(A, true)], &[A], false);
    assert_eq!(case.present_and_leaving(), (vec![A.into()], vec![]));
    assert_eq!(case.backend(A).health.state, BackendState::Unchecked);
}

#[test]
fn verdicts_are_kept() {
    let case = adopting(&[(A, true), (B, false)], &[A, B, "10.0.0.3:80"], true);
    let states = [A, B, "10.0.0.3:80"].map(|address| case.backend(address).health.state);
    assert_eq!(states, [BackendState::Up, BackendState::Down, BackendState::Pending]);
}

#[test]
fn what_vanished_meanwhile_leaves() {
    let mut case = adopting(&[(A, true), (B, true)], &[B], false);
    assert_eq!(case.present_and_leaving().1, [A]);
    case.pass(300).unwrap();
    assert!(case.backend(A).expired);
}

#[test]
fn the_backends_of_a_service_that_vanished_leave() {
    let mut case = Case::new();
    case.reconciler.adopt([Adopted { backend: id(A), up: true }]);
    case.start().unwrap();
    assert_eq!(case.present_and_leaving().1, [A]);
    case.tell(Event::Empty { backend: id(A) }).unwrap();
    assert!(case.reconciler.snapshot().services.is_empty());
}

#[test]
fn backends_of_names_stay_until_dns_answers() {
    let mut case = adopting(&[(A, true), (B, true)], &["web.test:80"], false);
    assert_eq!(case.present_and_leaving(), (vec![A.into(), B.into()], vec![]));
    assert_eq!(case.backend(A).server, "web.test:80");
    case.resolve("web.test", &["10.0.0.2"]);
    assert_eq!(case.present_and_leaving(), (vec![B.into()], vec![A.into()]));
}

#[test]
fn other_ports_are_not_presumed_to_be_a_names() {
    let case = adopting(&[("10.0.0.1:81", true)], &["web.test:80"], false);
    assert_eq!(case.present_and_leaving().1, ["10.0.0.1:81"]);
}
