//! Ejection by what real requests say.

use super::*;
use crate::model::PassiveCheck;

const CHECK: PassiveCheck = PassiveCheck {
    window: Duration::from_secs(10),
    max_failed: 3,
    ejection: Duration::from_secs(10),
    max_latency: None,
    max_ejected_percent: 50,
};

fn group(check: PassiveCheck, servers: usize) -> Group {
    let http = HttpBalancing { passive: Some(check), ..HttpBalancing::default() };
    Group::new(&with_http(service(Algorithm::RoundRobin, &vec![1; servers]), http), None)
}

/// Says how a request to one server went.
fn say(group: &Group, at: usize, is_failure: bool, took: Duration, now: u64) {
    assert!(group.servers()[at].enter());
    Ticket::of(&group.servers()[at]).say_at(is_failure, took, now);
}

fn fail(group: &Group, at: usize, times: usize, now: u64) {
    for _ in 0..times {
        say(group, at, true, Duration::ZERO, now);
    }
}

fn ejected(group: &Group, now: u64) -> Vec<usize> {
    let all = group.servers().iter().enumerate();
    all.filter(|(_, server)| server.is_ejected_at(now)).map(|(at, _)| at).collect()
}

fn after(n: u64) -> u64 {
    1_000_000_000 + clock::nanos(seconds(n))
}

#[test]
fn a_server_is_ejected_by_failures_within_the_window() {
    let group = group(CHECK, 3);
    fail(&group, 1, 2, after(0));
    // The first two are 11 s old when the third comes.
    fail(&group, 1, 1, after(11));
    assert_eq!(ejected(&group, after(11)), [0usize; 0]);
    fail(&group, 1, 2, after(12));
    assert_eq!(ejected(&group, after(12)), [1]);
    let picks: Vec<usize> =
        (0..4).map(|_| number(&group.pick_at(&key(), &[], after(12)).expect("a server"))).collect();
    assert_eq!(picks, [0, 2, 0, 2]);
    assert_eq!(ejected(&group, after(22)), [0usize; 0]);
}

#[test]
fn ejections_in_a_row_double_up_to_ten_times() {
    let group = group(CHECK, 3);
    let mut at = 0;
    for lasts in [10, 20, 40, 80, 100, 100] {
        fail(&group, 0, 3, after(at));
        assert_eq!(ejected(&group, after(at + lasts) - 1), [0], "{lasts}");
        assert_eq!(ejected(&group, after(at + lasts)), [0usize; 0], "{lasts}");
        at += lasts;
    }
    // Good for longer than the window: the next one is the first again.
    at += 11;
    fail(&group, 0, 3, after(at));
    assert_eq!(ejected(&group, after(at + 10)), [0usize; 0]);
}

#[test]
fn no_more_than_the_share_and_never_the_last() {
    let half = group(CHECK, 4);
    (0..4).for_each(|at| fail(&half, at, 3, after(0)));
    assert_eq!(ejected(&half, after(0)), [0, 1]);
    let all = group(PassiveCheck { max_ejected_percent: 100, ..CHECK }, 3);
    (0..3).for_each(|at| fail(&all, at, 3, after(0)));
    assert_eq!(ejected(&all, after(0)), [0, 1]);
    let one = group(PassiveCheck { max_ejected_percent: 100, ..CHECK }, 1);
    fail(&one, 0, 9, after(0));
    assert_eq!(ejected(&one, after(0)), [0usize; 0]);
}

#[test]
fn a_late_answer_is_a_failure() {
    let group = group(PassiveCheck { max_latency: Some(seconds(1)), ..CHECK }, 3);
    for _ in 0..3 {
        say(&group, 0, false, seconds(2), after(0));
        say(&group, 1, false, seconds(1), after(0));
    }
    assert_eq!(ejected(&group, after(0)), [0]);
}

#[test]
fn an_ejected_one_is_better_than_nothing() {
    let check = HttpBalancing { passive: Some(CHECK), ..HttpBalancing::default() };
    let mut service = with_http(service(Algorithm::RoundRobin, &[1, 1]), check);
    let before = Group::new(&service, None);
    fail(&before, 0, 3, clock::now());
    service.backends[1].health = down();
    let group = Group::new(&service, Some(&before));
    assert!(group.servers()[0].is_ejected());
    assert_eq!(pick(&group), 0);
}

#[test]
fn answers_of_5xx_and_no_answer_are_failures() {
    let group = group(CHECK, 4);
    for (at, status) in [(0, 500), (1, 499), (2, 200)] {
        for _ in 0..3 {
            assert!(group.servers()[at].enter());
            Ticket::of(&group.servers()[at]).finished(status, Duration::ZERO);
        }
    }
    for _ in 0..3 {
        assert!(group.servers()[3].enter());
        Ticket::of(&group.servers()[3]).failed();
    }
    assert_eq!(ejected(&group, clock::now()), [0, 3]);
}
