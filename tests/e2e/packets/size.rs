//! TTL and MTU: what lb answers itself (RFC 792, RFC 4443, RFC 1191, RFC 8201).

use lb_common::{DropReason, Event};

use super::{
    answer,
    kit::{Action, BACKEND_IF, CLIENT_IF, Extra, Way, World, both, syn_ack, tc, xdp},
    wire::{Icmp, L4, Packet, Q, Tcp, Udp, ext, flag, padding},
};

/// Packets whose TTL is used up: the error that comes back.
macro_rules! expired {
    ($($name:ident: $way:ident, $packet:expr;)+) => {
        both! { $(fn $name(w) {
            let packet: Packet = $packet;
            let kind = if packet.src.is_ipv4() { 11 } else { 3 };
            let answer = answer::error(&packet, kind, 0, 0);
            w.answers(&w.up(&packet), &answer, DropReason::TtlExceeded, Event::IcmpSent);
        })+ }
    };
}

expired! {
    a_tcp_packet_with_a_ttl_of_one: Tcp4, last(Way::Tcp4);
    a_udp_packet_with_a_ttl_of_one: Udp4, last(Way::Udp4);
    an_ipv6_tcp_packet_with_a_hop_limit_of_one: Tcp6, last(Way::Tcp6);
    an_ipv6_udp_packet_with_a_hop_limit_of_one: Udp6, last(Way::Udp6);
    a_ttl_of_zero: Tcp4, Packet { ttl: 0, ..last(Way::Tcp4) };
    options_are_quoted: Tcp4, Packet { options: vec![1; 40], ..last(Way::Tcp4) };
    extension_headers_are_quoted: Udp6, Packet {
        extensions: vec![padding(ext::DESTINATION, 3), padding(ext::DESTINATION, 1)],
        ..last(Way::Udp6)
    };
    as_many_extension_headers_as_there_may_be_are_quoted: Tcp6, Packet {
        extensions: vec![padding(ext::DESTINATION, 33)],
        ..last(Way::Tcp6)
    };
    padding_is_not_quoted: Udp4, Packet { trailer: 18, ..last(Way::Udp4) };
    an_empty_datagram_is_quoted: Udp4, Packet { l4: L4::Udp(Udp::default()), ..last(Way::Udp4) };
    an_unsummed_datagram_is_quoted: Udp4, Packet {
        l4: L4::Udp(Udp { unsummed: true, data: vec![5; 30] }), ..last(Way::Udp4)
    };
    tcp_options_are_not_quoted: Tcp4, Packet {
        l4: L4::Tcp(Tcp { flags: flag::SYN, options: vec![1; 20], ..Tcp::default() }),
        ..last(Way::Tcp4)
    };
    a_type_of_service_is_quoted: Tcp4, Packet { tos: 0xb8, df: true, ..last(Way::Tcp4) };
}

both! {
    fn a_reply_with_a_ttl_of_one_is_answered_to_the_backend(w) {
        w.open(Way::Tcp4);
        let packet = Packet { ttl: 1, ..Way::Tcp4.down(flag::ACK) };
        let answer = answer::error(&packet, 11, 0, 0);
        w.answers(&w.down(&packet), &answer, DropReason::TtlExceeded, Event::IcmpSent);
    }
    fn an_icmp_error_with_a_ttl_of_one_is_not_answered(w) {
        w.open(Way::Udp4);
        let body = Way::Udp4.forwarded(&Way::Udp4.up(0)).quoted(8);
        let icmp = L4::Icmp(Icmp { kind: 3, code: 3, rest: 0, body });
        let packet = Packet { ttl: 1, l4: icmp, ..Way::Udp4.down(0) };
        w.down(&packet).drops(DropReason::TtlExceeded);
    }
}

/// Packets of so many bytes over a way that takes 1,400: `true` where they go through.
macro_rules! sizes {
    ($($name:ident: $way:ident, $bytes:expr, $df:expr => $goes:expr;)+) => {
        both! { $(fn $name(w) {
            narrow(w);
            let packet = Packet { df: $df, ..sized(Way::$way, $bytes) };
            if $goes {
                w.goes_up(Way::$way, &packet, &[]);
            } else {
                let v4 = packet.src.is_ipv4();
                let (kind, code) = if v4 { (3, 4) } else { (2, 0) };
                let answer = answer::error(&packet, kind, code, 1400);
                w.answers(&w.up(&packet), &answer, DropReason::TooBig, Event::IcmpSent);
            }
        })+ }
    };
}

sizes! {
    exactly_the_mtu_goes_through: Udp4, 1400, true => true;
    one_byte_more_is_too_big: Udp4, 1401, true => false;
    too_big_without_df_is_answered_as_well: Udp4, 1401, false => false;
    a_tcp_segment_of_the_mtu_goes_through: Tcp4, 1400, true => true;
    a_tcp_segment_beyond_the_mtu_is_too_big: Tcp4, 1500, true => false;
    an_ipv6_packet_of_the_mtu_goes_through: Udp6, 1400, false => true;
    an_ipv6_packet_beyond_the_mtu_is_too_big: Udp6, 1401, false => false;
    an_ipv6_tcp_segment_beyond_the_mtu_is_too_big: Tcp6, 1500, false => false;
}

both! {
    fn a_reply_beyond_the_mtu_is_answered_to_the_backend(w) {
        w.up(&Way::Udp4.up(0));
        narrow_back(w);
        let packet = Packet { df: true, l4: sized(Way::Udp4, 1401).l4, ..Way::Udp4.down(0) };
        let answer = answer::error(&packet, 3, 4, 1400);
        w.answers(&w.down(&packet), &answer, DropReason::TooBig, Event::IcmpSent);
    }
    fn an_ipv6_reply_beyond_the_mtu_is_answered_to_the_backend(w) {
        w.up(&Way::Tcp6.up(flag::SYN));
        w.goes_down(Way::Tcp6, &syn_ack(Way::Tcp6, 4000), &[]);
        narrow_back(w);
        let packet = Packet { l4: sized(Way::Tcp6, 1401).l4, ..Way::Tcp6.down(0) };
        let answer = answer::error(&packet, 2, 0, 1400);
        w.answers(&w.down(&packet), &answer, DropReason::TooBig, Event::IcmpSent);
    }
    fn a_reply_of_the_mtu_goes_through(w) {
        w.up(&Way::Udp4.up(0));
        narrow_back(w);
        let packet = Packet { l4: sized(Way::Udp4, 1400).l4, ..Way::Udp4.down(0) };
        w.goes_down(Way::Udp4, &packet, &[Event::Established]);
    }
    fn below_the_smallest_mtu_nothing_is_checked(w) {
        w.set_backend(Way::Udp4.id(), |b| b.mtu = 1000);
        w.goes_up(Way::Udp4, &sized(Way::Udp4, 1200), &[]);
    }
}

xdp! {
    fn an_answer_keeps_the_tag_of_the_packet(w) {
        let packet = Packet { tags: vec![(Q, 7)], ..last(Way::Tcp4) };
        let answer = answer::error(&packet, 11, 0, 0);
        w.answers(&w.up(&packet), &answer, DropReason::TtlExceeded, Event::IcmpSent);
    }
    fn an_answer_in_ipv6_keeps_the_tag_of_the_packet(w) {
        let packet = Packet { tags: vec![(Q, 7)], ..last(Way::Udp6) };
        let answer = answer::error(&packet, 3, 0, 0);
        w.answers(&w.up(&packet), &answer, DropReason::TtlExceeded, Event::IcmpSent);
    }
    fn a_packet_of_several_buffers_is_answered(w) {
        let packet = sized(Way::Udp4, 8928);
        let answer = answer::error(&packet, 3, 4, 1500);
        w.answers(&w.up(&packet), &answer, DropReason::TooBig, Event::IcmpSent);
    }
    fn an_answer_that_finds_no_headroom_is_a_drop(w) {
        let extra = Extra { metadata: 216, segment: 0 };
        let seen = w.run_raw(CLIENT_IF, &last(Way::Tcp4).build(), extra);
        seen.drops(DropReason::TtlExceeded);
    }
}

/// Trains of segments that the kernel cuts later: what counts is the length of one.
macro_rules! trains {
    ($($name:ident: $way:ident, $segment:expr => $goes:expr;)+) => {
        tc! { $(fn $name(w) {
            narrow(w);
            let packet = sized(Way::$way, 2900);
            let extra = Extra { metadata: 0, segment: $segment };
            let seen = w.run_raw(CLIENT_IF, &packet.build(), extra);
            if $goes {
                seen.sends(&Way::$way.forwarded(&packet).build(), &[]);
            } else {
                let (kind, code) = if packet.src.is_ipv4() { (3, 4) } else { (2, 0) };
                let answer = answer::error(&packet, kind, code, 1400);
                w.answers(&seen, &answer, DropReason::TooBig, Event::IcmpSent);
            }
        })+ }
    };
}

trains! {
    tcp_segments_of_the_mtu_go_through: Tcp4, 1360 => true;
    tcp_segments_beyond_the_mtu_are_too_big: Tcp4, 1361 => false;
    ipv6_tcp_segments_of_the_mtu_go_through: Tcp6, 1340 => true;
    ipv6_tcp_segments_beyond_the_mtu_are_too_big: Tcp6, 1341 => false;
    udp_segments_of_the_mtu_go_through: Udp4, 1372 => true;
    udp_segments_beyond_the_mtu_are_too_big: Udp4, 1373 => false;
}

tc! {
    fn a_train_beyond_the_mtu_of_the_client_is_answered_to_the_backend(w) {
        w.up(&Way::Udp4.up(0));
        narrow_back(w);
        let packet = Packet { l4: sized(Way::Udp4, 2900).l4, ..Way::Udp4.down(0) };
        let extra = Extra { metadata: 0, segment: 1400 };
        let seen = w.run_raw(BACKEND_IF, &packet.build(), extra);
        let answer = answer::error(&packet, 3, 4, 1400);
        w.answers(&seen, &answer, DropReason::TooBig, Event::IcmpSent);
        assert_eq!(seen.action, Action::Redirect);
    }
}

/// A new flow's packet that has come to its last hop.
fn last(way: Way) -> Packet {
    Packet { ttl: 1, ..way.up(flag::SYN) }
}

/// A packet of so many bytes; TCP without options, and picked up.
fn sized(way: Way, bytes: usize) -> Packet {
    let headers = if matches!(way, Way::Tcp4 | Way::Udp4) { 20 } else { 40 };
    let data: Vec<u8> = (0..bytes - headers).map(|at| (at * 3) as u8).collect();
    let l4 = match way.is_tcp() {
        true => {
            let data = data[20..].to_vec();
            L4::Tcp(Tcp { flags: flag::SYN, seq: 5, data, ..Tcp::default() })
        }
        false => L4::Udp(Udp { data: data[8..].to_vec(), unsummed: false }),
    };
    Packet { l4, ..way.up(flag::SYN) }
}

fn narrow(w: &mut World) {
    w.set_config(|config| config.min_mtu = 1280);
    for way in Way::ALL {
        w.set_backend(way.id(), |b| b.mtu = 1400);
    }
}

fn narrow_back(w: &mut World) {
    w.set_config(|config| config.min_mtu = 1280);
    w.change(|view| view.ifaces.get_mut(&CLIENT_IF).unwrap().mtu = 1400);
}
