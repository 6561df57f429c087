//! Weights, drains, departures, and what makes a snapshot.

use super::*;

#[test]
fn nothing_is_in_force_before_the_static_part() {
    let mut case = Case::new();
    assert!(case.reload().is_none());
    assert_eq!(case.reconciler.snapshot().generation, 0);
}

#[test]
fn the_first_snapshot_is_generation_1() {
    assert_eq!(Case::new().start().unwrap().generation, 1);
}

#[test]
fn several_events_make_one_snapshot() {
    let case = Case::web(&[A]);
    assert_eq!(case.reconciler.snapshot().generation, 1);
    assert_eq!(case.backends().len(), 1);
}

#[test]
fn the_same_configuration_changes_nothing() {
    let mut case = Case::web(&[A]);
    assert!(case.reload().is_none());
    assert!(case.start().is_none());
    assert_eq!(case.reconciler.snapshot().generation, 1);
}

#[test]
fn time_alone_changes_nothing() {
    assert!(Case::web(&[A]).pass(1).is_none());
}

#[test]
fn services_that_did_not_change_are_shared() {
    let mut case = Case::web(&[A]);
    case.dynamic.services.push(service("mail", &[B]).into());
    case.reload();
    let before = Arc::clone(case.reconciler.snapshot());
    let after = case.drain(A, true).unwrap();
    let (web, mail) = (service_id("web"), service_id("mail"));
    assert!(Arc::ptr_eq(&before.services[&mail], &after.services[&mail]));
    assert!(!Arc::ptr_eq(&before.services[&web], &after.services[&web]));
}

#[test]
fn routers_and_faults_outlast_a_verdict() {
    let mut case = Case::checked(&[A]);
    case.dynamic.routers.push(router("lost", &["dns"], "web").into());
    case.reload();
    let before = Arc::clone(case.reconciler.snapshot());
    let after = case.verdict(A, BackendState::Up).unwrap();
    assert_eq!((after.routers.len(), after.faults.len()), (1, 1));
    assert_eq!((&after.routers, &after.faults), (&before.routers, &before.faults));
    assert_eq!(after.entry_points, before.entry_points);
}

#[test]
fn other_settings_make_a_snapshot() {
    let mut case = Case::web(&[A]);
    let mut settings = Box::new(Settings::default());
    settings.datapath.trace = true;
    let entry_points = case.entry_points.clone();
    let snapshot = case.tell(Event::Static { settings, entry_points }).unwrap();
    assert!(snapshot.settings.datapath.trace);
}

#[test]
fn a_weight_is_kept_over_reloads() {
    let mut case = Case::web(&[A]);
    case.tell(Event::Weight { backend: id(A), weight: Some(9) }).unwrap();
    case.servers(&[A, B]);
    assert_eq!((case.backend(A).weight(), case.backend(A).configured_weight), (9, 1));
    case.tell(Event::Weight { backend: id(A), weight: None }).unwrap();
    assert_eq!(case.backend(A).weight(), 1);
}

#[test]
fn weights_are_known_before_their_backends() {
    let mut case = Case::new();
    case.tell(Event::Weight { backend: id(A), weight: Some(9) });
    case.dynamic.services.push(service("web", &[A]).into());
    case.start();
    assert_eq!(case.backend(A).weight(), 9);
}

#[test]
fn a_drain_is_kept_over_reloads() {
    let mut case = Case::web(&[A]);
    case.drain(A, true).unwrap();
    case.servers(&[A, B]);
    assert!(case.backend(A).drained && !case.backend(A).takes_new());
    case.drain(A, false).unwrap();
    assert!(case.backend(A).takes_new());
}

#[test]
fn a_drain_that_is_one_already_changes_nothing() {
    let mut case = Case::web(&[A]);
    case.drain(A, true).unwrap();
    assert!(case.drain(A, true).is_none());
}

#[test]
fn drains_are_known_before_their_backends() {
    let mut case = Case::new();
    case.drain(A, true);
    case.dynamic.services.push(service("web", &[A]).into());
    case.start();
    assert!(case.backend(A).drained);
}

#[test]
fn a_drained_backend_expires_after_its_time() {
    let mut case = Case::web(&[A]);
    case.drain(A, true);
    assert!(case.pass(299).is_none());
    case.pass(1).unwrap();
    assert!(case.backend(A).expired);
    assert!(case.pass(1).is_none());
}

#[test]
fn an_undrained_backend_has_its_whole_time_again() {
    let mut case = Case::web(&[A]);
    case.drain(A, true);
    case.pass(300);
    case.drain(A, false);
    assert!(!case.backend(A).expired);
    case.drain(A, true);
    assert!(!case.backend(A).expired && case.pass(299).is_none());
}

#[test]
fn a_removed_server_leaves() {
    let mut case = Case::web(&[A, B]);
    case.servers(&[B]).unwrap();
    let backend = case.backend(A);
    assert!(backend.leaving && !backend.expired && !backend.takes_new());
}

#[test]
fn a_leaving_backend_expires_after_its_time() {
    let mut case = Case::web(&[A, B]);
    case.servers(&[B]);
    assert!(case.pass(299).is_none());
    case.pass(1).unwrap();
    assert!(case.backend(A).expired);
}

#[test]
fn a_shorter_drain_time_counts_at_once() {
    let mut case = Case::web(&[A, B]);
    case.servers(&[B]);
    case.pass(20);
    case.dynamic.services[0].drain_timeout = Duration::from_secs(10);
    case.reload();
    assert!(case.backend(A).expired);
}

#[test]
fn a_drained_server_that_is_removed_keeps_its_time() {
    let mut case = Case::web(&[A, B]);
    case.drain(A, true);
    case.pass(200);
    case.servers(&[B]);
    case.pass(100).unwrap();
    assert!(case.backend(A).expired);
}

#[test]
fn a_leaving_backend_is_forgotten_once_empty() {
    let mut case = Case::web(&[A, B]);
    case.servers(&[B]);
    case.tell(Event::Empty { backend: id(A) }).unwrap();
    assert_eq!(case.present_and_leaving(), (vec![B.into()], vec![]));
}

#[test]
fn an_empty_backend_that_is_configured_stays() {
    let mut case = Case::web(&[A]);
    case.drain(A, true);
    assert!(case.tell(Event::Empty { backend: id(A) }).is_none());
}

#[test]
fn a_server_that_comes_back_leaves_no_more() {
    let mut case = Case::web(&[A, B]);
    case.servers(&[B]);
    case.pass(300);
    case.servers(&[A, B]).unwrap();
    let backend = case.backend(A);
    assert!(!backend.leaving && !backend.expired && backend.takes_new());
}

#[test]
fn a_verdict_outlasts_a_departure() {
    let mut case = Case::checked(&[A, B]);
    case.verdict(A, BackendState::Up);
    case.servers(&[B]);
    case.servers(&[A, B]);
    assert_eq!(case.backend(A).health.state, BackendState::Up);
}

#[test]
fn a_leaving_backend_is_still_checked() {
    let mut case = Case::checked(&[A, B]);
    case.servers(&[B]);
    case.verdict(A, BackendState::Down).unwrap();
    assert_eq!(case.backend(A).health.state, BackendState::Down);
}

#[test]
fn a_removed_service_stays_until_it_is_empty() {
    let mut case = Case::web(&[A]);
    (case.dynamic.services, case.dynamic.routers) = Default::default();
    let snapshot = case.reload().unwrap();
    assert!(snapshot.services[&service_id("web")].servers.is_empty());
    assert_eq!(case.present_and_leaving(), (vec![], vec![A.into()]));
    let snapshot = case.tell(Event::Empty { backend: id(A) }).unwrap();
    assert!(snapshot.services.is_empty());
}

#[test]
fn a_service_without_servers_stays() {
    let mut case = Case::web(&[A]);
    case.servers(&[]);
    let snapshot = case.tell(Event::Empty { backend: id(A) }).unwrap();
    assert!(snapshot.services[&service_id("web")].backends.is_empty());
}

#[test]
fn a_removed_service_that_comes_back_is_whole() {
    let mut case = Case::web(&[A]);
    let dynamic = std::mem::take(&mut case.dynamic);
    case.reload();
    case.dynamic = dynamic;
    case.reload().unwrap();
    assert_eq!(case.present_and_leaving(), (vec![A.into()], vec![]));
    assert!(case.faults().is_empty());
}
