//! NAT ports: the client's own while it is free, another otherwise, and who gives up its own
//! under shortage.

use std::net::{SocketAddr, TcpListener, UdpSocket};

use lb_common::{DropReason, Event, TcpState, addr::from_ip};

use super::{
    kit::{Action, Way, World, both, segment, vip, xdp},
    peers::{PORT, connection},
    wire::{L4, Packet, Tcp, flag},
};

use flag::{ACK, FIN, SYN};

const WAY: Way = Way::Tcp4;
const TRANSLATED: &[Event] = &[Event::PortTranslated];

both! {
    fn the_clients_port_is_kept_whatever_it_is(w) {
        for port in [1, 80, 1023, 1024, 32_767, 32_768, 60_999, 61_000, 65_535] {
            let client = WAY.client_at(port);
            w.goes_up(WAY, &WAY.from(client, SYN), &[]);
            assert_eq!(w.flow(client).nat, WAY.nat(port));
        }
    }
    fn a_port_that_is_taken_becomes_one_of_the_range(w) {
        translated(w, WAY, "192.0.2.3:4000");
    }
    fn a_udp_port_that_is_taken_becomes_one_of_the_range(w) {
        translated(w, Way::Udp4, "192.0.2.3:4000");
    }
    fn an_ipv6_port_that_is_taken_becomes_one_of_the_range(w) {
        translated(w, Way::Tcp6, "[2001:db8:1::3]:4000");
    }
    fn a_udp_port_in_ipv6_that_is_taken_becomes_one_of_the_range(w) {
        translated(w, Way::Udp6, "[2001:db8:1::3]:4000");
    }
    fn one_client_port_to_two_vips_of_one_backend_is_translated_once(w) {
        let second: SocketAddr = "198.51.100.10:443".parse().unwrap();
        w.change(|view| { view.vips.insert(9, vip(second, 6, 0, 1)); });
        w.goes_up(WAY, &WAY.up(SYN), &[]);
        let packet = Packet { dst: second, ..WAY.up(SYN) };
        let seen = w.up(&packet);
        seen.counts(&[], TRANSLATED);
        assert_eq!(w.flow_count(), 2);
    }
    fn one_client_port_to_two_backends_is_kept_twice(w) {
        let second: SocketAddr = "198.51.100.10:443".parse().unwrap();
        w.serve(WAY, 0, &[11]);
        w.change(|view| { view.vips.insert(9, vip(second, 6, 0, 1)); });
        w.up(&WAY.up(SYN)).counts(&[], &[]);
        w.goes_up(WAY, &Packet { dst: second, ..WAY.up(SYN) }, &[]);
        assert!(w.flows().iter().all(|flow| flow.nat == WAY.nat(4000)));
    }
    fn several_nat_addresses_share_the_flows(w) {
        w.change(|view| { view.nats.insert(2, from_ip([10, 0, 1, 2].into())); });
        w.change(|view| { view.nats.insert(3, from_ip([10, 0, 1, 3].into())); });
        w.set_backend(0, |b| (b.nat_first, b.nat_count) = (2, 2));
        for port in 1..60 {
            w.up(&WAY.from(WAY.client_at(port), SYN)).counts(&[], &[]);
        }
        let by = |ip: &str| w.flows().iter().filter(|f| f.nat.ip().to_string() == ip).count();
        let shares = (by("10.0.1.2"), by("10.0.1.3"));
        assert_eq!(shares.0 + shares.1, 59);
        assert!(shares.0 > 10 && shares.1 > 10, "{shares:?}");
    }
    fn ports_of_health_checks_are_not_kept(w) {
        w.set_config(|config| (config.own_port_first, config.own_port_last) = (3990, 4010));
        let flow = w.connect_counting(WAY, WAY.client(), TRANSLATED);
        assert!((1024..=32_767).contains(&flow) && !(3990..=4010).contains(&flow), "{flow}");
        w.goes_up(WAY, &WAY.from(WAY.client_at(3989), SYN), &[]);
        w.goes_up(WAY, &WAY.from(WAY.client_at(4011), SYN), &[]);
    }
    fn ports_of_health_checks_are_not_chosen_either(w) {
        range(w, 5000, 5007);
        w.set_config(|config| (config.own_port_first, config.own_port_last) = (5000, 5006));
        w.goes_up(WAY, &WAY.up(SYN), &[]);
        assert_eq!(w.connect_counting(WAY, host(3), TRANSLATED), 5007);
    }
    fn every_port_of_a_small_range_is_used(w) {
        range(w, 5000, 5031);
        w.goes_up(WAY, &WAY.up(SYN), &[]);
        let mut ports: Vec<u16> =
            (3..35).map(|n| w.connect_counting(WAY, host(n), TRANSLATED)).collect();
        ports.sort_unstable();
        assert!(ports.into_iter().eq(5000..=5031));
    }
    fn when_all_ports_are_taken_that_is_counted(w) {
        let taken = exhaust(w, TcpState::Established);
        w.up(&WAY.from(host(9), SYN)).drops(DropReason::PortsExhausted);
        assert_eq!(w.flows().len(), taken);
        assert_eq!(w.entries(), (taken as u64, 0));
        assert_eq!(w.counters(0).active, taken as u64);
    }
    fn an_ipv6_client_finds_no_port_either(w) {
        range(w, 5000, 5000);
        for n in [2, 3] {
            w.establish(Way::Tcp6, host6(n));
        }
        w.up(&Way::Tcp6.from(host6(4), SYN)).drops(DropReason::PortsExhausted);
    }
    fn a_half_open_flow_gives_its_port_up(w) {
        let taken = exhaust(w, TcpState::New);
        let event = &[Event::HalfOpenPortReused];
        let port = w.connect_counting(WAY, host(9), event);
        assert!((5000..=5001).contains(&port), "{port}");
        assert_eq!(w.flows().len(), taken);
        assert_eq!(w.counters(0).active, taken as u64);
    }
    fn a_flow_that_a_rst_closed_gives_its_port_up(w) {
        exhaust(w, TcpState::Established);
        w.up(&WAY.from(host(3), flag::RST));
        let freed = w.flow(host(3)).nat.port();
        let port = w.connect_counting(WAY, host(9), &[Event::ClosedPortReused]);
        assert_eq!(port, freed);
        assert!(w.flows().iter().all(|flow| flow.client != host(3)));
    }
    fn a_closed_flow_gives_its_port_up_before_a_half_open_one(w) {
        range(w, 5000, 5001);
        w.establish(WAY, host(2));
        w.establish(WAY, host(3));
        w.connect(WAY, host(4));
        let freed = w.flow(host(3)).nat.port();
        w.closes(host(3), [false, true], &[]);
        assert_eq!(w.connect_counting(WAY, host(9), &[Event::ClosedPortReused]), freed);
        assert_eq!(w.flow(host(4)).state, TcpState::New);
    }
    fn a_flow_that_is_closing_keeps_its_port(w) {
        exhaust(w, TcpState::Established);
        w.up(&WAY.from(host(3), FIN | ACK));
        w.up(&WAY.from(host(9), SYN)).drops(DropReason::PortsExhausted);
    }
    fn a_flow_whose_time_is_up_gives_its_port_up(w) {
        exhaust(w, TcpState::Established);
        w.set_config(|config| config.tcp_established = 0);
        w.tick();
        w.connect_counting(WAY, host(9), &[Event::ClosedPortReused]);
    }
    fn a_udp_flow_whose_time_is_up_gives_its_port_up(w) {
        range(w, 5000, 5000);
        for client in ["192.0.2.2:4000", "192.0.2.3:4000"] {
            w.establish(Way::Udp4, client.parse().unwrap());
        }
        w.up(&Way::Udp4.from(host(9), 0)).drops(DropReason::PortsExhausted);
        w.set_config(|config| config.udp = 0);
        w.tick();
        w.connect_counting(Way::Udp4, host(9), &[Event::ClosedPortReused]);
    }
    fn an_unanswered_udp_flow_gives_its_port_up(w) {
        range(w, 5000, 5000);
        w.connect(Way::Udp4, host(2));
        w.connect(Way::Udp4, host(3));
        assert_eq!(w.connect_counting(Way::Udp4, host(9), &[Event::HalfOpenPortReused]), 5000);
    }
    fn a_socket_of_the_host_keeps_its_udp_port(w) {
        let _socket = UdpSocket::bind("0.0.0.0:40000").unwrap();
        let port = w.connect_counting(Way::Udp4, Way::Udp4.client_at(40_000), TRANSLATED);
        assert!((1024..=32_767).contains(&port), "{port}");
        w.goes_up(Way::Udp4, &Way::Udp4.from(Way::Udp4.client_at(40_001), 0), &[]);
    }
    fn a_socket_of_the_host_keeps_its_udp_port_in_ipv6(w) {
        let _socket = UdpSocket::bind("[::]:40000").unwrap();
        w.connect_counting(Way::Udp6, Way::Udp6.client_at(40_000), TRANSLATED);
    }
    fn a_connection_of_the_host_to_the_backend_keeps_its_port(w) {
        let ns = w.lane.ns.clone();
        ns.ip_batch("addr add 10.0.1.1/32 dev lo\naddr add 10.0.1.11/32 dev lo\n").unwrap();
        let _held = connection(WAY);
        w.connect_counting(WAY, WAY.client_at(PORT), TRANSLATED);
        w.goes_up(WAY, &WAY.from(WAY.client_at(40_001), SYN), &[]);
        ns.ip("addr flush dev lo scope global").unwrap();
    }
    fn a_listener_of_the_host_does_not_keep_the_port(w) {
        let _listener = TcpListener::bind("0.0.0.0:40000").unwrap();
        w.goes_up(WAY, &WAY.from(WAY.client_at(40_000), SYN), &[]);
    }
}

/// Both flows of a range of one port are taken; the one that holds the range's port is closed, and
/// a new client's SYN comes. Is its port free for it (the backend in TIME_WAIT takes a SYN only
/// where it is newer), or taken for want of any?
macro_rules! time_wait {
    ($($name:ident: $backend_first:expr, $old:expr, $syn:expr => $event:ident;)+) => {
        xdp! { $(fn $name(w) {
            range(w, 5000, 5000);
            w.establish(WAY, host(2));
            w.establish(WAY, host(3));
            let order = if $backend_first { [true, false] } else { [false, true] };
            w.closes(host(3), order, &stamp($old));
            let (seq, ts): (u32, Option<u32>) = $syn;
            let options = stamp(ts);
            let tcp = Tcp { flags: SYN, seq, options, ..Tcp::default() };
            let seen = w.up(&Packet { l4: L4::Tcp(tcp), ..WAY.from(host(9), SYN) });
            seen.counts(&[], &[Event::$event]);
            assert_eq!(w.flow(host(9)).nat.port(), 5000);
        })+ }
    };
}

// The client's next number is 1002: 1001, and its FIN.
time_wait! {
    a_newer_sequence_number_may_follow: true, None, (1003, None) => ClosedPortReused;
    an_older_sequence_number_takes_the_port_only_for_want: true, None, (1000, None) => HalfOpenPortReused;
    the_same_sequence_number_takes_the_port_only_for_want: true, None, (1002, None) => HalfOpenPortReused;
    sequence_numbers_wrap: true, None, (0x8000_0000, None) => ClosedPortReused;
    sequence_numbers_wrap_the_other_way: true, None, (0x8000_0500, None) => HalfOpenPortReused;
    a_newer_timestamp_may_follow: true, Some(500), (1, Some(501)) => ClosedPortReused;
    an_older_timestamp_takes_the_port_only_for_want: true, Some(500), (9999, Some(499)) => HalfOpenPortReused;
    the_same_timestamp_takes_the_port_only_for_want: true, Some(500), (9999, Some(500)) => HalfOpenPortReused;
    a_timestamp_on_one_side_alone_does_not_count: true, Some(500), (9999, None) => ClosedPortReused;
    where_the_client_closed_first_any_may_follow: false, None, (1, None) => ClosedPortReused;
    where_the_client_closed_first_timestamps_do_not_matter: false, Some(500), (1, Some(1)) => ClosedPortReused;
}

xdp! {
    fn a_timestamp_behind_mss_and_sack_is_found(w) {
        range(w, 5000, 5000);
        w.establish(WAY, host(2));
        w.establish(WAY, host(3));
        w.closes(host(3), [true, false], &stamp(Some(500)));
        let mut options = vec![2, 4, 5, 0xb4, 4, 2, 8, 10];
        options.extend([501u32.to_be_bytes(), [0; 4]].concat());
        let tcp = Tcp { flags: SYN, seq: 1, options, ..Tcp::default() };
        let seen = w.up(&Packet { l4: L4::Tcp(tcp), ..WAY.from(host(9), SYN) });
        seen.counts(&[], &[Event::ClosedPortReused]);
    }
}

/// Clients that share the usual one's port.
fn host(n: u8) -> SocketAddr {
    ([192, 0, 2, n], 4000).into()
}

fn host6(n: u8) -> SocketAddr {
    format!("[2001:db8:1::{n:x}]:4000").parse().unwrap()
}

fn range(w: &mut World, first: u16, last: u16) {
    w.set_config(|config| (config.nat_port_first, config.nat_port_last) = (first, last));
}

/// Takes the usual client's port and a range of two, by flows that come to this state; how many.
fn exhaust(w: &mut World, state: TcpState) -> usize {
    range(w, 5000, 5001);
    for n in [2, 3, 4] {
        let flow = if state == TcpState::New {
            w.connect(WAY, host(n))
        } else {
            w.establish(WAY, host(n))
        };
        assert_eq!(flow.state, state);
    }
    3
}

/// A second client with the port of the first: both get their own replies.
fn translated(w: &World, way: Way, other: &str) {
    let other: SocketAddr = other.parse().unwrap();
    w.goes_up(way, &way.up(SYN), &[]);
    let packet = way.from(other, SYN);
    let seen = w.up(&packet);
    let port = w.flow(other).nat.port();
    assert!((1024..=32_767).contains(&port) && port != 4000, "{port}");
    let wanted = Packet { src: way.nat(port), ..way.forwarded(&packet) };
    seen.sends(&wanted.build(), TRANSLATED);
    let l4 = if way.is_tcp() { segment(SYN | ACK, 1, 1001) } else { way.down(0).l4 };
    let established: &[Event] = if way.is_tcp() { &[] } else { &[Event::Established] };
    let reply = Packet { l4, ..way.answer(port, 0) };
    let wanted = Packet { dst: other, ..way.replied(&reply) };
    w.down(&reply).sends(&wanted.build(), established);
    w.goes_down(way, &Packet { dst: way.nat(4000), ..reply }, established);
}

/// The option words NOP, NOP, timestamp; none without one.
fn stamp(ts: Option<u32>) -> Vec<u8> {
    let stamp = |ts: u32| [&[1, 1, 8, 10][..], &ts.to_be_bytes(), &[0; 4]].concat();
    ts.map(stamp).unwrap_or_default()
}

impl World {
    /// A new flow's NAT port; nothing but these events may be counted.
    fn connect_counting(&self, way: Way, client: SocketAddr, events: &[Event]) -> u16 {
        let seen = self.up(&way.from(client, SYN));
        assert_eq!(seen.action, Action::Redirect, "{:?}", seen.counted);
        seen.counts(&[], events);
        self.flow(client).nat.port()
    }

    /// Both sides of an established flow close it, in this order: the backend where `true`.
    fn closes(&self, client: SocketAddr, order: [bool; 2], options: &[u8]) {
        let port = self.flow(client).nat.port();
        for is_backend in order {
            let seen = if is_backend {
                self.down(&Packet { l4: segment(FIN | ACK, 7001, 1001), ..WAY.answer(port, 0) })
            } else {
                let (flags, options) = (FIN | ACK, options.to_vec());
                let tcp = Tcp { flags, seq: 1001, ack: 7002, options, ..Tcp::default() };
                self.up(&Packet { l4: L4::Tcp(tcp), ..WAY.from(client, 0) })
            };
            assert_eq!(seen.action, Action::Redirect);
        }
        assert_eq!(self.flow(client).state, TcpState::Closed);
    }
}
