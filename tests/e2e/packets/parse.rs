//! What is lb's, what is the host's, and what is nobody's.

use lb_common::{DropReason, TcpState};

use super::{
    kit::{CLIENT_IF, CLIENT_MAC, CLIENT_SIDE_MAC, Way, both, segment, tc, xdp},
    wire::{AD, Icmp, L4, Packet, Q, ext, flag, padding},
};

/// Frames that the host gets untouched.
macro_rules! passing {
    ($kind:ident: $($name:ident: $frame:expr;)+) => {
        $kind! { $(fn $name(w) {
            let frame: Vec<u8> = $frame;
            w.run(CLIENT_IF, &frame).passes(&frame);
            assert_eq!(w.flows(), []);
        })+ }
    };
}

/// Frames that are dropped for a reason.
macro_rules! dropped {
    ($($name:ident: $frame:expr => $reason:ident;)+) => {
        both! { $(fn $name(w) {
            let frame: Vec<u8> = $frame;
            w.run(CLIENT_IF, &frame).drops(DropReason::$reason);
            assert_eq!(w.flows(), []);
        })+ }
    };
}

/// Packets that go to the backend, unusual as they are.
macro_rules! forwarded {
    ($kind:ident: $($name:ident: $way:ident, $packet:expr;)+) => {
        $kind! { $(fn $name(w) {
            let packet: Packet = $packet;
            w.goes_up(Way::$way, &packet, &[]);
            w.has_flow(Way::$way, TcpState::New);
        })+ }
    };
}

passing! { both:
    arp_passes: ethernet(0x0806, &[0; 46]);
    lldp_passes: ethernet(0x88cc, &[0; 46]);
    a_frame_of_a_length_passes: ethernet(0x0026, &[0x42; 46]);
    a_broadcast_passes: Packet { to: [0xff; 6], ..syn4() }.build();
    an_ipv4_multicast_passes: Packet { to: [1, 0, 0x5e, 0, 0, 9], ..syn4() }.build();
    an_ipv6_multicast_passes: Packet { to: [0x33, 0x33, 0, 0, 0, 1], ..syn6() }.build();
    a_frame_to_another_mac_passes: Packet { to: [2, 0, 0, 0, 0, 0x99], ..syn4() }.build();
    an_echo_request_to_a_vip_passes: icmp(Way::Tcp4, 8).build();
    an_echo_reply_to_a_vip_passes: icmp(Way::Tcp4, 0).build();
    an_ipv6_echo_request_to_a_vip_passes: icmp(Way::Tcp6, 128).build();
    a_neighbour_solicitation_passes: icmp(Way::Tcp6, 135).build();
    gre_to_a_vip_passes: other(Way::Tcp4, 47).build();
    sctp_to_a_vip_passes: other(Way::Tcp4, 132).build();
    icmpv6_in_ipv4_passes: other(Way::Tcp4, 58).build();
    icmp_in_ipv6_passes: other(Way::Tcp6, 1).build();
    esp_to_an_ipv6_vip_passes: other(Way::Tcp6, 50).build();
    no_next_header_passes: other(Way::Tcp6, 59).build();
    mobility_headers_pass: other(Way::Tcp6, 135).build();
    a_route_still_to_be_followed_passes: {
        let mut routing = padding(ext::ROUTING, 3);
        (routing.1[2], routing.1[3]) = (4, 1);
        Packet { extensions: vec![routing], ..syn6() }.build()
    };
    an_ipv4_mapped_destination_in_ipv6_passes: {
        let mapped = "[::ffff:198.51.100.10]:80".parse().unwrap();
        Packet { dst: mapped, ..syn6() }.build()
    };
    an_ipv4_mapped_pair_in_ipv6_passes: {
        let src = "[::ffff:192.0.2.2]:4000".parse().unwrap();
        let dst = "[::ffff:198.51.100.10]:80".parse().unwrap();
        Packet { src, dst, ..syn6() }.build()
    };
}

// The kernel refuses to test-run lb_tc on frames that end within the IP header, and no driver
// leaves tags in the frame for it.
passing! { xdp:
    an_ipv4_header_cut_short_passes: syn4().build()[..33].to_vec();
    an_ipv6_header_cut_short_passes: syn6().build()[..53].to_vec();
    a_bare_ethernet_header_passes: syn4().build()[..14].to_vec();
    a_tag_without_a_type_passes: tagged(&[(Q, 7)]).build()[..16].to_vec();
    two_tags_pass: tagged(&[(AD, 7), (Q, 8)]).build();
    two_equal_tags_pass: tagged(&[(Q, 7), (Q, 7)]).build();
    a_tagged_arp_passes: [&ethernet(Q, &[0, 7, 8, 6])[..], &[0; 46]].concat();
}

passing! { tc:
    a_tag_that_was_left_in_the_frame_passes: tagged(&[(Q, 7)]).build();
}

// To an address that is no VIP's, the host judges what is malformed.
passing! { both:
    a_small_header_length_elsewhere_passes: patch(elsewhere4(), 14, &[0x44]);
    a_wrong_version_elsewhere_passes: patch(elsewhere4(), 14, &[0x65]);
    a_length_beyond_the_frame_elsewhere_passes: patch(elsewhere4(), 16, &[0xff, 0]);
    a_cut_tcp_header_elsewhere_passes: resized(elsewhere4(), 30);
    an_ipv6_length_beyond_the_frame_elsewhere_passes: patch(elsewhere6(), 18, &[0xff, 0]);
    too_many_extension_headers_elsewhere_pass: {
        let dst = "[2001:db8:9::9]:80".parse().unwrap();
        Packet { dst, extensions: vec![padding(ext::DESTINATION, 1); 7], ..syn6() }.build()
    };
}

dropped! {
    a_header_length_of_four_words: patch(syn4().build(), 14, &[0x44]) => Malformed;
    a_header_length_of_nothing: patch(syn4().build(), 14, &[0x40]) => Malformed;
    ipv6_in_an_ipv4_frame: patch(syn4().build(), 14, &[0x65]) => Malformed;
    an_ipv4_length_below_its_header: patch(syn4().build(), 16, &[0, 19]) => Malformed;
    an_ipv4_length_of_nothing: patch(syn4().build(), 16, &[0, 0]) => Malformed;
    an_ipv4_length_beyond_the_frame: patch(syn4().build(), 16, &[0, 41]) => Malformed;
    options_beyond_the_length: patch(syn4().build(), 14, &[0x4f]) => Malformed;
    a_tcp_header_cut_short: resized(syn4().build(), 39) => Malformed;
    a_tcp_header_that_is_missing: resized(syn4().build(), 20) => Malformed;
    a_tcp_offset_of_four_words: patch(syn4().build(), 46, &[0x40]) => Malformed;
    a_tcp_offset_beyond_the_packet: patch(syn4().build(), 46, &[0x60]) => Malformed;
    a_udp_header_cut_short: resized(Way::Udp4.up(0).build(), 27) => Malformed;
    an_icmp_header_cut_short: resized(icmp(Way::Tcp4, 3).build(), 27) => Malformed;
    an_ipv6_length_beyond_the_frame: patch(syn6().build(), 18, &[0, 21]) => Malformed;
    an_ipv6_tcp_header_cut_short: patch(syn6().build(), 18, &[0, 19]) => Malformed;
    an_ipv6_tcp_offset_of_four_words: patch(syn6().build(), 66, &[0x40]) => Malformed;
    an_ipv6_udp_header_cut_short: patch(Way::Udp6.up(0).build(), 18, &[0, 7]) => Malformed;
    an_extension_header_cut_short: {
        let dst = padding(ext::DESTINATION, 1);
        let whole = Packet { extensions: vec![dst], ..syn6() }.build();
        patch(whole[..58].to_vec(), 18, &[0, 4])
    } => Malformed;
    seven_extension_headers: extended(vec![padding(ext::DESTINATION, 1); 7]) => ExtensionHeaders;
    eight_extension_headers: extended(vec![padding(ext::DESTINATION, 1); 8]) => ExtensionHeaders;
    one_extension_header_beyond_the_bound:
        extended(vec![padding(ext::DESTINATION, 34)]) => ExtensionHeaders;
    extension_headers_beyond_the_bound:
        extended(vec![padding(ext::DESTINATION, 17); 2]) => ExtensionHeaders;
    a_tcp_header_far_beyond_the_bound:
        extended(vec![padding(ext::DESTINATION, 170)]) => ExtensionHeaders;
    no_tcp_flags: Way::Tcp4.up(0).build() => BadFlags;
    push_alone: Way::Tcp4.up(flag::PSH).build() => BadFlags;
    urgent_and_push: Way::Tcp4.up(flag::URG | flag::PSH).build() => BadFlags;
    syn_and_fin: Way::Tcp4.up(flag::SYN | flag::FIN).build() => BadFlags;
    syn_and_rst: Way::Tcp6.up(flag::SYN | flag::RST).build() => BadFlags;
    a_christmas_tree: Way::Tcp6.up(0x3f).build() => BadFlags;
}

forwarded! { both:
    one_option_word: Tcp4, Packet { options: vec![1; 4], ..syn4() };
    ten_option_words: Tcp4, Packet { options: vec![1; 40], ..syn4() };
    udp_behind_options: Udp4, Packet { options: vec![1; 12], ..Way::Udp4.up(0) };
    padding_behind_the_packet: Tcp4, Packet { trailer: 6, ..syn4() };
    hop_by_hop_options: Tcp6, with(padding(ext::HOP_BY_HOP, 1));
    destination_options: Tcp6, with(padding(ext::DESTINATION, 2));
    a_route_already_followed: Tcp6, {
        let mut routing = padding(ext::ROUTING, 3);
        (routing.1[2], routing.1[3]) = (4, 0);
        with(routing)
    };
    an_authentication_header: Tcp6, {
        let mut header = vec![0; 24];
        header[1] = 4;
        with((ext::AUTHENTICATION, header))
    };
    an_atomic_fragment: Tcp6, Packet { frag: Some((0, false)), ..syn6() };
    six_extension_headers: Tcp6, Packet {
        extensions: vec![padding(ext::DESTINATION, 1); 6],
        ..syn6()
    };
    udp_behind_six_extension_headers: Udp6, Packet {
        extensions: vec![padding(ext::DESTINATION, 1); 6],
        ..Way::Udp6.up(0)
    };
    extension_headers_up_to_the_bound: Tcp6, with(padding(ext::DESTINATION, 33));
    syn_with_the_flags_of_ecn: Tcp4, Way::Tcp4.up(flag::SYN | 0xc0);
}

both! {
    fn an_interface_without_an_entry_has_no_mac_to_compare(w) {
        w.change(|view| { view.ifaces.remove(&CLIENT_IF); });
        w.goes_up(Way::Tcp4, &syn4(), &[]);
    }
}

fn syn4() -> Packet {
    Way::Tcp4.up(flag::SYN)
}

fn syn6() -> Packet {
    Way::Tcp6.up(flag::SYN)
}

fn with(extension: super::wire::Extension) -> Packet {
    Packet { extensions: vec![extension], ..syn6() }
}

fn extended(extensions: Vec<super::wire::Extension>) -> Vec<u8> {
    Packet { extensions, ..syn6() }.build()
}

fn tagged(tags: &[(u16, u16)]) -> Packet {
    Packet { tags: tags.to_vec(), ..syn4() }
}

fn ethernet(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [&CLIENT_SIDE_MAC[..], &CLIENT_MAC, &ethertype.to_be_bytes(), payload].concat()
}

fn icmp(way: Way, kind: u8) -> Packet {
    Packet { l4: L4::Icmp(Icmp { kind, rest: 7, ..Icmp::default() }), ..way.up(0) }
}

fn other(way: Way, protocol: u8) -> Packet {
    Packet { l4: L4::Other(protocol, vec![0; 24]), ..way.up(0) }
}

fn elsewhere4() -> Vec<u8> {
    let dst = "203.0.113.9:80".parse().unwrap();
    Packet { dst, l4: segment(flag::SYN, 1, 0), ..syn4() }.build()
}

fn elsewhere6() -> Vec<u8> {
    Packet { dst: "[2001:db8:9::9]:80".parse().unwrap(), ..syn6() }.build()
}

/// The frame with other bytes at an offset.
fn patch(mut frame: Vec<u8>, at: usize, bytes: &[u8]) -> Vec<u8> {
    frame[at..at + bytes.len()].copy_from_slice(bytes);
    frame
}

/// An IPv4 frame whose packet ends after so many bytes, by its own word too.
fn resized(frame: Vec<u8>, length: u16) -> Vec<u8> {
    patch(frame, 16, &length.to_be_bytes())[..14 + usize::from(length)].to_vec()
}
