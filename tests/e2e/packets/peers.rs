//! Whom the host itself talks to: only towards these a port is asked for that one of its own
//! connections may hold.

use std::net::TcpListener;

use lb_common::Event;
use socket2::{Domain, Socket, Type};

use super::{
    kit::{Hook, Way, World, row, syn_ack},
    wire::flag::{ACK, SYN},
};

/// The port of the host's own connection.
pub(super) const PORT: u16 = 40_000;

/// Rows for both programs and both families.
macro_rules! peers {
    ($(fn $name:ident($world:ident, $way:ident) $body:block)+) => {$(
        mod $name {
            use super::*;

            fn row_of($world: &mut World, $way: Way) {
                let ns = $world.lane.ns.clone();
                for at in [$way.nat(PORT), $way.backend()] {
                    let bits = if at.is_ipv4() { 32 } else { 128 };
                    ns.ip_batch(&format!("addr add {}/{bits} dev lo nodad\n", at.ip())).unwrap();
                }
                $body
                ns.ip("addr flush dev lo scope global").unwrap();
            }

            #[test]
            fn xdp_v4() -> anyhow::Result<()> {
                row(Hook::Xdp, |w| row_of(w, Way::Tcp4))
            }

            #[test]
            fn xdp_v6() -> anyhow::Result<()> {
                row(Hook::Xdp, |w| row_of(w, Way::Tcp6))
            }

            #[test]
            fn tc_v4() -> anyhow::Result<()> {
                row(Hook::Tc, |w| row_of(w, Way::Tcp4))
            }

            #[test]
            fn tc_v6() -> anyhow::Result<()> {
                row(Hook::Tc, |w| row_of(w, Way::Tcp6))
            }
        }
    )+};
}

/// A connection of the host from the NAT address to the backend, of which the programs have seen
/// nothing.
pub(super) fn connection(way: Way) -> (TcpListener, Socket) {
    let listener = TcpListener::bind(way.backend()).unwrap();
    let own = Socket::new(Domain::for_address(way.backend()), Type::STREAM, None).unwrap();
    own.set_linger(Some(std::time::Duration::ZERO)).unwrap(); // no TIME_WAIT for the next row
    own.bind(&way.nat(PORT).into()).unwrap();
    own.connect(&way.backend().into()).unwrap();
    (listener, own)
}

/// A client with the connection's port begins a flow: whether it keeps that port.
fn keeps_its_port(w: &World, way: Way) -> bool {
    let client = way.client_at(PORT);
    let seen = w.up(&way.from(client, SYN));
    let kept = w.flow(client).nat.port() == PORT;
    seen.counts(&[], if kept { &[] } else { &[Event::PortTranslated] });
    kept
}

peers! {
    fn before_the_host_was_asked_each_connection_is_found(w, way) {
        let _held = connection(way);
        assert!(!keeps_its_port(w, way));
    }
    fn who_had_a_connection_before_is_known(w, way) {
        let _held = connection(way);
        w.lane.learn_peers().unwrap();
        assert!(!keeps_its_port(w, way));
    }
    fn who_answers_the_host_is_known(w, way) {
        w.lane.learn_peers().unwrap();
        let _held = connection(way);
        let answer = syn_ack(way, PORT);
        w.down(&answer).passes(&answer.build());
        assert!(!keeps_its_port(w, way));
    }
    fn no_socket_is_looked_for_where_the_host_talks_to_nobody(w, way) {
        w.lane.learn_peers().unwrap();
        let _held = connection(way);
        assert!(keeps_its_port(w, way));
    }
    fn what_passes_but_an_answer_makes_nobody_known(w, way) {
        w.lane.learn_peers().unwrap();
        let _held = connection(way);
        for packet in [way.answer(PORT, ACK), way.answer(PORT, SYN)] {
            w.down(&packet).passes(&packet.build());
        }
        assert!(keeps_its_port(w, way));
    }
    fn who_is_gone_is_forgotten_when_the_host_is_asked_again(w, way) {
        w.lane.learn_peers().unwrap();
        let answer = syn_ack(way, PORT);
        w.down(&answer).passes(&answer.build());
        w.lane.learn_peers().unwrap();
        let _held = connection(way);
        assert!(keeps_its_port(w, way));
    }
    fn who_answers_lbs_own_checks_is_not_taken_for_one(w, way) {
        w.set_config(|config| (config.own_port_first, config.own_port_last) = (50_000, 50_999));
        w.lane.learn_peers().unwrap();
        let _held = connection(way);
        let answer = syn_ack(way, 50_500);
        w.down(&answer).passes(&answer.build());
        assert!(keeps_its_port(w, way));
    }
}
