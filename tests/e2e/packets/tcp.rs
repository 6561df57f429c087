//! TCP states: what each side's flags make of a flow.

use lb_common::{DropReason, Event, TcpState, vip::algorithm};

use super::{
    answer,
    kit::{Action, Way, World, acknowledged, both, segment, syn_ack, xdp},
    wire::{Packet, flag},
};

use flag::{ACK, FIN, PSH, RST, SYN};

const WAY: Way = Way::Tcp4;

/// After a handshake: who sends which flags, and the state they come to.
macro_rules! closings {
    ($($name:ident: [$($side:ident $flags:expr),+] => $state:ident;)+) => {
        both! { $(fn $name(w) {
            w.open(WAY);
            $(w.$side(WAY, $flags);)+
            w.has_flow(WAY, TcpState::$state);
            assert_eq!(w.entries(), (1, 0));
            let is_active = TcpState::$state as u32 <= TcpState::Closing as u32;
            assert_eq!(w.counters(0).active, u64::from(is_active));
        })+ }
    };
}

closings! {
    data_both_ways_changes_nothing: [client ACK, backend ACK, client ACK | PSH] => Established;
    a_fin_of_the_client_begins_the_end: [client FIN | ACK] => Closing;
    a_fin_of_the_backend_begins_the_end: [backend FIN | ACK] => Closing;
    data_after_the_clients_fin_goes_on: [client FIN | ACK, backend ACK] => Closing;
    data_after_the_backends_fin_goes_on: [backend FIN | ACK, client ACK] => Closing;
    a_fin_sent_twice_counts_once: [client FIN | ACK, client FIN | ACK] => Closing;
    both_fins_the_client_first: [client FIN | ACK, backend FIN | ACK, client ACK] => Closed;
    both_fins_the_backend_first: [backend FIN | ACK, client FIN | ACK, backend ACK] => Closed;
    a_fin_with_data: [client FIN | ACK | PSH, backend FIN | ACK | PSH] => Closed;
    a_rst_of_the_client_closes: [client RST] => Closed;
    a_rst_of_the_client_with_ack_closes: [client RST | ACK] => Closed;
    a_rst_of_the_backend_closes: [backend RST | ACK] => Closed;
    data_after_a_rst_shows_that_it_was_not_taken: [client RST, backend ACK | PSH] => Established;
    the_clients_data_after_a_rst_shows_it_too: [backend RST, client ACK] => Established;
    a_rst_after_a_fin_closes: [client FIN | ACK, backend RST] => Closed;
    a_syn_ack_sent_again_changes_nothing: [backend SYN | ACK] => Established;
}

both! {
    fn a_syn_makes_a_half_open_flow(w) {
        w.client(WAY, SYN);
        w.has_flow(WAY, TcpState::New);
        assert_eq!(w.entries(), (0, 1));
    }
    fn a_syn_sent_again_is_the_same_flow(w) {
        w.client(WAY, SYN);
        w.client(WAY, SYN);
        w.has_flow(WAY, TcpState::New);
        assert_eq!(w.counters(0).total.connections, 1);
        assert_eq!(w.counters(0).total.packets, 2);
    }
    fn a_syn_ack_makes_it_known_to_both(w) {
        w.client(WAY, SYN);
        w.goes_down(WAY, &syn_ack(WAY, 4000), &[]);
        w.has_flow(WAY, TcpState::SynReceived);
        assert_eq!(w.entries(), (0, 1));
    }
    fn an_acknowledgement_establishes_once(w) {
        w.open(WAY);
        assert_eq!(w.entries(), (1, 0));
        w.goes_up(WAY, &acknowledged(WAY, WAY.client()), &[]);
        assert_eq!(w.entries(), (1, 0));
        assert_eq!(w.counters(0).active, 1);
    }
    fn a_blind_acknowledgement_does_not_establish(w) {
        w.client(WAY, SYN);
        w.goes_down(WAY, &syn_ack(WAY, 4000), &[]);
        let blind = Packet { l4: segment(ACK, 1001, 0x4141_4141), ..WAY.up(0) };
        w.goes_up(WAY, &blind, &[]);
        w.has_flow(WAY, TcpState::SynReceived);
        assert_eq!(w.entries(), (0, 1));
    }
    fn an_acknowledgement_before_the_syn_ack_does_not_establish(w) {
        w.client(WAY, SYN);
        w.goes_up(WAY, &acknowledged(WAY, WAY.client()), &[]);
        w.has_flow(WAY, TcpState::New);
    }
    fn a_fin_that_completes_the_handshake_counts_as_both(w) {
        w.client(WAY, SYN);
        w.goes_down(WAY, &syn_ack(WAY, 4000), &[]);
        let fin = Packet { l4: segment(FIN | ACK, 1001, 7001), ..WAY.up(0) };
        w.goes_up(WAY, &fin, &[Event::Established]);
        w.backend(WAY, FIN | ACK);
        w.has_flow(WAY, TcpState::Closed);
    }
    fn a_syn_ack_with_another_number_is_the_one_to_be_acknowledged(w) {
        w.client(WAY, SYN);
        w.goes_down(WAY, &syn_ack(WAY, 4000), &[]);
        let later = Packet { l4: segment(SYN | ACK, 9000, 1001), ..WAY.down(0) };
        w.goes_down(WAY, &later, &[]);
        let ack = Packet { l4: segment(ACK, 1001, 9001), ..WAY.up(0) };
        w.goes_up(WAY, &ack, &[Event::Established]);
    }
    fn a_refused_handshake_is_counted(w) {
        w.client(WAY, SYN);
        w.backend(WAY, RST | ACK);
        w.has_flow(WAY, TcpState::Closed);
        assert_eq!(w.counters(0).total.refused, 1);
    }
    fn a_reset_of_an_established_flow_is_no_refusal(w) {
        w.open(WAY);
        w.backend(WAY, RST);
        assert_eq!(w.counters(0).total.refused, 0);
    }
    fn an_ipv6_handshake_establishes(w) {
        w.open(Way::Tcp6);
        w.has_flow(Way::Tcp6, TcpState::Established);
        w.client(Way::Tcp6, FIN | ACK);
        w.backend(Way::Tcp6, FIN | ACK);
        w.has_flow(Way::Tcp6, TcpState::Closed);
    }
    fn a_syn_on_an_established_flow_belongs_to_it(w) {
        w.open(WAY);
        w.client(WAY, SYN);
        w.has_flow(WAY, TcpState::Established);
        assert_eq!(w.counters(0).total.connections, 1);
    }
    fn impossible_flags_do_not_touch_a_flow(w) {
        w.open(WAY);
        w.up(&WAY.up(SYN | FIN)).drops(DropReason::BadFlags);
        w.up(&WAY.up(0)).drops(DropReason::BadFlags);
        w.has_flow(WAY, TcpState::Established);
    }
}

/// A SYN on a flow that is ending begins a new one.
macro_rules! new_connections {
    ($($name:ident: [$($side:ident $flags:expr),+];)+) => {
        both! { $(fn $name(w) {
            w.open(WAY);
            $(w.$side(WAY, $flags);)+
            w.goes_up(WAY, &WAY.up(SYN), &[Event::SynOnClosing]);
            w.has_flow(WAY, TcpState::New);
            assert_eq!(w.counters(0).total.connections, 2);
            assert_eq!(w.counters(0).active, 1);
            assert_eq!(w.entries(), (0, 1));
        })+ }
    };
}

new_connections! {
    a_syn_on_a_closed_flow_is_a_new_connection: [client FIN | ACK, backend FIN | ACK];
    a_syn_after_the_backend_closed_first_is_a_new_connection:
        [backend FIN | ACK, client FIN | ACK];
    a_syn_on_a_closing_flow_is_a_new_connection: [client FIN | ACK];
    a_syn_after_a_rst_is_a_new_connection: [client RST];
}

/// Packets of no known flow, under an algorithm that finds the backend again.
macro_rules! picked_up {
    ($($name:ident: $way:ident, $algorithm:ident, $flags:expr;)+) => {
        both! { $(fn $name(w) {
            w.set_vip(Way::$way, |vip| vip.algorithm = algorithm::$algorithm);
            w.goes_up(Way::$way, &Way::$way.up($flags), &[Event::PickedUp]);
            w.has_flow(Way::$way, TcpState::New);
        })+ }
    };
}

picked_up! {
    maglev_picks_up_an_acknowledgement: Tcp4, MAGLEV, ACK;
    maglev_picks_up_ipv6: Tcp6, MAGLEV, ACK | PSH;
    maglev_picks_up_a_fin: Tcp4, MAGLEV, FIN | ACK;
    maglev_picks_up_a_stray_syn_ack: Tcp4, MAGLEV, SYN | ACK;
    source_hash_picks_up: Tcp4, SOURCE_HASH, ACK;
}

/// … and under one that can't: answered with RST.
macro_rules! refused {
    ($($name:ident: $way:ident, $algorithm:ident, $flags:expr => $rst:expr;)+) => {
        both! { $(fn $name(w) {
            w.set_vip(Way::$way, |vip| vip.algorithm = algorithm::$algorithm);
            let packet = Way::$way.up($flags);
            let (flags, seq, ack): (u8, u32, u32) = $rst;
            let answer = answer::reset(&packet, flags, seq, ack);
            let seen = w.up(&packet);
            w.answers(&seen, &answer, DropReason::NoFlow, Event::ResetSent);
            assert_eq!(w.flows(), []);
        })+ }
    };
}

refused! {
    round_robin_refuses_what_it_does_not_know: Tcp4, ROUND_ROBIN, ACK => (RST, 7000, 0);
    round_robin_refuses_ipv6: Tcp6, ROUND_ROBIN, ACK => (RST, 7000, 0);
    least_conn_refuses_what_it_does_not_know: Tcp4, LEAST_CONN, ACK | PSH => (RST, 7000, 0);
    random_refuses_what_it_does_not_know: Tcp4, RANDOM, SYN | ACK => (RST, 7000, 0);
    a_fin_without_ack_is_refused_with_its_number: Tcp4, RANDOM, FIN => (RST | ACK, 0, 1001);
}

both! {
    fn a_picked_up_flow_is_established_by_the_backends_data(w) {
        w.up(&WAY.up(ACK));
        w.goes_down(WAY, &WAY.down(ACK), &[Event::Established]);
        w.has_flow(WAY, TcpState::Established);
        assert_eq!(w.entries(), (1, 0));
    }
    fn a_picked_up_flow_that_the_backend_resets_is_closed(w) {
        w.up(&WAY.up(ACK));
        w.backend(WAY, RST);
        w.has_flow(WAY, TcpState::Closed);
    }
    fn the_clients_own_data_does_not_establish_what_was_picked_up(w) {
        w.up(&WAY.up(ACK));
        w.client(WAY, ACK);
        w.has_flow(WAY, TcpState::New);
    }
    fn a_stray_reset_is_dropped(w) {
        w.up(&WAY.up(RST)).drops(DropReason::StrayReset);
        w.up(&WAY.up(RST | ACK)).drops(DropReason::StrayReset);
        assert_eq!(w.flows(), []);
    }
    fn a_stray_reset_under_round_robin_is_dropped(w) {
        w.set_vip(WAY, |vip| vip.algorithm = algorithm::ROUND_ROBIN);
        w.up(&WAY.up(RST | ACK)).drops(DropReason::StrayReset);
    }
    fn a_stray_ipv6_reset_is_dropped(w) {
        w.up(&Way::Tcp6.up(RST)).drops(DropReason::StrayReset);
    }
}

xdp! {
    fn a_thousand_connections_in_a_row_use_one_client_port(w) {
        for _ in 0..1000 {
            let seen = w.up(&WAY.up(SYN));
            assert_eq!(seen.action, Action::Redirect, "{:?}", seen.counted);
            w.down(&syn_ack(WAY, 4000));
            w.up(&acknowledged(WAY, WAY.client()));
            w.client(WAY, FIN | ACK);
            w.backend(WAY, FIN | ACK);
        }
        w.has_flow(WAY, TcpState::Closed);
        assert_eq!(w.counters(0).total.connections, 1000);
        assert_eq!(w.counters(0).active, 0);
    }
}

impl World {
    /// The client sends a segment with these flags, which goes through.
    fn client(&self, way: Way, flags: u8) {
        self.goes_up(way, &way.up(flags), &[]);
    }

    /// The backend does.
    fn backend(&self, way: Way, flags: u8) {
        self.goes_down(way, &way.down(flags), &[]);
    }
}
