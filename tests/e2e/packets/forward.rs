//! Full NAT towards the backend, byte for byte.

use lb_common::{TcpState, flow::VLAN_AD, flow::VLAN_TAGGED};

use super::{
    kit::{Action, CLIENT_IF, CLIENT_SIDE_MAC, Extra, Way, both, same_bytes, xdp},
    wire::{AD, L4, Packet, Q, Tcp, Udp, checksum, flag},
};

/// New flows, of every way and with whatever must come through as it was.
macro_rules! new_flows {
    ($($name:ident: $way:ident, $packet:expr;)+) => {
        both! { $(fn $name(w) {
            let packet: Packet = $packet;
            w.goes_up(Way::$way, &packet, &[]);
            w.has_flow(Way::$way, TcpState::New);
            let counted = w.counters(Way::$way.id());
            let sizes = (counted.total.packets, counted.total.bytes, counted.total.connections);
            assert_eq!(sizes, (1, packet.packet().len() as u64, 1));
            assert_eq!(counted.active, 1);
        })+ }
    };
}

new_flows! {
    a_tcp_syn: Tcp4, Way::Tcp4.up(flag::SYN);
    an_ipv6_tcp_syn: Tcp6, Way::Tcp6.up(flag::SYN);
    a_udp_datagram: Udp4, Way::Udp4.up(0);
    an_ipv6_udp_datagram: Udp6, Way::Udp6.up(0);
    a_syn_with_options: Tcp4, with_options(Way::Tcp4);
    an_ipv6_syn_with_options: Tcp6, with_options(Way::Tcp6);
    a_udp_datagram_without_checksum: Udp4, unsummed(Way::Udp4);
    an_ipv6_udp_datagram_without_checksum: Udp6, unsummed(Way::Udp6);
    an_empty_udp_datagram: Udp4, Packet { l4: L4::Udp(Udp::default()), ..Way::Udp4.up(0) };
    a_long_udp_datagram: Udp4, sized(Way::Udp4, 1472);
    an_odd_long_udp_datagram: Udp6, sized(Way::Udp6, 1451);
    type_of_service_df_and_id: Tcp4, Packet {
        tos: 0xb9, df: true, id: 0xbeef, ..Way::Tcp4.up(flag::SYN)
    };
    an_id_of_zero: Tcp4, Packet { id: 0, ..Way::Tcp4.up(flag::SYN) };
    traffic_class: Tcp6, Packet { tos: 0xb9, ..Way::Tcp6.up(flag::SYN) };
    a_ttl_of_two: Tcp4, Packet { ttl: 2, ..Way::Tcp4.up(flag::SYN) };
    a_ttl_of_255: Tcp4, Packet { ttl: 255, ..Way::Tcp4.up(flag::SYN) };
    a_hop_limit_of_two: Udp6, Packet { ttl: 2, ..Way::Udp6.up(0) };
    padding_to_the_least_frame: Udp4, Packet {
        trailer: 18, l4: L4::Udp(Udp::default()), ..Way::Udp4.up(0)
    };
}

both! {
    fn a_udp_checksum_that_comes_to_zero_is_sent_as_all_ones(w) {
        let packet = zero_sum(Way::Udp4);
        let wanted = Way::Udp4.forwarded(&packet).build();
        assert_eq!(wanted[40..42], [0xff, 0xff]);
        w.up(&packet).sends(&wanted, &[]);
    }
    fn an_ipv6_udp_checksum_that_comes_to_zero_is_sent_as_all_ones(w) {
        let packet = zero_sum(Way::Udp6);
        let wanted = Way::Udp6.forwarded(&packet).build();
        assert_eq!(wanted[60..62], [0xff, 0xff]);
        w.up(&packet).sends(&wanted, &[]);
    }
    fn data_follows_on_an_established_flow(w) {
        w.open(Way::Tcp4);
        for flags in [flag::ACK, flag::ACK | flag::PSH, flag::ACK | flag::URG] {
            w.goes_up(Way::Tcp4, &Way::Tcp4.up(flags), &[]);
        }
        w.has_flow(Way::Tcp4, TcpState::Established);
    }
    fn data_follows_on_an_established_ipv6_flow(w) {
        w.open(Way::Tcp6);
        w.goes_up(Way::Tcp6, &Way::Tcp6.up(flag::ACK), &[]);
    }
    fn a_client_port_of_one_is_kept(w) {
        w.goes_up(Way::Tcp4, &Way::Tcp4.from(Way::Tcp4.client_at(1), flag::SYN), &[]);
        assert_eq!(w.flow(Way::Tcp4.client_at(1)).nat, Way::Tcp4.nat(1));
    }
    fn two_clients_have_flows_of_their_own(w) {
        w.goes_up(Way::Tcp4, &Way::Tcp4.up(flag::SYN), &[]);
        let other = Way::Tcp4.client_at(4001);
        w.goes_up(Way::Tcp4, &Way::Tcp4.from(other, flag::SYN), &[]);
        assert_eq!(w.flows().len(), 2);
        assert_eq!(w.counters(Way::Tcp4.id()).active, 2);
    }
    fn tcp_and_udp_of_one_client_port_do_not_meet(w) {
        w.goes_up(Way::Tcp4, &Way::Tcp4.up(flag::SYN), &[]);
        w.goes_up(Way::Udp4, &Way::Udp4.up(0), &[]);
        assert_eq!(w.flow_count(), 2);
    }
    fn a_wrong_tcp_checksum_stays_as_wrong(w) {
        stays_wrong(w, &Way::Tcp4.up(flag::SYN), Way::Tcp4, 50);
    }
    fn a_wrong_ipv6_tcp_checksum_stays_as_wrong(w) {
        stays_wrong(w, &Way::Tcp6.up(flag::SYN), Way::Tcp6, 70);
    }
    fn a_wrong_udp_checksum_stays_as_wrong(w) {
        stays_wrong(w, &Way::Udp4.up(0), Way::Udp4, 40);
    }
    fn a_wrong_ipv4_header_checksum_stays_as_wrong(w) {
        stays_wrong(w, &Way::Tcp4.up(flag::SYN), Way::Tcp4, 24);
    }
}

/// XDP finds tags in the frame; in a test-run of lb_tc they would stand beside it.
macro_rules! tags {
    ($($name:ident: $tags:expr, $vlan:expr => $out:expr;)+) => {
        xdp! { $(fn $name(w) {
            w.set_backend(Way::Tcp4.id(), |b| b.vlan = $vlan);
            let packet = Packet { tags: $tags.to_vec(), ..Way::Tcp4.up(flag::SYN) };
            let out = Packet { tags: $out.to_vec(), ..Way::Tcp4.forwarded(&packet) };
            w.up(&packet).sends(&out.build(), &[]);
        })+ }
    };
}

/// Metadata that leaves no headroom: of the 256 bytes the kernel keeps 40 to itself.
const FULL: u32 = 216;

const NONE: [(u16, u16); 0] = [];

tags! {
    a_tag_goes_off_where_the_backend_has_none: [(Q, 7)], 0 => NONE;
    a_service_tag_goes_off: [(AD, 7)], 0 => NONE;
    a_tag_comes_on_for_the_backend: NONE, VLAN_TAGGED | 9 => [(Q, 9)];
    a_service_tag_comes_on: NONE, VLAN_TAGGED | VLAN_AD | 9 => [(AD, 9)];
    a_tag_becomes_another: [(Q, 7)], VLAN_TAGGED | 4094 => [(Q, 4094)];
    a_tag_becomes_a_service_tag: [(Q, 7)], VLAN_TAGGED | VLAN_AD | 7 => [(AD, 7)];
    the_same_tag_stays_with_its_priority: [(Q, 0xa007)], VLAN_TAGGED | 7 => [(Q, 0xa007)];
    priority_goes_with_its_tag: [(Q, 0xa007)], VLAN_TAGGED | 8 => [(Q, 8)];
    a_priority_tag_goes_off: [(Q, 0xe000)], 0 => NONE;
}

xdp! {
    fn a_tagged_ipv6_packet_is_forwarded(w) {
        let packet = Packet { tags: vec![(Q, 7)], ..Way::Udp6.up(0) };
        w.goes_up(Way::Udp6, &packet, &[]);
    }
    fn a_backend_by_the_clients_own_interface_is_sent_to_with_tx(w) {
        w.set_backend(Way::Tcp4.id(), |b| {
            (b.ifindex, b.src_mac) = (CLIENT_IF, CLIENT_SIDE_MAC);
        });
        let packet = Way::Tcp4.up(flag::SYN);
        let wanted = Packet { from: CLIENT_SIDE_MAC, ..Way::Tcp4.forwarded(&packet) };
        let seen = w.up(&packet);
        assert_eq!(seen.action, Action::Tx);
        same_bytes(&seen.frame, &wanted.build());
    }
    fn a_packet_of_several_buffers_is_forwarded_whole(w) {
        w.set_backend(Way::Udp4.id(), |b| b.mtu = 9000);
        w.set_config(|config| config.min_mtu = 9000);
        w.goes_up(Way::Udp4, &sized(Way::Udp4, 8900), &[]);
        assert_eq!(w.counters(Way::Udp4.id()).total.bytes, 8928);
    }
    fn a_frame_whose_headroom_is_taken_cannot_be_given_a_tag(w) {
        w.set_backend(Way::Tcp4.id(), |b| b.vlan = VLAN_TAGGED | 9);
        let frame = Way::Tcp4.up(flag::SYN).build();
        let seen = w.run_raw(CLIENT_IF, &frame, Extra { metadata: FULL, segment: 0 });
        seen.drops(lb_common::DropReason::Rewrite);
    }
    fn a_frame_with_metadata_is_forwarded(w) {
        let packet = Way::Tcp4.up(flag::SYN);
        let seen = w.run_raw(CLIENT_IF, &packet.build(), Extra { metadata: FULL, segment: 0 });
        seen.sends(&Way::Tcp4.forwarded(&packet).build(), &[]);
    }
}

fn with_options(way: Way) -> Packet {
    let mut options = vec![2, 4, 5, 0xb4, 4, 2, 8, 10];
    options.extend([0, 0, 0, 99, 0, 0, 0, 0, 1, 3, 3, 7]);
    let tcp = Tcp { flags: flag::SYN, seq: 0xffff_fffe, options, ..Tcp::default() };
    Packet { l4: L4::Tcp(tcp), ..way.up(flag::SYN) }
}

fn unsummed(way: Way) -> Packet {
    Packet { l4: L4::Udp(Udp { unsummed: true, data: vec![7; 20] }), ..way.up(0) }
}

fn sized(way: Way, bytes: usize) -> Packet {
    let data = (0..bytes).map(|at| (at * 7) as u8).collect();
    Packet { l4: L4::Udp(Udp { data, unsummed: false }), ..way.up(0) }
}

/// A datagram whose checksum at the backend comes to zero: what is missing to that stands in it.
fn zero_sum(way: Way) -> Packet {
    let packet = Packet { l4: L4::Udp(Udp { data: vec![0; 2], unsummed: false }), ..way.up(0) };
    let out = way.forwarded(&packet);
    let payload = out.payload();
    let addresses = [super::wire::octets(out.src.ip()), super::wire::octets(out.dst.ip())].concat();
    let length = (payload.len() as u32).to_be_bytes();
    let rest = checksum(&[&addresses, &length, &[0, 0, 0, 17], &payload[..6], &[0; 4]]);
    let data = rest.to_be_bytes().to_vec();
    Packet { l4: L4::Udp(Udp { data, unsummed: false }), ..packet }
}

/// NAT by differences: what was wrong by some amount is wrong by the same then.
fn stays_wrong(w: &super::kit::World, packet: &Packet, way: Way, at: usize) {
    let wrong = |mut frame: Vec<u8>| {
        let sum = u16::from_be_bytes([frame[at], frame[at + 1]]);
        let off = if sum > 0x8000 { sum - 0x1111 } else { sum + 0x1111 };
        frame[at..at + 2].copy_from_slice(&off.to_be_bytes());
        frame
    };
    let seen = w.run_raw(CLIENT_IF, &wrong(packet.build()), Extra::default());
    assert_eq!(seen.action, Action::Redirect);
    let out = way.forwarded(packet).build();
    // The sum over the header or segment is off by as much as it was.
    let error = |seen: &[u8], right: &[u8]| {
        let word = |bytes: &[u8]| u32::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]));
        (word(seen) + 0xffff - word(right)) % 0xffff
    };
    let (before, after) = (packet.build(), seen.frame.clone());
    assert_eq!(error(&after, &out), error(&wrong(before.clone()), &before));
    let mut repaired = after;
    repaired[at..at + 2].copy_from_slice(&out[at..at + 2]);
    same_bytes(&repaired, &out);
}
