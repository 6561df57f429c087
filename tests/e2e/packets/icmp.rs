//! ICMP errors, translated to the flow they are about in either direction; the host's own ICMP.

use lb_common::{DropReason, Event, backend::flags};

use super::{
    kit::{
        BACKEND_IF, BACKEND_SIDE_MAC, CLIENT_IF, CLIENT_MAC, CLIENT_SIDE_MAC, NEXT_HOP_MAC, Way,
        both, same_bytes, xdp,
    },
    wire::{Icmp, L4, Packet, Q, Udp, flag},
};

/// Errors about what lb sent to the backend, from a router there: they go to the client.
macro_rules! to_client {
    ($($name:ident: $way:ident, $kind:expr, $code:expr, $rest:expr, $quote:expr;)+) => {
        both! { $(fn $name(w) {
            w.open(Way::$way);
            let sent = Way::$way.up(flag::ACK);
            let (error, wanted) = about_forwarded(Way::$way, &sent, ($kind, $code, $rest), $quote);
            w.down(&error).sends(&wanted.build(), &[Event::IcmpTranslated]);
        })+ }
    };
}

to_client! {
    fragmentation_needed_of_tcp: Tcp4, 3, 4, 1280, 20;
    fragmentation_needed_of_udp: Udp4, 3, 4, 1280, 8;
    eight_quoted_bytes_of_tcp: Tcp4, 3, 4, 1280, 8;
    a_whole_packet_quoted: Tcp4, 3, 4, 1280, 1000;
    a_whole_datagram_quoted: Udp4, 3, 3, 0, 1000;
    host_unreachable: Tcp4, 3, 1, 0, 8;
    port_unreachable: Udp4, 3, 3, 0, 8;
    administratively_prohibited: Tcp4, 3, 13, 0, 20;
    source_quench: Tcp4, 4, 0, 0, 8;
    time_exceeded: Udp4, 11, 0, 0, 8;
    parameter_problem: Tcp4, 12, 0, 0x1400_0000, 20;
    ipv6_packet_too_big_of_tcp: Tcp6, 2, 0, 1280, 1000;
    ipv6_packet_too_big_of_udp: Udp6, 2, 0, 1280, 1000;
    ipv6_eight_quoted_bytes: Tcp6, 2, 0, 1280, 8;
    ipv6_unreachable: Udp6, 1, 4, 0, 1000;
    ipv6_time_exceeded: Tcp6, 3, 0, 0, 20;
    ipv6_parameter_problem: Udp6, 4, 1, 40, 8;
}

/// Errors about what lb sent to the client, from a router on that side: they go to the backend.
macro_rules! to_backend {
    ($($name:ident: $way:ident, $kind:expr, $code:expr, $rest:expr, $quote:expr;)+) => {
        both! { $(fn $name(w) {
            w.open(Way::$way);
            let sent = Way::$way.down(flag::ACK);
            let (error, wanted) = about_reply(Way::$way, &sent, ($kind, $code, $rest), $quote);
            w.up(&error).sends(&wanted.build(), &[Event::IcmpTranslated]);
        })+ }
    };
}

to_backend! {
    a_reply_needs_fragmentation: Tcp4, 3, 4, 1280, 20;
    a_udp_reply_needs_fragmentation: Udp4, 3, 4, 1280, 8;
    a_reply_quoted_by_eight_bytes: Tcp4, 3, 4, 1280, 8;
    a_reply_quoted_whole: Tcp4, 3, 4, 576, 1000;
    a_client_that_closed_its_port: Udp4, 3, 3, 0, 1000;
    a_client_that_is_unreachable: Tcp4, 3, 1, 0, 8;
    a_reply_whose_ttl_ran_out: Udp4, 11, 0, 0, 8;
    an_ipv6_reply_too_big: Tcp6, 2, 0, 1280, 1000;
    an_ipv6_udp_reply_too_big: Udp6, 2, 0, 1280, 1000;
    an_ipv6_client_that_closed_its_port: Udp6, 1, 4, 0, 8;
    an_ipv6_reply_whose_hops_ran_out: Tcp6, 3, 0, 0, 20;
}

both! {
    fn a_quoted_datagram_without_checksum_keeps_none(w) {
        w.open(Way::Udp4);
        let l4 = L4::Udp(Udp { unsummed: true, data: vec![1; 9] });
        let sent = Packet { l4, ..Way::Udp4.up(0) };
        let (error, wanted) = about_forwarded(Way::Udp4, &sent, (3, 3, 0), 1000);
        w.down(&error).sends(&wanted.build(), &[Event::IcmpTranslated]);
    }
    fn a_quoted_packet_with_options_is_translated(w) {
        w.open(Way::Tcp4);
        let sent = Packet { options: vec![1; 12], ..Way::Tcp4.up(flag::ACK) };
        let (error, wanted) = about_forwarded(Way::Tcp4, &sent, (3, 4, 1280), 20);
        w.down(&error).sends(&wanted.build(), &[Event::IcmpTranslated]);
    }
    fn an_error_with_options_is_translated(w) {
        w.open(Way::Tcp4);
        let (error, wanted) = about_forwarded(Way::Tcp4, &Way::Tcp4.up(16), (3, 4, 1280), 20);
        let with = |packet| Packet { options: vec![1; 8], ..packet };
        w.down(&with(error)).sends(&with(wanted).build(), &[Event::IcmpTranslated]);
    }
    fn an_error_about_a_half_open_flow_is_translated(w) {
        w.up(&Way::Tcp4.up(flag::SYN));
        let (error, wanted) = about_forwarded(Way::Tcp4, &Way::Tcp4.up(2), (3, 1, 0), 8);
        w.down(&error).sends(&wanted.build(), &[Event::IcmpTranslated]);
    }
    fn an_error_of_the_backend_itself_is_translated(w) {
        w.open(Way::Udp4);
        let (error, wanted) = about_forwarded(Way::Udp4, &Way::Udp4.up(0), (3, 3, 0), 8);
        let error = Packet { src: Way::Udp4.backend(), ..error };
        w.down(&error).sends(&wanted.build(), &[Event::IcmpTranslated]);
    }
    fn an_error_about_no_flow_of_a_vip_is_dropped(w) {
        let (error, _) = about_reply(Way::Tcp4, &Way::Tcp4.down(16), (3, 4, 1280), 20);
        w.up(&error).drops(DropReason::IcmpOrphan);
    }
    fn an_ipv6_error_about_no_flow_of_a_vip_is_dropped(w) {
        let (error, _) = about_reply(Way::Udp6, &Way::Udp6.down(0), (2, 0, 1280), 8);
        w.up(&error).drops(DropReason::IcmpOrphan);
    }
    fn an_error_about_the_hosts_own_packet_passes(w) {
        w.open(Way::Tcp4);
        let own = Packet { src: Way::Tcp4.nat(999), ..Way::Tcp4.forwarded(&Way::Tcp4.up(16)) };
        let error = error(own.quoted(20), (3, 4, 1280), Way::Tcp4.down(0)).build();
        w.run(BACKEND_IF, &error).passes(&error);
    }
    fn an_error_to_a_backend_without_next_hop_is_dropped(w) {
        w.open(Way::Tcp4);
        w.set_backend(0, |b| b.flags &= !flags::RESOLVED);
        let (error, _) = about_reply(Way::Tcp4, &Way::Tcp4.down(16), (3, 4, 1280), 20);
        w.up(&error).drops(DropReason::Unresolved);
    }
    fn an_error_does_not_change_the_flow(w) {
        w.open(Way::Tcp4);
        let before = (w.flows()[0].state, w.counters(0).total);
        let (error, _) = about_forwarded(Way::Tcp4, &Way::Tcp4.up(16), (3, 4, 1280), 20);
        w.down(&error);
        assert_eq!((w.flows()[0].state, w.counters(0).total), before);
    }
}

/// ICMP to the NAT address that is about no flow: the host's, whatever it quotes.
macro_rules! passing {
    ($($name:ident: $way:ident, $kind:expr, $body:expr;)+) => {
        both! { $(fn $name(w) {
            w.open(Way::$way);
            let body: Vec<u8> = $body;
            let error = error(body, ($kind, 0, 0), Way::$way.down(0)).build();
            w.run(BACKEND_IF, &error).passes(&error);
        })+ }
    };
}

passing! {
    a_redirect_passes: Tcp4, 5, quoted(Way::Tcp4);
    an_echo_request_passes: Tcp4, 8, quoted(Way::Tcp4);
    a_router_advertisement_passes: Tcp4, 9, quoted(Way::Tcp4);
    a_timestamp_passes: Tcp4, 13, quoted(Way::Tcp4);
    an_ipv6_echo_request_passes: Tcp6, 128, quoted(Way::Tcp6);
    an_ipv6_redirect_passes: Tcp6, 137, quoted(Way::Tcp6);
    an_unknown_ipv6_error_passes: Tcp6, 100, quoted(Way::Tcp6);
    an_error_that_quotes_nothing_passes: Tcp4, 3, vec![];
    an_error_that_quotes_half_a_header_passes: Tcp4, 3, quoted(Way::Tcp4)[..12].to_vec();
    an_error_that_quotes_no_ports_passes: Tcp4, 3, quoted(Way::Tcp4)[..22].to_vec();
    an_ipv6_error_that_quotes_no_ports_passes: Tcp6, 2, quoted(Way::Tcp6)[..42].to_vec();
    an_error_that_quotes_another_version_passes: Tcp4, 3, {
        let mut body = quoted(Way::Tcp4);
        body[0] = 0x65;
        body
    };
    an_error_about_icmp_passes: Tcp4, 3, {
        let icmp = L4::Icmp(Icmp { kind: 8, ..Icmp::default() });
        Packet { l4: icmp, ..Way::Tcp4.forwarded(&Way::Tcp4.up(16)) }.quoted(8)
    };
    an_error_about_a_later_fragment_passes: Tcp4, 11, {
        let sent = Way::Tcp4.forwarded(&Way::Tcp4.up(16));
        Packet { frag: Some((24, false)), ..sent }.quoted(8)
    };
}

xdp! {
    fn a_tagged_error_gets_the_tag_of_its_way_out(w) {
        w.open(Way::Tcp4);
        let (error, wanted) = about_reply(Way::Tcp4, &Way::Tcp4.down(16), (3, 4, 1280), 20);
        let error = Packet { tags: vec![(Q, 7)], ..error };
        w.up(&error).sends(&wanted.build(), &[Event::IcmpTranslated]);
    }
    fn an_error_to_a_backend_out_of_reach_is_left_to_tc(w) {
        w.open(Way::Tcp4);
        w.set_backend(0, |b| b.flags &= !flags::XDP);
        let (error, _) = about_reply(Way::Tcp4, &Way::Tcp4.down(16), (3, 4, 1280), 20);
        let seen = w.run(CLIENT_IF, &error.build());
        same_bytes(&seen.frame, &error.build());
        seen.counts(&[], &[Event::ToTc]);
    }
}

/// Type, code and second word.
type Kind = (u8, u8, u32);

fn error(body: Vec<u8>, (kind, code, rest): Kind, like: Packet) -> Packet {
    Packet { l4: L4::Icmp(Icmp { kind, code, rest, body }), ..like }
}

/// The host part `.254` or `::fe` of an address's network.
fn router(of: std::net::SocketAddr) -> std::net::SocketAddr {
    let ip = match of.ip() {
        std::net::IpAddr::V4(ip) => [ip.octets()[0], ip.octets()[1], ip.octets()[2], 254].into(),
        std::net::IpAddr::V6(ip) => {
            let mut words = ip.segments();
            words[7] = 0xfe;
            words.into()
        }
    };
    std::net::SocketAddr::new(ip, 0)
}

/// An error about what became of a client's packet on its way to the backend, and what the client
/// has to get: about the packet as it sent it, but for the TTL that was left.
fn about_forwarded(way: Way, sent: &Packet, kind: Kind, quote: usize) -> (Packet, Packet) {
    let forwarded = way.forwarded(sent);
    let as_sent = Packet { ttl: forwarded.ttl, ..sent.clone() };
    let like = Packet { src: router(way.backend()), ..way.down(0) };
    let from_vip = Packet {
        to: CLIENT_MAC,
        from: CLIENT_SIDE_MAC,
        src: way.vip(),
        dst: way.client(),
        ttl: like.ttl - 1,
        ..like.clone()
    };
    (error(forwarded.quoted(quote), kind, like), error(as_sent.quoted(quote), kind, from_vip))
}

/// The same about a reply, on the clients' side, for the backend.
fn about_reply(way: Way, sent: &Packet, kind: Kind, quote: usize) -> (Packet, Packet) {
    let replied = way.replied(sent);
    let as_sent = Packet { ttl: replied.ttl, ..sent.clone() };
    let like = Packet { src: router(way.client()), ..way.up(0) };
    let from_nat = Packet {
        to: NEXT_HOP_MAC,
        from: BACKEND_SIDE_MAC,
        src: way.nat(0),
        dst: way.backend(),
        ttl: like.ttl - 1,
        ..like.clone()
    };
    (error(replied.quoted(quote), kind, like), error(as_sent.quoted(quote), kind, from_nat))
}

/// What lb sent to the backend, as errors quote it.
fn quoted(way: Way) -> Vec<u8> {
    way.forwarded(&way.up(flag::ACK)).quoted(20)
}
