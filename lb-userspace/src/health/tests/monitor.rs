//! Checks over time: verdicts, reloads, adoption.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU16, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::{
    net::TcpListener,
    sync::mpsc,
    time::{sleep, timeout},
};

use super::{Server, answer, backend, http, often, service, snapshot};
use crate::{
    health::{CheckResult, Monitor},
    model::{
        BackendId, BackendState, CheckKind, Health, HealthCheck, Id, Protocol, Service, Snapshot,
    },
    reconcile::Event,
};

/// A monitor and the events it sends.
struct Run {
    monitor: Monitor,
    events: mpsc::Receiver<Event>,
}

impl Run {
    fn new() -> Self {
        let (sender, events) = mpsc::channel(1024);
        Self { monitor: Monitor::new(sender), events }
    }

    fn of(snapshot: &Snapshot) -> Self {
        let mut run = Self::new();
        run.monitor.update(snapshot);
        run
    }

    async fn next(&mut self) -> (SocketAddr, Health) {
        match timeout(Duration::from_secs(20), self.events.recv()).await {
            Ok(Some(Event::Health { backend, health })) => (backend.address, health),
            other => panic!("{other:?}"),
        }
    }

    /// The first event that shows `state`.
    async fn until(&mut self, state: BackendState) -> Health {
        loop {
            let (_, health) = self.next().await;
            if health.state == state {
                return health;
            }
        }
    }

    /// States of the events of a while.
    async fn states_during(&mut self, millis: u64) -> Vec<BackendState> {
        sleep(Duration::from_millis(millis)).await;
        let mut states = Vec::new();
        while let Ok(Event::Health { health, .. }) = self.events.try_recv() {
            states.push(health.state);
        }
        states
    }
}

/// A server whose status is `code`, to be changed at any time.
async fn switchable(code: u16) -> (Server, Arc<AtomicU16>) {
    let status = Arc::new(AtomicU16::new(code));
    let shown = Arc::clone(&status);
    let server = Server::start(move |_| answer(&format!("{} X", shown.load(SeqCst)), "", "")).await;
    (server, status)
}

/// A service `web` with this check of this one backend.
fn web(check: Option<HealthCheck>, address: SocketAddr, state: BackendState) -> Service {
    let mut backend = backend(address);
    backend.health.state = state;
    service("web", check, vec![backend])
}

fn pending(check: HealthCheck, address: SocketAddr) -> Snapshot {
    snapshot([web(Some(check), address, BackendState::Pending)])
}

async fn closed() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn a_new_server_is_up_on_its_first_pass() {
    let (server, _) = switchable(200).await;
    let mut run = Run::of(&pending(often(http()), server.address));
    let (address, health) = run.next().await;
    assert_eq!((address, health.state), (server.address, BackendState::Up));
    assert!(health.last_output.starts_with("200 OK in "), "{}", health.last_output);
    assert_eq!(health.transitions, 0);
    assert!(health.since > 1_700_000_000);
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn the_first_check_comes_at_once() {
    let (server, _) = switchable(200).await;
    let check = HealthCheck { interval: Duration::from_secs(3600), ..often(http()) };
    let mut run = Run::of(&pending(check, server.address));
    run.until(BackendState::Up).await;
}

#[tokio::test]
async fn a_dead_server_is_pending_then_down() {
    let mut run = Run::of(&pending(often(CheckKind::Tcp), closed().await));
    let first = run.next().await.1;
    assert_eq!(
        (first.state, first.last_output.as_str()),
        (BackendState::Pending, "connection refused")
    );
    let down = run.next().await.1;
    assert_eq!((down.state, down.last_output.as_str()), (BackendState::Down, "connection refused"));
}

#[tokio::test]
async fn a_server_goes_down_and_comes_back_and_transitions_count() {
    let (server, status) = switchable(200).await;
    let mut run = Run::of(&pending(often(http()), server.address));
    run.until(BackendState::Up).await;
    status.store(503, SeqCst);
    let down = run.until(BackendState::Down).await;
    assert_eq!((down.last_output.as_str(), down.transitions), ("status 503, wanted 200–399", 1));
    status.store(200, SeqCst);
    assert_eq!(run.until(BackendState::Up).await.transitions, 2);
    let counters = run.monitor.counters();
    assert_eq!((counters.ups(), counters.downs()), (2, 1));
}

#[tokio::test]
async fn fewer_failures_than_fall_change_nothing() {
    let flips = Arc::new(AtomicBool::new(false));
    let server = Server::start(move |_| {
        let status = if flips.fetch_not(SeqCst) { "503 X" } else { "200 OK" };
        answer(status, "", "")
    })
    .await;
    let mut run = Run::of(&pending(often(http()), server.address));
    run.until(BackendState::Up).await;
    let states = run.states_during(500).await;
    assert!(states.iter().all(|state| *state == BackendState::Up), "{states:?}");
    assert!(server.seen().len() > 5);
}

#[tokio::test]
async fn a_silent_server_times_out() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let check = HealthCheck { timeout: Duration::from_millis(30), fall: 1, ..often(http()) };
    let mut run = Run::of(&pending(check, listener.local_addr().unwrap()));
    let down = run.next().await.1;
    assert_eq!(
        (down.state, down.last_output.as_str()),
        (BackendState::Down, "timed out after 30 ms")
    );
    assert!(run.monitor.counters().checks(CheckResult::Timeout) >= 1);
}

#[tokio::test]
async fn a_steady_server_makes_no_storm_of_events() {
    let (server, _) = switchable(200).await;
    let mut run = Run::of(&pending(often(http()), server.address));
    run.until(BackendState::Up).await;
    assert_eq!(run.states_during(500).await, []);
    assert!(run.monitor.counters().checks(CheckResult::Pass) > 5);
}

#[tokio::test]
async fn the_checks_port_replaces_the_servers() {
    let (server, _) = switchable(200).await;
    let check = HealthCheck { port: Some(server.address.port()), ..often(http()) };
    let address: SocketAddr = "127.0.0.1:1".parse().unwrap();
    let mut run = Run::of(&pending(check, address));
    let (of, health) = run.next().await;
    assert_eq!((of, health.state), (address, BackendState::Up));
}

#[tokio::test]
async fn a_removed_backend_is_checked_no_more() {
    let (server, _) = switchable(200).await;
    let mut run = Run::of(&pending(often(http()), server.address));
    run.until(BackendState::Up).await;
    run.monitor.update(&snapshot([service("web", Some(often(http())), vec![])]));
    sleep(Duration::from_millis(100)).await;
    let seen = server.seen().len();
    sleep(Duration::from_millis(200)).await;
    assert_eq!(server.seen().len(), seen);
}

#[tokio::test]
async fn a_removed_service_is_checked_no_more() {
    let (server, _) = switchable(200).await;
    let mut run = Run::of(&pending(often(http()), server.address));
    run.until(BackendState::Up).await;
    run.monitor.update(&Snapshot::default());
    sleep(Duration::from_millis(100)).await;
    let seen = server.seen().len();
    sleep(Duration::from_millis(200)).await;
    assert_eq!(server.seen().len(), seen);
}

#[tokio::test]
async fn an_expired_backend_is_checked_no_more() {
    let (server, _) = switchable(200).await;
    let mut run = Run::of(&pending(often(http()), server.address));
    run.until(BackendState::Up).await;
    let mut expired = web(Some(often(http())), server.address, BackendState::Up);
    expired.backends[0].expired = true;
    run.monitor.update(&snapshot([expired]));
    sleep(Duration::from_millis(100)).await;
    let seen = server.seen().len();
    sleep(Duration::from_millis(200)).await;
    assert_eq!(server.seen().len(), seen);
}

#[tokio::test]
async fn a_reload_with_the_same_check_keeps_the_verdict() {
    let (server, status) = switchable(200).await;
    let mut run = Run::of(&pending(often(http()), server.address));
    run.until(BackendState::Up).await;
    status.store(503, SeqCst);
    run.until(BackendState::Down).await;
    for _ in 0..10 {
        run.monitor.update(&snapshot([web(
            Some(often(http())),
            server.address,
            BackendState::Down,
        )]));
        assert_eq!(run.states_during(30).await, []);
    }
}

#[tokio::test]
async fn a_changed_check_keeps_the_verdict_until_the_next_one() {
    let (server, _) = switchable(200).await;
    let slow = HealthCheck { interval: Duration::from_secs(3600), ..often(http()) };
    let mut run = Run::of(&pending(slow, server.address));
    run.until(BackendState::Up).await;
    let strict = HealthCheck { port: Some(closed().await.port()), fall: 3, ..often(http()) };
    run.monitor.update(&snapshot([web(Some(strict), server.address, BackendState::Up)]));
    let mut outputs = Vec::new();
    loop {
        let health = run.next().await.1;
        outputs.push((health.state, health.last_output));
        if health.state != BackendState::Up {
            break;
        }
    }
    assert_eq!(outputs.last().unwrap(), &(BackendState::Down, "connection refused".to_owned()));
    assert!(run.monitor.counters().checks(CheckResult::Fail) >= 3);
}

#[tokio::test]
async fn a_changed_check_is_made_at_once() {
    let (server, status) = switchable(200).await;
    let slow = HealthCheck { interval: Duration::from_secs(3600), fall: 1, ..often(http()) };
    let mut run = Run::of(&pending(slow.clone(), server.address));
    run.until(BackendState::Up).await;
    status.store(503, SeqCst);
    let changed = HealthCheck { rise: 3, ..slow };
    run.monitor.update(&snapshot([web(Some(changed), server.address, BackendState::Up)]));
    run.until(BackendState::Down).await;
}

#[tokio::test]
async fn a_check_added_to_a_serving_backend_takes_it_off_only_by_a_verdict() {
    let (server, status) = switchable(503).await;
    let mut run = Run::of(&snapshot([web(None, server.address, BackendState::Unchecked)]));
    let check = HealthCheck { fall: 3, ..often(http()) };
    run.monitor.update(&snapshot([web(Some(check), server.address, BackendState::Unchecked)]));
    let first = run.next().await.1;
    assert_eq!(
        (first.state, first.last_output.as_str()),
        (BackendState::Unchecked, "status 503, wanted 200–399")
    );
    assert_eq!(run.next().await.1.state, BackendState::Down);
    status.store(200, SeqCst);
    run.until(BackendState::Up).await;
}

#[tokio::test]
async fn a_new_backend_shown_as_unchecked_is_told_to_be_pending() {
    let check = HealthCheck { fall: 100, ..often(CheckKind::Tcp) };
    let new = web(Some(check), closed().await, BackendState::Unchecked);
    let mut run = Run::of(&snapshot([new]));
    assert_eq!(run.next().await.1.state, BackendState::Pending);
}

#[tokio::test]
async fn a_seeded_backend_stays_up_until_its_checks_say_otherwise() {
    let address = closed().await;
    let mut run = Run::new();
    let id = BackendId { service: Id::new(Protocol::Tcp, "web", "file"), address };
    run.monitor.seed(id, BackendState::Up);
    let check = HealthCheck { fall: 3, ..often(CheckKind::Tcp) };
    run.monitor.update(&pending(check, address));
    assert_eq!(run.next().await.1.state, BackendState::Up);
    let down = run.until(BackendState::Down).await;
    assert_eq!(down.transitions, 1);
    assert_eq!(run.monitor.counters().checks(CheckResult::Fail), 3);
}

#[tokio::test]
async fn a_verdict_in_the_snapshot_counts_as_a_seed() {
    let (server, _) = switchable(200).await;
    let check = HealthCheck { rise: 3, ..often(http()) };
    let down = web(Some(check), server.address, BackendState::Down);
    let mut run = Run::of(&snapshot([down]));
    run.until(BackendState::Up).await;
    assert_eq!(run.monitor.counters().checks(CheckResult::Pass), 3);
}

#[tokio::test]
async fn a_snapshot_that_forgot_the_verdict_is_told_again() {
    let (server, _) = switchable(200).await;
    let mut run = Run::of(&pending(often(http()), server.address));
    run.until(BackendState::Up).await;
    run.monitor.update(&pending(often(http()), server.address));
    run.until(BackendState::Up).await;
}

#[tokio::test]
async fn each_backend_has_its_own_verdict() {
    let (good, _) = switchable(200).await;
    let (bad, _) = switchable(500).await;
    let backends = vec![backend(good.address), backend(bad.address)];
    let mut run = Run::of(&snapshot([service("web", Some(often(http())), backends)]));
    let mut verdicts = std::collections::BTreeMap::new();
    while verdicts.get(&bad.address) != Some(&BackendState::Down)
        || verdicts.get(&good.address) != Some(&BackendState::Up)
    {
        let (address, health) = run.next().await;
        verdicts.insert(address, health.state);
    }
}

#[tokio::test]
async fn one_backend_in_two_services_is_checked_for_each() {
    let (server, _) = switchable(200).await;
    let strict = HealthCheck { port: Some(closed().await.port()), ..often(http()) };
    let one = service("one", Some(often(http())), vec![backend(server.address)]);
    let two = service("two", Some(strict), vec![backend(server.address)]);
    let mut run = Run::of(&snapshot([one, two]));
    let mut verdicts = std::collections::BTreeMap::new();
    while verdicts.len() < 2 {
        match run.events.recv().await {
            Some(Event::Health { backend, health }) if health.since > 0 => {
                verdicts.insert(backend.service.name, health.state);
            }
            Some(_) => {}
            None => panic!("the monitor lives"),
        }
    }
    assert_eq!(verdicts["one"], BackendState::Up);
    assert_eq!(verdicts["two"], BackendState::Down);
}

#[tokio::test]
async fn two_thousand_backends_come_up() {
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            drop(listener.accept().await);
        }
    });
    let address =
        |n: u32| SocketAddr::new(std::net::Ipv4Addr::from_bits(0x7f10_0001 + n).into(), port);
    let check = HealthCheck {
        interval: Duration::from_secs(10),
        timeout: Duration::from_secs(10),
        ..often(CheckKind::Tcp)
    };
    let backends = (0..2000).map(|n| backend(address(n))).collect();
    let mut run = Run::of(&snapshot([service("many", Some(check), backends)]));
    let mut up = std::collections::BTreeSet::new();
    while up.len() < 2000 {
        let (address, health) = run.next().await;
        if health.state == BackendState::Up {
            up.insert(address);
        }
    }
    assert_eq!(run.monitor.counters().checks(CheckResult::Error), 0);
}
