//! What each algorithm picks.

use super::*;

use Algorithm::{LeastConn, LeastTime, Maglev, P2c, Random, RoundRobin, SourceHash};

const ALL: [Algorithm; 7] = [RoundRobin, P2c, LeastConn, LeastTime, SourceHash, Maglev, Random];

#[test]
fn round_robin_goes_round() {
    let group = Group::new(&service(RoundRobin, &[1, 1, 1]), None);
    let picks: Vec<usize> = (0..7).map(|_| pick(&group)).collect();
    assert_eq!(picks, [0, 1, 2, 0, 1, 2, 0]);
}

#[test]
fn weights_of_40_20_40_are_exact_over_every_turn() {
    let group = Group::new(&service(RoundRobin, &[40, 20, 40]), None);
    for _ in 0..20 {
        assert_eq!(counts(&group, 3, 5), [2, 1, 2]);
    }
}

#[test]
fn a_heavy_server_does_not_get_its_turns_in_a_row() {
    let group = Group::new(&service(RoundRobin, &[5, 1, 1]), None);
    let picks: Vec<usize> = (0..7).map(|_| pick(&group)).collect();
    assert_eq!(picks, [0, 0, 1, 0, 2, 0, 0]);
}

#[test]
fn turns_are_exact_across_threads() {
    let group = Group::new(&service(RoundRobin, &[40, 20, 40]), None);
    let total: Vec<Vec<usize>> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4).map(|_| scope.spawn(|| counts(&group, 3, 2_500))).collect();
        workers.into_iter().map(|worker| worker.join().expect("a worker")).collect()
    });
    let sum = |server: usize| total.iter().map(|counts| counts[server]).sum::<usize>();
    assert_eq!([sum(0), sum(1), sum(2)], [4_000, 2_000, 4_000]);
}

#[test]
fn least_conn_picks_5_of_10_5_and_8() {
    let group = Group::new(&service(LeastConn, &[1, 1, 1]), None);
    let _busy = busy(&group, &[10, 5, 8]);
    let mut held = Vec::new();
    for expected in [1, 1, 1] {
        let ticket = group.pick(&key(), &[]).expect("a server");
        assert_eq!(number(&ticket), expected);
        held.push(ticket);
    }
    // 10, 8 and 8: the two take turns.
    let next: Vec<usize> = (0..4).map(|_| pick(&group)).collect();
    assert!(next == [1, 2, 1, 2] || next == [2, 1, 2, 1], "{next:?}");
}

#[test]
fn least_conn_counts_by_weight() {
    let group = Group::new(&service(LeastConn, &[4, 1]), None);
    let mut held: Vec<Ticket> = Vec::new();
    for _ in 0..50 {
        held.push(group.pick(&key(), &[]).expect("a server"));
    }
    let active: Vec<u32> = group.servers().iter().map(|server| server.active()).collect();
    assert_eq!(active, [40, 10]);
    drop(held);
    assert_eq!(group.servers().iter().map(|server| server.active()).sum::<u32>(), 0);
}

#[test]
fn idle_servers_take_turns_under_least_conn() {
    let group = Group::new(&service(LeastConn, &[2, 1, 1]), None);
    assert_eq!(counts(&group, 3, 400), [200, 100, 100]);
}

#[test]
fn p2c_prefers_the_less_busy_of_two() {
    let group = Group::new(&service(P2c, &[1, 1]), None);
    let _busy = busy(&group, &[3, 0]);
    let counts = counts(&group, 2, 2_000);
    // Both are drawn but for one time in 2^8.
    assert!(counts[1] > 1_900, "{counts:?}");
}

#[test]
fn random_follows_weights() {
    let group = Group::new(&service(Random, &[3, 1]), None);
    let counts = counts(&group, 2, 8_000);
    assert!((5_600..6_400).contains(&counts[0]), "{counts:?}");
}

#[test]
fn least_time_prefers_the_faster_one_until_it_is_busier() {
    let group = Group::new(&service(LeastTime, &[1, 1]), None);
    let ticket = |at: usize| Ticket::of(&group.servers()[at]);
    let now = clock::now();
    for (at, millis) in [(0, 10), (1, 35)] {
        assert!(group.servers()[at].enter());
        ticket(at).say_at(false, Duration::from_millis(millis), now);
    }
    let mut held = Vec::new();
    for expected in [0, 0, 0, 1, 0] {
        let ticket = group.pick_at(&key(), &[], now).expect("a server");
        assert_eq!(number(&ticket), expected, "{:?}", held.len());
        held.push(ticket);
    }
}

#[test]
fn least_time_asks_a_slow_one_again_after_a_while() {
    let group = Group::new(&service(LeastTime, &[1, 1]), None);
    let now = clock::now();
    let say = |at: usize, millis: u64, now: u64| {
        assert!(group.servers()[at].enter());
        Ticket::of(&group.servers()[at]).say_at(false, Duration::from_millis(millis), now);
    };
    say(1, 100, now);
    say(0, 10, now);
    let later = now + clock::nanos(seconds(300));
    say(0, 10, later);
    assert_eq!(number(&group.pick_at(&key(), &[], later).expect("a server")), 1);
}

#[test]
fn a_client_stays_with_its_server_under_source_hash() {
    let group = Group::new(&service(SourceHash, &[1, 1, 1]), None);
    let of = |group: &Group, n: u32| number(&group.pick(&client(n), &[]).expect("a server"));
    let before: Vec<usize> = (0..3_000).map(|n| of(&group, n)).collect();
    for at in 0..3 {
        let share = before.iter().filter(|&&server| server == at).count();
        assert!((850..1_150).contains(&share), "{share}");
    }
    let mut less = service(SourceHash, &[1, 1, 1]);
    less.backends[1].health = down();
    let less = Group::new(&less, Some(&group));
    for n in 0..3_000 {
        let (old, new) = (before[n as usize], of(&less, n));
        assert!(new != 1 && (old == new || old == 1), "client {n} moved from {old} to {new}");
    }
}

#[test]
fn source_hash_follows_weights() {
    let group = Group::new(&service(SourceHash, &[3, 1]), None);
    let first =
        (0..8_000).filter(|&n| number(&group.pick(&client(n), &[]).expect("a server")) == 0);
    let first = first.count();
    assert!((5_700..6_300).contains(&first), "{first}");
}

#[test]
fn a_flow_stays_with_its_server_under_maglev() {
    let group = Group::new(&service(Maglev, &[1, 1, 2]), None);
    let of = |group: &Group, n: u32| number(&group.pick(&client(n), &[]).expect("a server"));
    let before: Vec<usize> = (0..4_000).map(|n| of(&group, n)).collect();
    assert_eq!(before, (0..4_000).map(|n| of(&group, n)).collect::<Vec<_>>());
    let heavy = before.iter().filter(|&&server| server == 2).count();
    assert!((1_800..2_200).contains(&heavy), "{heavy}");
}

#[test]
fn who_has_no_weight_is_drained_or_down_gets_nothing() {
    for algorithm in ALL {
        let mut service = service(algorithm, &[1, 0, 1, 1, 1]);
        service.backends[2].drained = true;
        service.backends[3].health = down();
        let group = Group::new(&service, None);
        for n in 0..200 {
            let ticket = group.pick(&client(n), &[]).expect("a server");
            assert!([0, 4].contains(&number(&ticket)), "{algorithm:?} {}", number(&ticket));
        }
    }
}

#[test]
fn nobody_to_pick_is_told() {
    for algorithm in ALL {
        let mut service = service(algorithm, &[1]);
        service.backends[0].health = down();
        for group in [Group::new(&service, None), Group::new(&self::service(algorithm, &[]), None)]
        {
            assert!(group.is_empty());
            assert_eq!(group.pick(&key(), &[]).map(|_| ()), Err(NoServer::None));
        }
    }
}

#[test]
fn whom_a_retry_avoids_gets_it_only_when_there_is_no_other() {
    for algorithm in ALL {
        let group = Group::new(&service(algorithm, &[1, 1, 1]), None);
        let avoid = [group.servers()[0].id(), group.servers()[2].id()];
        for n in 0..50 {
            assert_eq!(number(&group.pick(&client(n), &avoid).expect("a server")), 1);
        }
        let all: Vec<u64> = group.servers().iter().map(|server| server.id()).collect();
        assert!(group.pick(&key(), &all).is_ok());
    }
}

#[test]
fn a_server_that_fails_at_once_is_not_fast() {
    let group = Group::new(&service(LeastTime, &[1, 1]), None);
    for (at, status) in [(0, 200), (1, 503)] {
        assert!(group.servers()[at].enter());
        Ticket::of(&group.servers()[at]).finished(status, Duration::from_millis(10 - at as u64));
    }
    assert_eq!(counts(&group, 2, 20), [20, 0]);
}
