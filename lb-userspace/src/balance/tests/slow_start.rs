//! New servers begin with a part of their weight.

use super::*;

/// Two servers that were there and one that is new, and when it came.
fn group(algorithm: Algorithm) -> (Group, u64) {
    let http = HttpBalancing { slow_start: seconds(100), ..HttpBalancing::default() };
    let old = Group::new(&with_http(service(algorithm, &[1, 1]), http.clone()), None);
    let new = Group::new(&with_http(service(algorithm, &[1, 1, 1]), http), Some(&old));
    let since = new.servers()[2].stats.since.load(std::sync::atomic::Ordering::Relaxed);
    (new, since)
}

fn counts_at(group: &Group, picks: u32, now: u64) -> [usize; 3] {
    let mut counts = [0; 3];
    for n in 0..picks {
        counts[number(&group.pick_at(&client(n), &[], now).expect("a server"))] += 1;
    }
    counts
}

#[test]
fn turns_are_taken_in_proportion_to_the_time() {
    let (group, since) = group(Algorithm::RoundRobin);
    let at = |percent: u64| since + clock::nanos(seconds(percent));
    // Half of its turns: 40 of 200 rather than 40 of 120.
    assert_eq!(counts_at(&group, 200, at(50)), [80, 80, 40]);
    assert_eq!(counts_at(&group, 300, at(100)), [100, 100, 100]);
    let [a, b, new] = counts_at(&group, 210, at(0));
    assert!((9..=11).contains(&new) && a.abs_diff(b) <= 1, "{a} {b} {new}");
}

#[test]
fn hashes_move_once_and_stay() {
    for algorithm in [Algorithm::SourceHash, Algorithm::Maglev] {
        let (group, since) = group(algorithm);
        let server = |n: u32, percent: u64| {
            let now = since + clock::nanos(seconds(percent));
            number(&group.pick_at(&client(n), &[], now).expect("a server"))
        };
        for n in 0..1_000 {
            let way: Vec<usize> = [0, 30, 60, 100].map(|percent| server(n, percent)).into();
            let moves = way.windows(2).filter(|pair| pair[0] != pair[1]).count();
            assert!(moves == 0 || (moves == 1 && way[3] == 2), "{algorithm:?} {way:?}");
        }
    }
}

#[test]
fn fewer_connections_are_a_full_load() {
    let (group, since) = group(Algorithm::LeastConn);
    let _held = busy(&group, &[2, 2, 1]);
    let half = since + clock::nanos(seconds(49));
    // 1 of a weight of 0.49 is more than 2 of 1.
    assert_ne!(number(&group.pick_at(&key(), &[], half).expect("a server")), 2);
    let full = since + clock::nanos(seconds(100));
    assert_eq!(number(&group.pick_at(&key(), &[], full).expect("a server")), 2);
}

#[test]
fn servers_of_a_new_service_start_at_once() {
    let http = HttpBalancing { slow_start: seconds(100), ..HttpBalancing::default() };
    let group = Group::new(&with_http(service(Algorithm::RoundRobin, &[1, 1]), http), None);
    assert_eq!(counts(&group, 2, 10), [5, 5]);
}

#[test]
fn one_that_was_down_starts_slowly_again() {
    let http = HttpBalancing { slow_start: seconds(100), ..HttpBalancing::default() };
    let all = with_http(service(Algorithm::RoundRobin, &[1, 1]), http);
    let mut less = all.clone();
    less.backends[1].health = down();
    let before = Group::new(&less, None);
    let group = Group::new(&all, Some(&before));
    assert!(group.servers()[1].share(clock::now()) < 0.5);
    assert_eq!(group.servers()[0].share(clock::now()), 1.0);
}
