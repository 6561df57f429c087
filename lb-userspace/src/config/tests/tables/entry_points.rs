//! Addresses of entry points.

use super::*;

fn read(address: &str) -> (Option<IpAddr>, u16, Protocol) {
    let loaded = sound(&format!("entryPoints: {{ e: {{ address: \"{address}\" }} }}"));
    let entry_point = &loaded.entry_points["e"];
    assert_eq!(entry_point.name, "e");
    (entry_point.ip, entry_point.port, entry_point.protocol)
}

fn ip(text: &str) -> Option<IpAddr> {
    Some(text.parse().expect("an address"))
}

rows! {
    a_port_alone: read(":80") => (None, 80, Protocol::Tcp);
    a_port_and_udp: read(":53/udp") => (None, 53, Protocol::Udp);
    v4: read("198.51.100.10:5432") => (ip("198.51.100.10"), 5432, Protocol::Tcp);
    v4_and_tcp: read("198.51.100.10:5432/tcp") => (ip("198.51.100.10"), 5432, Protocol::Tcp);
    v4_and_udp: read("198.51.100.10:53/udp") => (ip("198.51.100.10"), 53, Protocol::Udp);
    v6: read("[2001:db8::1]:80") => (ip("2001:db8::1"), 80, Protocol::Tcp);
    v6_and_udp: read("[2001:db8::1]:53/udp") => (ip("2001:db8::1"), 53, Protocol::Udp);
    v6_written_long: read("[2001:0DB8:0:0::0001]:80") => (ip("2001:db8::1"), 80, Protocol::Tcp);
    the_lowest_port: read("198.51.100.10:1") => (ip("198.51.100.10"), 1, Protocol::Tcp);
    the_highest_port: read("198.51.100.10:65535") => (ip("198.51.100.10"), 65_535, Protocol::Tcp);
    loopback: read("127.0.0.1:80") => (ip("127.0.0.1"), 80, Protocol::Tcp);
}

#[test]
fn one_port_for_tcp_and_udp() {
    let text = "entryPoints: { a: { address: ':53' }, b: { address: ':53/udp' } }";
    assert_eq!(sound(text).entry_points.len(), 2);
}

#[test]
fn one_port_on_every_address_and_on_one() {
    let text = "entryPoints: { a: { address: ':53' }, b: { address: '198.51.100.10:53' } }";
    assert_eq!(sound(text).entry_points.len(), 2);
}
