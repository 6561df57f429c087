use std::time::Duration;

use super::*;
use crate::{
    middleware::testing::{fault, filter, read, request, told},
    model::Protocol,
    proxy::Head,
};

fn breaker(keys: &str) -> Breaker {
    let settings = read(&format!("circuitBreaker: {{ {keys} }}")).expect("a circuit breaker");
    let super::super::Settings::CircuitBreaker(settings) = settings else { unreachable!() };
    let id = |name| Id::new(Protocol::Http, name, "file");
    Breaker::new(settings, (id(keys), id("breaker")))
}

impl Breaker {
    /// A request at `millis` that comes to `status`, 0 for a network error. Whether it passed.
    fn ask(&self, millis: u64, status: u16) -> bool {
        self.ask_slow(millis, status, 1)
    }

    fn ask_slow(&self, millis: u64, status: u16, took: u64) -> bool {
        let now = millis * 1000;
        let passes = self.passes(now);
        if passes {
            let mut exchange = Exchange::made_up("GET /");
            exchange.network_error = status == 0;
            exchange.answer.head = Head::response(if status == 0 { 502 } else { status });
            exchange.server_time = Some(Duration::from_millis(took));
            self.note(&exchange, now);
            self.look(now);
        }
        passes
    }

    fn is(&self) -> State {
        State::unpack(self.state.load(Relaxed)).0
    }
}

#[test]
fn a_circuit_opens_when_the_expression_holds() {
    let ratio = "expression: 'ResponseCodeRatio(500, 600, 0, 600) > 0.3'";
    let network = "expression: 'NetworkErrorRatio() > 0.3'";
    let chapter =
        "expression: 'NetworkErrorRatio() > 0.3 || ResponseCodeRatio(500, 600, 0, 600) > 0.3'";
    let median = "expression: 'LatencyAtQuantileMS(50.0) > 100'";
    for (keys, statuses, took, opens) in [
        (ratio, &[200, 200, 500][..], 1, true),
        (ratio, &[200, 200, 200, 500], 1, false),
        (ratio, &[404, 404, 404], 1, false),
        (network, &[200, 0], 1, true),
        (network, &[200, 504], 1, true),
        (network, &[200, 500], 1, false),
        (chapter, &[200, 500], 1, true),
        (chapter, &[200, 0], 1, true),
        (chapter, &[200, 404], 1, false),
        (median, &[200, 200], 150, true),
        (median, &[200, 200], 50, false),
        ("expression: '!(NetworkErrorRatio() < 0.5)'", &[0], 1, true),
    ] {
        let breaker = breaker(keys);
        // All but the last one within the first check period.
        for (i, status) in statuses.iter().enumerate() {
            let millis = if i + 1 == statuses.len() { 150 } else { 10 };
            assert!(breaker.ask_slow(millis, *status, took));
        }
        assert_eq!(breaker.is() == State::Open, opens, "{keys} {statuses:?} {took}");
    }
}

#[test]
fn an_open_circuit_recovers_little_by_little() {
    let breaker = breaker(
        "expression: 'NetworkErrorRatio() > 0.5', fallbackDuration: 5s, recoveryDuration: 10s",
    );
    assert!(breaker.ask(200, 0));
    assert!((0..100).all(|i| !breaker.ask(300 + i, 200)), "open: nobody passes");
    assert!(!breaker.ask(5_199, 200));
    let passed = |from: u64| (0..1_000).filter(|i| breaker.ask(from + i, 200)).count();
    let shares = [5_200, 7_200, 9_200, 11_200, 13_200].map(passed);
    assert_eq!(breaker.is(), State::Recovering);
    assert!(shares.is_sorted(), "ever more pass: {shares:?}");
    assert!(shares[0] < 150 && shares[4] > 600, "{shares:?}");
    assert!(breaker.ask(15_200, 200));
    assert_eq!(breaker.is(), State::Closed);
    assert_eq!(passed(15_300), 1_000);
}

#[test]
fn a_circuit_that_fails_again_opens_again() {
    let breaker = breaker("expression: 'NetworkErrorRatio() > 0.5', fallbackDuration: 1s");
    assert!(breaker.ask(200, 0));
    let passed = (6_000..6_050).filter(|millis| breaker.ask(*millis, 0)).count();
    assert_eq!((passed, breaker.is()), (0, State::Recovering), "it has just begun");
    assert!((10_000..11_000).any(|millis| breaker.ask(millis, 0)));
    assert_eq!(breaker.is(), State::Open);
    assert!(!breaker.ask(10_900, 200));
    let changes = circuit_changes();
    let mut mine = changes.iter().filter(|((router, ..), _)| *router == breaker.names.0);
    let found: Vec<_> = mine.by_ref().map(|((.., state), n)| (*state, *n)).collect();
    assert_eq!(found, [("open", 2), ("recovering", 1)]);
}

#[test]
fn old_failures_are_forgotten() {
    let breaker = breaker("expression: 'NetworkErrorRatio() > 0.5', checkPeriod: 5s");
    assert!(breaker.ask(200, 0) && breaker.ask(300, 0));
    assert!(breaker.ask(10_300, 200));
    assert_eq!(breaker.is(), State::Closed);
}

#[test]
fn refusals_have_the_status_and_are_not_measured() {
    let filter = filter(
        "circuitBreaker: { expression: 'ResponseCodeRatio(500, 600, 0, 600) > 0.1', \
         checkPeriod: 0, fallbackDuration: 1h, responseCode: 504 }",
    );
    let mut exchange = Exchange::made_up("GET /");
    assert!(request(&*filter, &mut exchange).is_none());
    exchange.answer.head = Head::response(500);
    filter.done(&exchange);
    let mut exchange = Exchange::made_up("GET /");
    let reply = request(&*filter, &mut exchange);
    assert_eq!(told(reply.as_ref()), Some((504, "circuit_open")));
    exchange.answer = reply.unwrap().into();
    filter.done(&exchange);
}

#[test]
fn what_makes_no_sense_is_told() {
    for (keys, why) in [
        ("checkPeriod: 1s", "\"expression\" is missing"),
        ("expression: 'NetworkErrorRate() > 1'", "did you mean \"NetworkErrorRatio\"?"),
        ("expression: 'ResponseCodeRatio(500, 600) > 1'", "takes four status codes"),
        ("expression: 'LatencyAtQuantileMS(101.0) > 1'", "quantile from 0 to 100"),
        ("expression: 'NetworkErrorRatio()'", "compare it"),
    ] {
        let told = fault(&format!("circuitBreaker: {{ {keys} }}"));
        assert!(told.contains(why), "{told}");
    }
}
