//! No reason and no event without a row.

use lb_common::{DropReason, Event};

/// The tables as text.
const TABLES: &[&str] = &[
    include_str!("back.rs"),
    include_str!("down.rs"),
    include_str!("forward.rs"),
    include_str!("frag.rs"),
    include_str!("icmp.rs"),
    include_str!("kit/world.rs"),
    include_str!("parse.rs"),
    include_str!("ports.rs"),
    include_str!("size.rs"),
    include_str!("table.rs"),
    include_str!("tcp.rs"),
    include_str!("udp.rs"),
    include_str!("vip.rs"),
];

#[test]
fn every_drop_reason_is_expected_by_a_row() {
    for reason in DropReason::ALL {
        // The tables of `parse` name the reason alone, behind an arrow.
        let names = [format!("DropReason::{reason:?}"), format!("=> {reason:?};")];
        let is_named = TABLES.iter().any(|table| names.iter().any(|name| table.contains(name)));
        assert!(is_named, "{reason:?}");
    }
}

#[test]
fn every_event_is_expected_by_a_row() {
    for event in Event::ALL {
        let names = [format!("Event::{event:?}"), format!("=> {event:?};")];
        let is_named = TABLES.iter().any(|table| names.iter().any(|name| table.contains(name)));
        assert!(is_named, "{event:?}");
    }
}
