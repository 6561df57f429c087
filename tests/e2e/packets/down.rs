//! Backends that are dead, given up or gone, and services that have none.

use lb_common::{
    DropReason, Event, TcpState, VipEntry,
    backend::flags,
    vip::{self, NO_RING, algorithm},
};

use super::{
    answer,
    kit::{BACKEND_IF, Way, World, acknowledged, both, same_bytes, segment, sibling, syn_ack, xdp},
    wire::{L4, Packet, Q, Tcp, Udp, flag},
};

use flag::{ACK, FIN, PSH, RST, SYN};

const WAY: Way = Way::Tcp4;

both! {
    fn an_established_flow_stays_on_a_dead_backend(w) {
        w.open(WAY);
        dead(w, flags::DOWN);
        w.goes_up(WAY, &WAY.up(ACK), &[]);
        w.goes_down(WAY, &WAY.down(ACK), &[]);
        w.has_flow(WAY, TcpState::Established);
    }
    fn a_syn_sent_again_moves_off_a_dead_backend(w) {
        w.goes_up(WAY, &WAY.up(SYN), &[]);
        dead(w, flags::DOWN);
        let wanted = Packet { dst: sibling(WAY, 11), ..WAY.forwarded(&WAY.up(SYN)) };
        w.up(&WAY.up(SYN)).sends(&wanted.build(), &[Event::Moved]);
        assert_eq!(w.flow(WAY.client()).backend_id, 11);
        assert_eq!((w.counters(0).active, w.counters(11).active), (0, 1));
    }
    fn a_syn_after_the_syn_ack_moves_off_a_dead_backend(w) {
        w.goes_up(WAY, &WAY.up(SYN), &[]);
        w.goes_down(WAY, &syn_ack(WAY, 4000), &[]);
        dead(w, flags::DOWN);
        let wanted = Packet { dst: sibling(WAY, 11), ..WAY.forwarded(&WAY.up(SYN)) };
        w.up(&WAY.up(SYN)).sends(&wanted.build(), &[Event::Moved]);
    }
    fn a_handshake_under_way_may_still_complete_on_a_dead_backend(w) {
        w.goes_up(WAY, &WAY.up(SYN), &[]);
        w.goes_down(WAY, &syn_ack(WAY, 4000), &[]);
        dead(w, flags::DOWN);
        w.goes_up(WAY, &acknowledged(WAY, WAY.client()), &[Event::Established]);
    }
    fn a_new_flow_passes_a_dead_backend_by(w) {
        dead(w, flags::DOWN);
        assert_eq!(w.connect(WAY, WAY.client()).backend_id, 11);
    }
    fn a_flow_of_a_removed_backend_is_begun_anew(w) {
        w.open(WAY);
        w.serve(WAY, algorithm::MAGLEV, &[11]);
        w.set_backend(0, |b| b.flags = 0);
        let wanted = Packet { dst: sibling(WAY, 11), ..WAY.forwarded(&WAY.up(ACK)) };
        let events = [Event::Moved, Event::PickedUp];
        w.up(&WAY.up(ACK)).sends(&wanted.build(), &events);
    }
    fn a_flow_of_a_removed_backend_is_refused_by_round_robin(w) {
        w.open(WAY);
        w.serve(WAY, algorithm::ROUND_ROBIN, &[11]);
        w.set_backend(0, |b| b.flags = 0);
        let packet = WAY.up(ACK);
        let seen = w.up(&packet);
        same_bytes(&seen.frame, &answer::reset(&packet, RST, 7000, 0));
        seen.counts(&[DropReason::NoFlow], &[Event::Moved, Event::ResetSent]);
        assert_eq!(w.flows(), []);
    }
    fn a_new_flow_to_an_unresolved_next_hop_is_dropped(w) {
        w.set_backend(0, |b| b.flags &= !flags::RESOLVED);
        w.up(&WAY.up(SYN)).drops(DropReason::Unresolved);
        assert_eq!(w.flows(), []);
    }
    fn a_known_flow_to_an_unresolved_next_hop_is_dropped_and_kept(w) {
        w.open(WAY);
        w.set_backend(0, |b| b.flags &= !flags::RESOLVED);
        w.up(&WAY.up(ACK)).drops(DropReason::Unresolved);
        w.has_flow(WAY, TcpState::Established);
        w.set_backend(0, |b| b.flags |= flags::RESOLVED);
        w.goes_up(WAY, &WAY.up(ACK), &[]);
    }
    fn replies_go_back_while_the_next_hop_is_unresolved(w) {
        w.open(WAY);
        w.set_backend(0, |b| b.flags &= !flags::RESOLVED);
        w.goes_down(WAY, &WAY.down(ACK), &[]);
    }
    fn a_next_hop_that_changes_its_mac_is_followed(w) {
        w.open(WAY);
        let mac = [2, 0, 0, 0, 0x77, 7];
        w.set_backend(0, |b| b.dst_mac = mac);
        let wanted = Packet { to: mac, ..WAY.forwarded(&WAY.up(ACK)) };
        w.up(&WAY.up(ACK)).sends(&wanted.build(), &[]);
    }
}

/// Flows of a backend that is given up: the RST that answers the packet.
macro_rules! reset {
    ($($name:ident: $way:ident, $packet:expr => $rst:expr;)+) => {
        both! { $(fn $name(w) {
            w.open(Way::$way);
            w.set_backend(Way::$way.id(), |b| b.flags |= flags::DOWN | flags::RESET);
            let packet: Packet = $packet;
            let (flags, seq, ack): (u8, u32, u32) = $rst;
            let answer = answer::reset(&packet, flags, seq, ack);
            let seen = w.up(&packet);
            w.answers(&seen, &answer, DropReason::BackendReset, Event::ResetSent);
            w.has_flow(Way::$way, TcpState::Reset);
        })+ }
    };
}

reset! {
    data_is_answered_with_rst: Tcp4, Way::Tcp4.up(ACK | PSH) => (RST, 7000, 0);
    ipv6_data_is_answered_with_rst: Tcp6, Way::Tcp6.up(ACK) => (RST, 7000, 0);
    a_fin_is_answered_with_rst: Tcp4, Way::Tcp4.up(FIN | ACK) => (RST, 7000, 0);
    a_bare_fin_is_answered_with_its_number: Tcp4, Way::Tcp4.up(FIN) => (RST | ACK, 0, 1001);
    ip_options_are_kept_in_a_rst: Tcp4, Packet {
        options: vec![1; 8], ..Way::Tcp4.up(ACK)
    } => (RST, 7000, 0);
    padding_is_cut_off_a_rst: Tcp4, Packet { trailer: 9, ..Way::Tcp4.up(ACK) } => (RST, 7000, 0);
    tcp_options_are_cut_off_a_rst: Tcp4, {
        let tcp = Tcp { flags: ACK, ack: 77, options: vec![1; 12], ..Tcp::default() };
        Packet { l4: L4::Tcp(tcp), ..Way::Tcp4.up(0) }
    } => (RST, 77, 0);
}

both! {
    fn a_reply_of_a_backend_that_is_given_up_is_answered_with_rst(w) {
        w.open(WAY);
        w.set_backend(0, |b| b.flags |= flags::RESET);
        let packet = WAY.down(ACK);
        let answer = answer::reset(&packet, RST, 1000, 0);
        w.answers(&w.down(&packet), &answer, DropReason::BackendReset, Event::ResetSent);
        w.has_flow(WAY, TcpState::Reset);
    }
    fn a_rst_to_a_backend_that_is_given_up_is_dropped_in_silence(w) {
        w.open(WAY);
        w.set_backend(0, |b| b.flags |= flags::RESET);
        w.up(&WAY.up(RST)).drops(DropReason::BackendReset);
    }
    fn a_syn_on_a_flow_that_was_reset_is_a_new_connection(w) {
        w.open(WAY);
        dead(w, flags::DOWN | flags::RESET);
        w.up(&WAY.up(ACK));
        w.has_flow(WAY, TcpState::Reset);
        let wanted = Packet { dst: sibling(WAY, 11), ..WAY.forwarded(&WAY.up(SYN)) };
        w.up(&WAY.up(SYN)).sends(&wanted.build(), &[Event::SynOnClosing]);
        assert_eq!((w.counters(0).active, w.counters(11).active), (0, 1));
    }
    fn a_syn_on_an_established_flow_of_a_backend_given_up_is_reset(w) {
        w.open(WAY);
        dead(w, flags::DOWN | flags::RESET);
        let packet = WAY.up(SYN);
        let answer = answer::reset(&packet, RST | ACK, 0, 1001);
        w.answers(&w.up(&packet), &answer, DropReason::BackendReset, Event::ResetSent);
    }
}

/// A service without backends: what each packet of no flow gets.
macro_rules! empty {
    ($($name:ident: $way:ident, $packet:expr => $answer:expr;)+) => {
        both! { $(fn $name(w) {
            w.set_vip(Way::$way, none);
            let packet: Packet = $packet;
            let answer: fn(&Packet) -> Vec<u8> = $answer;
            let events = (Event::ResetSent, Event::IcmpSent);
            let event = if Way::$way.is_tcp() { events.0 } else { events.1 };
            w.answers(&w.up(&packet), &answer(&packet), DropReason::NoBackendReset, event);
            assert_eq!(w.flows(), []);
        })+ }
    };
}

empty! {
    a_syn_gets_a_rst: Tcp4, Way::Tcp4.up(SYN) => |p| answer::reset(p, RST | ACK, 0, 1001);
    an_ipv6_syn_gets_a_rst: Tcp6, Way::Tcp6.up(SYN) => |p| answer::reset(p, RST | ACK, 0, 1001);
    a_syn_with_data_gets_a_rst_beyond_it: Tcp4, Packet {
        l4: L4::Tcp(Tcp { flags: SYN, seq: 5, data: vec![1; 100], ..Tcp::default() }),
        ..Way::Tcp4.up(0)
    } => |p| answer::reset(p, RST | ACK, 0, 106);
    a_sequence_number_that_wraps: Tcp4, Packet {
        l4: L4::Tcp(Tcp { flags: SYN, seq: u32::MAX, ..Tcp::default() }), ..Way::Tcp4.up(0)
    } => |p| answer::reset(p, RST | ACK, 0, 0);
    a_datagram_gets_port_unreachable: Udp4, Way::Udp4.up(0) => |p| answer::error(p, 3, 3, 0);
    an_ipv6_datagram_gets_port_unreachable: Udp6, Way::Udp6.up(0) => |p| answer::error(p, 1, 4, 0);
    an_empty_datagram_gets_port_unreachable: Udp4, Packet {
        l4: L4::Udp(Udp::default()), ..Way::Udp4.up(0)
    } => |p| answer::error(p, 3, 3, 0);
}

both! {
    fn a_service_without_backends_may_drop_in_silence(w) {
        for way in Way::ALL {
            w.set_vip(way, |vip| {
                none(vip);
                vip.flags |= vip::flags::EMPTY_DROP;
            });
            w.up(&way.up(SYN)).drops(DropReason::NoBackend);
        }
    }
    fn what_was_picked_up_finds_no_backend(w) {
        w.set_vip(WAY, none);
        let packet = WAY.up(ACK);
        let seen = w.up(&packet);
        same_bytes(&seen.frame, &answer::reset(&packet, RST, 7000, 0));
        seen.counts(&[DropReason::NoBackendReset], &[Event::PickedUp, Event::ResetSent]);
    }
    fn least_conn_among_backends_out_of_use_finds_none(w) {
        w.serve(WAY, algorithm::LEAST_CONN, &[11, 12]);
        w.set_backend(11, |b| b.flags = 0);
        w.set_backend(12, |b| b.flags = 0);
        let packet = WAY.up(SYN);
        let answer = answer::reset(&packet, RST | ACK, 0, 1001);
        w.answers(&w.up(&packet), &answer, DropReason::NoBackendReset, Event::ResetSent);
    }
    fn a_backend_without_a_nat_address_gets_nothing(w) {
        for way in Way::ALL {
            w.set_backend(way.id(), |b| b.nat_count = 0);
            w.up(&way.up(SYN)).drops(DropReason::NoNatAddress);
        }
        assert_eq!(w.flows(), []);
    }
    fn a_late_packet_of_the_backend_after_all_flows_went_is_the_hosts(w) {
        w.open(WAY);
        w.lane.forget_flows().unwrap();
        let frame = WAY.down(ACK).build();
        w.run(BACKEND_IF, &frame).passes(&frame);
    }
}

xdp! {
    fn a_rst_keeps_the_tag_of_the_packet(w) {
        w.set_vip(WAY, none);
        let packet = Packet { tags: vec![(Q, 7)], l4: segment(SYN, 1000, 0), ..WAY.up(SYN) };
        let answer = answer::reset(&packet, RST | ACK, 0, 1001);
        w.answers(&w.up(&packet), &answer, DropReason::NoBackendReset, Event::ResetSent);
    }
}

/// The VIP's backend is marked, and its ring names the neighbour alone.
fn dead(w: &mut World, mark: u32) {
    w.serve(WAY, algorithm::MAGLEV, &[11]);
    w.set_backend(0, |b| b.flags |= mark);
}

fn none(vip: &mut VipEntry) {
    (vip.ring, vip.ring_len) = (NO_RING, 0);
}
