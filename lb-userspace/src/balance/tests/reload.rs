//! What goes on over reloads.

use super::*;

#[test]
fn counts_and_numbers_stay_with_the_address() {
    let before = Group::new(&service(Algorithm::LeastConn, &[1, 1]), None);
    let held = busy(&before, &[3, 1]);
    let mut more = service(Algorithm::LeastConn, &[1, 1, 1]);
    more.backends.remove(1);
    let after = Group::new(&more, Some(&before));
    let active: Vec<u32> = after.servers().iter().map(|server| server.active()).collect();
    assert_eq!(active, [3, 0]);
    assert_eq!(after.servers()[0].id(), before.servers()[0].id());
    assert_ne!(after.servers()[1].id(), before.servers()[1].id());
    drop(held);
    assert_eq!(after.servers()[0].active(), 0);
}

#[test]
fn the_rotation_goes_on() {
    let before = Group::new(&service(Algorithm::RoundRobin, &[1, 1, 1]), None);
    assert_eq!((pick(&before), pick(&before)), (0, 1));
    let after = Group::new(&service(Algorithm::RoundRobin, &[1, 1, 1]), Some(&before));
    assert_eq!((pick(&after), pick(&after)), (2, 0));
}

#[test]
fn new_weights_are_in_force_at_once() {
    let before = Group::new(&service(Algorithm::RoundRobin, &[1, 1]), None);
    let mut changed = service(Algorithm::RoundRobin, &[1, 1]);
    changed.backends[0].weight_override = Some(3);
    let after = Group::new(&changed, Some(&before));
    assert_eq!(counts(&after, 2, 8), [6, 2]);
}

#[test]
fn a_removed_server_keeps_its_place_until_its_drain_time_is_over() {
    let mut leaving = service(Algorithm::RoundRobin, &[1, 1]);
    leaving.backends[0].leaving = true;
    let group = Group::new(&leaving, None);
    assert_eq!(group.servers().len(), 2);
    assert_eq!(counts(&group, 2, 4), [0, 4]);
    leaving.backends[0].expired = true;
    assert_eq!(Group::new(&leaving, Some(&group)).servers().len(), 1);
}

#[test]
fn another_algorithm_keeps_the_counts() {
    let before = Group::new(&service(Algorithm::RoundRobin, &[1, 1]), None);
    let _held = busy(&before, &[2, 0]);
    let after = Group::new(&service(Algorithm::LeastConn, &[1, 1]), Some(&before));
    let _one = after.pick(&key(), &[]).expect("a server");
    assert_eq!(pick(&after), 1);
}

#[test]
fn what_a_server_has_ends_when_it_is_gone_or_dead_and_reset_is_asked_for() {
    let base = service(Algorithm::RoundRobin, &[1, 1]);
    let first = Group::new(&base, None);
    let tickets = [first.pick(&key(), &[]).unwrap(), first.pick(&key(), &[]).unwrap()];
    let fates = || {
        let mut fates = [(false, false); 2];
        for ticket in &tickets {
            fates[number(ticket)] = (ticket.server().must_end(), ticket.server().is_lost());
        }
        fates
    };
    assert_eq!(fates(), [(false, false), (false, false)]);

    let mut changed = base.clone();
    changed.backends[0].health = down();
    changed.backends[1].drained = true;
    let second = Group::new(&changed, Some(&first));
    assert_eq!(fates(), [(false, true), (false, false)], "dead, and drained");

    changed.on_down = crate::model::OnDown::Reset;
    changed.backends[1].leaving = true;
    let third = Group::new(&changed, Some(&second));
    assert_eq!(fates(), [(true, true), (false, false)], "reset, and leaving");

    changed.backends[1].expired = true;
    changed.backends[0].health = crate::model::Health::default();
    Group::new(&changed, Some(&third));
    assert_eq!(fates(), [(false, false), (true, true)], "up again, and gone");
}
