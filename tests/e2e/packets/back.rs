//! The way back: replies, byte for byte, and where they leave.

use lb_common::{
    DropReason, Event, TcpState,
    backend::{IFACE_SLOTS, flags},
    config::flags::{CARRYING, RETURN_ROUTE},
    vip,
};

use super::{
    kit::{
        Action, BACKEND_IF, BACKEND_SIDE_MAC, CLIENT_IF, CLIENT_MAC, Seen, Way, World,
        acknowledged, both, same_bytes, syn_ack, tc, xdp,
    },
    wire::{AD, L4, Mac, Packet, Q, Udp, flag},
};

/// Replies on an open flow.
macro_rules! replies {
    ($($name:ident: $way:ident, $packet:expr;)+) => {
        both! { $(fn $name(w) {
            w.open(Way::$way);
            let before = w.counters(Way::$way.id()).total;
            let packet: Packet = $packet;
            w.goes_down(Way::$way, &packet, &[]);
            w.has_flow(Way::$way, TcpState::Established);
            let after = w.counters(Way::$way.id()).total;
            assert_eq!(after.reply_packets, before.reply_packets + 1);
            assert_eq!(after.reply_bytes, before.reply_bytes + packet.packet().len() as u64);
            assert_eq!(after.packets, before.packets);
        })+ }
    };
}

replies! {
    tcp_data_goes_back: Tcp4, Way::Tcp4.down(flag::ACK);
    ipv6_tcp_data_goes_back: Tcp6, Way::Tcp6.down(flag::ACK);
    a_udp_answer_goes_back: Udp4, Way::Udp4.down(0);
    an_ipv6_udp_answer_goes_back: Udp6, Way::Udp6.down(0);
    an_unsummed_answer_stays_unsummed: Udp4, unsummed(Way::Udp4);
    an_unsummed_ipv6_answer_stays_unsummed: Udp6, unsummed(Way::Udp6);
    a_reply_with_ip_options_goes_back: Tcp4, Packet {
        options: vec![1; 8], ..Way::Tcp4.down(flag::ACK)
    };
    a_reply_with_padding_goes_back: Udp4, Packet { trailer: 9, ..Way::Udp4.down(0) };
    a_reply_with_a_ttl_of_two_goes_back: Tcp4, Packet { ttl: 2, ..Way::Tcp4.down(flag::ACK) };
    type_of_service_comes_back: Tcp6, Packet { tos: 0x2e, ..Way::Tcp6.down(flag::ACK) };
}

/// Packets to the NAT address that are nobody's reply: the host's.
macro_rules! no_replies {
    ($($name:ident: $way:ident, $packet:expr;)+) => {
        both! { $(fn $name(w) {
            w.open(Way::$way);
            let frame = Packet { ..$packet }.build();
            w.run(BACKEND_IF, &frame).passes(&frame);
        })+ }
    };
}

no_replies! {
    another_nat_port_passes: Tcp4, Way::Tcp4.answer(4001, flag::ACK);
    another_backend_port_passes: Tcp4, Packet {
        src: "10.0.1.11:8081".parse().unwrap(), ..Way::Tcp4.down(flag::ACK)
    };
    another_host_passes: Tcp4, Packet {
        src: "10.0.1.12:8080".parse().unwrap(), ..Way::Tcp4.down(flag::ACK)
    };
    another_address_of_the_host_passes: Tcp4, Packet {
        dst: "10.0.1.2:4000".parse().unwrap(), ..Way::Tcp4.down(flag::ACK)
    };
    the_other_protocol_passes: Tcp4, Packet {
        l4: L4::Udp(Udp::default()), ..Way::Tcp4.down(flag::ACK)
    };
    another_ipv6_host_passes: Tcp6, Packet {
        src: "[fd00:1::12]:8080".parse().unwrap(), ..Way::Tcp6.down(flag::ACK)
    };
}

const ROUTER: Mac = [2, 0, 0, 0, 0x0a, 0x01];

both! {
    fn replies_go_to_the_mac_of_the_latest_packet(w) {
        w.open(Way::Tcp4);
        let moved = Packet { from: ROUTER, ..Way::Tcp4.up(flag::ACK) };
        w.goes_up(Way::Tcp4, &moved, &[]);
        let reply = Way::Tcp4.down(flag::ACK);
        let wanted = Packet { to: ROUTER, ..Way::Tcp4.replied(&reply) };
        w.down(&reply).sends(&wanted.build(), &[]);
    }
    fn replies_leave_by_the_interface_of_the_latest_packet(w) {
        w.open(Way::Tcp4);
        let moved = Packet { to: BACKEND_SIDE_MAC, ..Way::Tcp4.up(flag::ACK) };
        assert_eq!(w.down(&moved).counted, []);
        let reply = Way::Tcp4.down(flag::ACK);
        let seen = w.down(&reply);
        let wanted = Packet { from: BACKEND_SIDE_MAC, ..Way::Tcp4.replied(&reply) };
        same_bytes(&seen.frame, &wanted.build());
        assert_eq!(seen.action, w.same_interface());
    }
    fn an_interface_that_is_gone_has_no_way_back(w) {
        w.open(Way::Tcp4);
        w.change(|view| { view.ifaces.remove(&CLIENT_IF); });
        w.down(&Way::Tcp4.down(flag::ACK)).drops(DropReason::NoReturnRoute);
    }
    fn an_interface_is_found_behind_others_of_its_slot(w) {
        w.open(Way::Tcp4);
        w.change(|view| {
            let own = view.ifaces.remove(&CLIENT_IF).unwrap();
            let other = lb_common::IfaceEntry { ifindex: CLIENT_IF + IFACE_SLOTS, ..own };
            view.ifaces.extend([(10, other), (11, other), (12, other), (13, own)]);
        });
        w.goes_down(Way::Tcp4, &Way::Tcp4.down(flag::ACK), &[]);
    }
    fn a_reply_after_its_vip_changed_algorithm_still_goes_back(w) {
        w.open(Way::Tcp4);
        w.set_vip(Way::Tcp4, |vip| vip.algorithm = vip::algorithm::ROUND_ROBIN);
        w.goes_down(Way::Tcp4, &Way::Tcp4.down(flag::ACK), &[]);
    }
    fn a_flow_stays_on_its_backend_when_the_ring_changes(w) {
        w.open(Way::Tcp4);
        w.serve(Way::Tcp4, vip::algorithm::MAGLEV, &[11, 12]);
        w.goes_up(Way::Tcp4, &Way::Tcp4.up(flag::ACK), &[]);
        w.goes_down(Way::Tcp4, &Way::Tcp4.down(flag::ACK), &[]);
        w.has_flow(Way::Tcp4, TcpState::Established);
    }
    fn a_flow_stays_when_its_vip_has_no_backend_any_more(w) {
        w.open(Way::Tcp4);
        w.set_vip(Way::Tcp4, |vip| (vip.ring, vip.ring_len) = (vip::NO_RING, 0));
        w.goes_up(Way::Tcp4, &Way::Tcp4.up(flag::ACK), &[]);
        w.goes_down(Way::Tcp4, &Way::Tcp4.down(flag::ACK), &[]);
    }
}

xdp! {
    fn replies_get_the_tag_of_the_client(w) { tagged_back(w, &[(Q, 7)]); }
    fn replies_get_the_service_tag_of_the_client(w) { tagged_back(w, &[(AD, 7)]); }
    fn replies_get_a_priority_tag_without_its_priority(w) {
        tagged_client(w, &[(Q, 0xe000)]);
        let reply = Way::Tcp4.down(flag::ACK);
        let wanted = Packet { tags: vec![(Q, 0)], ..Way::Tcp4.replied(&reply) };
        w.down(&reply).sends(&wanted.build(), &[]);
    }
    fn a_tagged_reply_to_an_untagged_client_loses_its_tag(w) {
        w.open(Way::Tcp4);
        let reply = Packet { tags: vec![(Q, 9)], ..Way::Tcp4.down(flag::ACK) };
        let wanted = Packet { tags: vec![], ..Way::Tcp4.replied(&reply) };
        w.down(&reply).sends(&wanted.build(), &[]);
    }
    fn a_client_that_changes_its_vlan_is_followed(w) {
        tagged_client(w, &[(Q, 7)]);
        w.goes_up(Way::Tcp4, &Way::Tcp4.up(flag::ACK), &[]);
        w.goes_down(Way::Tcp4, &Way::Tcp4.down(flag::ACK), &[]);
    }
    fn a_backend_out_of_reach_of_xdp_is_left_to_tc(w) {
        w.set_backend(0, |b| b.flags &= !flags::XDP);
        left_to_tc(w, CLIENT_IF, &Way::Tcp4.up(flag::SYN));
        assert_eq!(w.flows(), []);
    }
    fn a_known_flow_to_a_backend_out_of_reach_is_left_to_tc(w) {
        w.open(Way::Tcp4);
        w.set_backend(0, |b| b.flags &= !flags::XDP);
        left_to_tc(w, CLIENT_IF, &Way::Tcp4.up(flag::ACK));
    }
    fn a_vip_that_is_left_to_tc_is_left_whole(w) {
        w.set_vip(Way::Udp6, |vip| vip.flags |= vip::flags::LEAVE_TO_TC);
        left_to_tc(w, CLIENT_IF, &Way::Udp6.up(0));
        left_to_tc(w, CLIENT_IF, &Packet { ttl: 1, ..Way::Udp6.up(0) });
        assert_eq!(w.flows(), []);
    }
    fn a_client_out_of_reach_of_xdp_gets_its_replies_from_tc(w) {
        w.open(Way::Tcp4);
        w.change(|view| view.ifaces.get_mut(&CLIENT_IF).unwrap().flags = 0);
        left_to_tc(w, BACKEND_IF, &Way::Tcp4.down(flag::ACK));
    }
}

tc! {
    fn tc_needs_no_reach_of_xdp(w) {
        w.set_backend(0, |b| b.flags &= !flags::XDP);
        w.set_vip(Way::Tcp4, |vip| vip.flags |= vip::flags::LEAVE_TO_TC);
        w.change(|view| view.ifaces.get_mut(&CLIENT_IF).unwrap().flags = 0);
        w.open(Way::Tcp4);
    }
}

both! {
    fn a_routed_reply_follows_the_routing_table(w) {
        routed(w, true);
        w.open_from(ROUTER, Way::Tcp4);
        let reply = Way::Tcp4.down(flag::ACK);
        w.goes_down(Way::Tcp4, &reply, &[]);
    }
    fn a_routed_ipv6_reply_follows_the_routing_table(w) {
        routed(w, true);
        w.open_from(ROUTER, Way::Udp6);
        w.goes_down(Way::Udp6, &Way::Udp6.down(0), &[]);
    }
    fn a_routed_reply_without_a_route_is_dropped(w) {
        routed(w, false);
        w.up(&Way::Tcp4.up(flag::SYN));
        w.down(&syn_ack(Way::Tcp4, 4000)).drops(DropReason::NoReturnRoute);
        assert_eq!(w.state(Way::Tcp4), TcpState::New);
    }
    fn a_route_by_an_interface_that_is_not_lbs_is_none(w) {
        routed(w, true);
        w.up(&Way::Tcp4.up(flag::SYN));
        w.change(|view| { view.ifaces.remove(&CLIENT_IF); });
        w.down(&syn_ack(Way::Tcp4, 4000)).drops(DropReason::NoReturnRoute);
    }
}

/// While flows are being carried over, packets to a NAT address that are no flow's yet.
macro_rules! carrying {
    ($($name:ident: $way:ident, $packet:expr => $then:ident;)+) => {
        both! { $(fn $name(w) {
            w.open(Way::$way);
            w.set_config(|config| config.flags |= CARRYING);
            w.goes_down(Way::$way, &Way::$way.down(flag::ACK), &[]);
            let frame = Packet { ..$packet }.build();
            $then(w.run(BACKEND_IF, &frame), &frame);
        })+ }
    };
}

carrying! {
    a_reply_not_carried_over_yet_is_dropped: Tcp4, Way::Tcp4.answer(4001, flag::ACK) => dropped;
    an_ipv6_reply_not_carried_over_yet_is_dropped: Tcp6, Way::Tcp6.answer(4001, flag::ACK) => dropped;
    a_udp_answer_not_carried_over_yet_is_dropped: Udp4, Way::Udp4.answer(4001, 0) => dropped;
    a_syn_passes_while_flows_are_carried_over: Tcp4, Way::Tcp4.answer(4001, flag::SYN) => passed;
    other_addresses_pass_while_flows_are_carried_over: Tcp4, Packet {
        dst: "10.0.1.2:4000".parse().unwrap(), ..Way::Tcp4.down(flag::ACK)
    } => passed;
}

fn dropped(seen: Seen, _: &[u8]) {
    seen.drops(DropReason::CarryingOver);
}

fn passed(seen: Seen, frame: &[u8]) {
    seen.passes(frame);
}

/// `returnPath: route`, with or without a route to the clients by way of [`CLIENT_MAC`]. The
/// kernel looks routes up for programs only where the interface forwards.
fn routed(w: &mut World, there: bool) {
    w.set_config(|config| config.flags |= RETURN_ROUTE);
    let ns = w.lane.ns.clone();
    let mac = CLIENT_MAC.map(|byte| format!("{byte:02x}")).join(":");
    ns.sysctl("net/ipv4/ip_forward", "1").unwrap();
    ns.sysctl("net/ipv6/conf/all/forwarding", "1").unwrap();
    ns.ip_batch(&format!(
        "addr replace 192.0.2.1/24 dev c0\naddr replace 2001:db8:1::1/64 dev c0 nodad\n\
         neigh replace 192.0.2.2 lladdr {mac} dev c0\n\
         neigh replace 2001:db8:1::2 lladdr {mac} dev c0\n"
    ))
    .unwrap();
    if !there {
        ns.ip("addr flush dev c0 scope global").unwrap();
    }
}

impl World {
    /// As [`World::open`], with packets that another router brings.
    fn open_from(&self, from: Mac, way: Way) {
        let up = |packet: Packet| Packet { from, ..packet };
        if way.is_tcp() {
            self.goes_up(way, &up(way.up(flag::SYN)), &[]);
            self.goes_down(way, &syn_ack(way, 4000), &[]);
            self.goes_up(way, &up(acknowledged(way, way.client())), &[Event::Established]);
        } else {
            self.goes_up(way, &up(way.up(0)), &[]);
            self.goes_down(way, &way.down(0), &[Event::Established]);
        }
    }

    /// How a frame is sent out by the interface it came in by.
    fn same_interface(&self) -> Action {
        if self.hook == super::kit::Hook::Xdp { Action::Tx } else { Action::Redirect }
    }
}

fn left_to_tc(w: &World, ifindex: u32, packet: &Packet) {
    let frame = packet.build();
    let seen = w.run(ifindex, &frame);
    assert_eq!(seen.action, Action::Pass);
    same_bytes(&seen.frame, &frame);
    seen.counts(&[], &[Event::ToTc]);
}

fn tagged_client(w: &World, tags: &[(u16, u16)]) {
    let packet = Packet { tags: tags.to_vec(), ..Way::Tcp4.up(flag::SYN) };
    w.goes_up(Way::Tcp4, &packet, &[]);
}

fn tagged_back(w: &World, tags: &[(u16, u16)]) {
    tagged_client(w, tags);
    let reply = Way::Tcp4.down(flag::ACK);
    let wanted = Packet { tags: tags.to_vec(), ..Way::Tcp4.replied(&reply) };
    w.down(&reply).sends(&wanted.build(), &[]);
}

fn unsummed(way: Way) -> Packet {
    Packet { l4: L4::Udp(Udp { unsummed: true, data: vec![9; 11] }), ..way.down(0) }
}
