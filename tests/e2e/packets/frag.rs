//! Fragments: later ones follow their first.

use lb_common::{DropReason, Event, TcpState, backend::flags};

use super::{
    answer,
    kit::{BACKEND_IF, CLIENT_IF, Way, World, both, same_bytes, xdp},
    wire::{Icmp, L4, Packet, Tcp, Udp, ext, flag, padding},
};

const FOLLOWED: &[Event] = &[Event::FragmentFollowed];
const ORPHAN: DropReason = DropReason::FragmentOrphan;

/// A client's packet in two, first and later one, and a new flow of it.
macro_rules! followed {
    ($($name:ident: $way:ident, $packet:expr, $cut:expr;)+) => {
        both! { $(fn $name(w) {
            let packet: Packet = $packet;
            goes_up_cut(w, Way::$way, &packet, $cut);
            w.has_flow(Way::$way, TcpState::New);
            assert_eq!(w.counters(Way::$way.id()).total.packets, 2);
        })+ }
    };
}

followed! {
    a_datagram_in_two: Udp4, long(Way::Udp4), 504;
    a_datagram_cut_behind_its_header: Udp4, long(Way::Udp4), 8;
    an_ipv6_datagram_in_two: Udp6, long(Way::Udp6), 504;
    a_tcp_segment_in_two: Tcp4, long(Way::Tcp4), 24;
    an_ipv6_tcp_segment_in_two: Tcp6, long(Way::Tcp6), 800;
    a_datagram_with_ip_options_in_two: Udp4, Packet {
        options: vec![1; 8], ..long(Way::Udp4)
    }, 504;
    an_unsummed_datagram_in_two: Udp4, {
        let l4 = L4::Udp(Udp { unsummed: true, data: vec![3; 1000] });
        Packet { l4, ..Way::Udp4.up(0) }
    }, 504;
    an_ipv6_datagram_with_extension_headers_in_two: Udp6, Packet {
        extensions: vec![padding(ext::DESTINATION, 1)], ..long(Way::Udp6)
    }, 504;
    an_ipv6_datagram_with_headers_behind_the_fragment_header_in_two: Udp6, Packet {
        inner_extensions: vec![padding(ext::DESTINATION, 1)], ..long(Way::Udp6)
    }, 504;
}

both! {
    fn a_reply_in_two_goes_back(w) {
        w.open(Way::Udp4);
        goes_down_cut(w, Way::Udp4, &[]);
        assert_eq!(w.counters(Way::Udp4.id()).total.reply_packets, 3);
    }
    fn an_ipv6_reply_in_two_goes_back(w) {
        w.open(Way::Udp6);
        goes_down_cut(w, Way::Udp6, &[]);
    }
    fn a_first_reply_in_two_establishes_and_goes_back(w) {
        w.goes_up(Way::Udp4, &Way::Udp4.up(0), &[]);
        goes_down_cut(w, Way::Udp4, &[Event::Established]);
        w.has_flow(Way::Udp4, TcpState::Established);
    }
    fn a_tcp_reply_in_two_goes_back(w) {
        w.open(Way::Tcp4);
        goes_down_cut(w, Way::Tcp4, &[]);
    }
    fn fragments_in_the_middle_follow_too(w) {
        let packet = long(Way::Udp4);
        let out = Way::Udp4.forwarded(&packet);
        w.run(CLIENT_IF, &packet.cut(104)[0]).sends(&out.cut(104)[0], &[]);
        let part = |packet: &Packet, at: usize| {
            let l4 = L4::Other(17, packet.payload()[at..at + 200].to_vec());
            Packet { l4, frag: Some((at as u16, true)), ..packet.clone() }
        };
        for at in [104, 304, 504] {
            w.up(&part(&packet, at)).sends(&part(&out, at).build(), FOLLOWED);
        }
    }
    fn a_later_fragment_may_come_twice(w) {
        let packet = long(Way::Udp4);
        goes_up_cut(w, Way::Udp4, &packet, 504);
        let out = Way::Udp4.forwarded(&packet);
        w.run(CLIENT_IF, &packet.cut(504)[1]).sends(&out.cut(504)[1], FOLLOWED);
    }
    fn two_datagrams_are_told_apart_by_their_ids(w) {
        let one = Packet { id: 1, ..long(Way::Udp4) };
        let other = Packet {
            id: 2, src: Way::Udp4.client_at(4001), ..long(Way::Udp4)
        };
        for packet in [&one, &other] {
            let out = Way::Udp4.forwarded(packet);
            w.run(CLIENT_IF, &packet.cut(504)[0]).sends(&out.cut(504)[0], &[]);
        }
        for packet in [&one, &other] {
            let out = Way::Udp4.forwarded(packet);
            w.run(CLIENT_IF, &packet.cut(504)[1]).sends(&out.cut(504)[1], FOLLOWED);
        }
        assert_eq!(w.flow_count(), 2);
    }
}

/// Later fragments whose first was not seen.
macro_rules! orphans {
    ($($name:ident: $way:ident, $first:expr, $later:expr;)+) => {
        both! { $(fn $name(w) {
            if let Some(first) = $first {
                let first: Packet = first;
                w.run(CLIENT_IF, &first.cut(504)[0]);
            }
            let later: Packet = $later;
            w.run(CLIENT_IF, &later.cut(504)[1]).drops(ORPHAN);
        })+ }
    };
}

orphans! {
    a_later_fragment_alone: Udp4, None::<Packet>, long(Way::Udp4);
    an_ipv6_later_fragment_alone: Udp6, None::<Packet>, long(Way::Udp6);
    a_later_tcp_fragment_alone: Tcp4, None::<Packet>, long(Way::Tcp4);
    a_later_fragment_of_another_id: Udp4, Some(long(Way::Udp4)), Packet {
        id: 9, ..long(Way::Udp4)
    };
    a_later_ipv6_fragment_of_another_id: Udp6, Some(long(Way::Udp6)), Packet {
        id: 0x1_1234, ..long(Way::Udp6)
    };
    a_later_fragment_of_another_client: Udp4, Some(long(Way::Udp4)), Packet {
        src: "192.0.2.3:4000".parse().unwrap(), ..long(Way::Udp4)
    };
    a_later_fragment_of_the_other_protocol: Udp4, Some(long(Way::Udp4)), long(Way::Tcp4);
}

both! {
    fn a_later_fragment_to_elsewhere_passes(w) {
        let dst = "203.0.113.9:53".parse().unwrap();
        for frame in (Packet { dst, ..long(Way::Udp4) }).cut(504) {
            w.run(CLIENT_IF, &frame).passes(&frame);
        }
    }
    fn a_datagram_in_two_to_another_port_of_the_vip_passes(w) {
        let dst = "198.51.100.10:54".parse().unwrap();
        passes_whole(w, &Packet { dst, ..long(Way::Udp4) });
    }
    fn an_ipv6_datagram_in_two_to_another_port_of_the_vip_passes(w) {
        let dst = "[2001:db8:100::10]:54".parse().unwrap();
        passes_whole(w, &Packet { dst, ..long(Way::Udp6) });
    }
    fn a_long_echo_request_to_a_vip_passes(w) {
        passes_whole(w, &echo(Way::Tcp4, 8));
    }
    fn a_long_ipv6_echo_request_to_a_vip_passes(w) {
        passes_whole(w, &echo(Way::Tcp6, 128));
    }
    fn another_protocol_in_two_passes(w) {
        passes_whole(w, &Packet { l4: L4::Other(47, vec![1; 1000]), ..Way::Tcp4.up(0) });
    }
    fn another_protocol_in_two_passes_in_ipv6(w) {
        passes_whole(w, &Packet { l4: L4::Other(50, vec![1; 1000]), ..Way::Tcp6.up(0) });
    }
    fn a_fragmented_icmp_error_is_the_hosts(w) {
        w.open(Way::Udp4);
        let body = Way::Udp4.forwarded(&Way::Udp4.up(0)).quoted(1000);
        let l4 = L4::Icmp(Icmp { kind: 3, code: 3, rest: 0, body });
        let error = Packet { l4, ..Way::Udp4.down(0) };
        for frame in error.cut(40) {
            w.run(BACKEND_IF, &frame).passes(&frame);
        }
    }
    fn a_later_reply_without_its_first_is_the_hosts(w) {
        w.open(Way::Udp4);
        let frame = reply(Way::Udp4).cut(504)[1].clone();
        w.run(BACKEND_IF, &frame).passes(&frame);
    }
    fn a_first_fragment_without_a_whole_header_is_malformed(w) {
        let seen = w.run(CLIENT_IF, &long(Way::Tcp4).cut(16)[0]);
        seen.drops(DropReason::Malformed);
    }
    fn a_later_fragment_of_a_flow_that_is_gone_is_an_orphan(w) {
        let [first, later] = long(Way::Udp4).cut(504);
        w.run(CLIENT_IF, &first);
        w.lane.forget_flows().unwrap();
        w.run(CLIENT_IF, &later).drops(ORPHAN);
    }
    fn a_later_fragment_at_its_last_hop_is_dropped_without_an_answer(w) {
        let packet = long(Way::Udp4);
        w.run(CLIENT_IF, &packet.cut(504)[0]);
        let later = Packet { ttl: 1, ..packet }.cut(504)[1].clone();
        w.run(CLIENT_IF, &later).drops(DropReason::TtlExceeded);
    }
    fn a_first_fragment_at_its_last_hop_is_answered(w) {
        let packet = Packet { ttl: 1, ..long(Way::Udp4) };
        let quoted = Packet {
            l4: L4::Other(17, packet.payload()[..504].to_vec()),
            frag: Some((0, true)),
            ..packet.clone()
        };
        let answer = answer::error(&quoted, 11, 0, 0);
        let seen = w.run(CLIENT_IF, &packet.cut(504)[0]);
        w.answers(&seen, &answer, DropReason::TtlExceeded, Event::IcmpSent);
    }
    fn a_later_fragment_beyond_the_mtu_is_dropped_without_an_answer(w) {
        let packet = long(Way::Udp4);
        w.run(CLIENT_IF, &packet.cut(104)[0]);
        w.set_config(|config| config.min_mtu = 576);
        w.set_backend(Way::Udp4.id(), |b| b.mtu = 576);
        w.run(CLIENT_IF, &packet.cut(104)[1]).drops(DropReason::TooBig);
    }
    fn a_later_fragment_without_a_next_hop_is_dropped(w) {
        let packet = long(Way::Udp4);
        w.run(CLIENT_IF, &packet.cut(504)[0]);
        w.set_backend(Way::Udp4.id(), |b| b.flags &= !flags::RESOLVED);
        w.run(CLIENT_IF, &packet.cut(504)[1]).drops(DropReason::Unresolved);
    }
}

xdp! {
    fn a_later_fragment_to_a_backend_out_of_reach_is_left_to_tc(w) {
        let [first, later] = long(Way::Udp4).cut(504);
        w.run(CLIENT_IF, &first);
        w.set_backend(Way::Udp4.id(), |b| b.flags &= !flags::XDP);
        let seen = w.run(CLIENT_IF, &later);
        same_bytes(&seen.frame, &later);
        seen.counts(&[], &[Event::ToTc]);
    }
    fn tagged_fragments_lose_their_tags_alike(w) {
        let packet = Packet { tags: vec![(0x8100, 7)], ..long(Way::Udp4) };
        goes_up_cut(w, Way::Udp4, &packet, 504);
    }
}

/// A thousand bytes and more of a client.
fn long(way: Way) -> Packet {
    let data: Vec<u8> = (0..1001).map(|at| (at * 5) as u8).collect();
    let l4 = match way.is_tcp() {
        true => L4::Tcp(Tcp { flags: flag::SYN, seq: 1, data, ..Tcp::default() }),
        false => L4::Udp(Udp { data, unsummed: false }),
    };
    Packet { l4, ..way.up(0) }
}

fn echo(way: Way, kind: u8) -> Packet {
    let body = (0..1200).map(|at| at as u8).collect();
    Packet { l4: L4::Icmp(Icmp { kind, code: 0, rest: 1, body }), ..way.up(0) }
}

fn goes_up_cut(w: &World, way: Way, packet: &Packet, cut: usize) {
    let (sent, out) = (packet.cut(cut), way.forwarded(packet).cut(cut));
    w.run(CLIENT_IF, &sent[0]).sends(&out[0], &[]);
    w.run(CLIENT_IF, &sent[1]).sends(&out[1], FOLLOWED);
}

/// A thousand bytes and more of the backend.
fn reply(way: Way) -> Packet {
    let flags = if way.is_tcp() { flag::ACK } else { 0 };
    let mut l4 = long(way).l4;
    if let L4::Tcp(tcp) = &mut l4 {
        tcp.flags = flags;
    }
    Packet { l4, ..way.down(0) }
}

fn goes_down_cut(w: &World, way: Way, events: &[Event]) {
    let reply = reply(way);
    let (sent, out) = (reply.cut(504), way.replied(&reply).cut(504));
    w.run(BACKEND_IF, &sent[0]).sends(&out[0], events);
    w.run(BACKEND_IF, &sent[1]).sends(&out[1], FOLLOWED);
}

/// Both parts are the host's, whatever the second alone would look like.
fn passes_whole(w: &World, packet: &Packet) {
    for frame in packet.cut(504) {
        w.run(CLIENT_IF, &frame).passes(&frame);
    }
    assert_eq!(w.flows(), []);
}
