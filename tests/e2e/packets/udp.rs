//! UDP flows: answered or not, and moved when their time or their backend is up.

use lb_common::{Event, TcpState, backend::flags, vip::algorithm};

use super::{
    kit::{BACKEND_IF, Way, World, both, sibling},
    wire::Packet,
};

const WAY: Way = Way::Udp4;

both! {
    fn a_question_makes_a_half_open_flow(w) {
        w.goes_up(WAY, &WAY.up(0), &[]);
        w.has_flow(WAY, TcpState::New);
        assert_eq!(w.entries(), (0, 1));
    }
    fn an_answer_establishes_it(w) {
        w.open(WAY);
        w.has_flow(WAY, TcpState::Established);
        assert_eq!(w.entries(), (1, 0));
    }
    fn more_questions_and_answers_change_nothing(w) {
        w.open(WAY);
        for _ in 0..3 {
            w.goes_up(WAY, &WAY.up(0), &[]);
            w.goes_down(WAY, &WAY.down(0), &[]);
        }
        w.has_flow(WAY, TcpState::Established);
        assert_eq!(w.counters(1).total.connections, 1);
        assert_eq!((w.counters(1).total.packets, w.counters(1).total.reply_packets), (4, 4));
    }
    fn questions_alone_stay_half_open(w) {
        for _ in 0..3 {
            w.goes_up(WAY, &WAY.up(0), &[]);
        }
        w.has_flow(WAY, TcpState::New);
        assert_eq!(w.counters(1).total.connections, 1);
    }
    fn an_ipv6_flow_is_established_by_an_answer(w) {
        w.open(Way::Udp6);
        w.has_flow(Way::Udp6, TcpState::Established);
        assert_eq!(w.entries(), (1, 0));
    }
    fn an_idle_flow_is_chosen_anew(w) {
        w.open(WAY);
        w.set_config(|config| config.udp = 0);
        w.tick();
        w.goes_up(WAY, &WAY.up(0), &[Event::Moved]);
        w.has_flow(WAY, TcpState::New);
        assert_eq!((w.counters(1).total.connections, w.counters(1).active), (2, 1));
    }
    fn an_idle_question_is_chosen_anew(w) {
        w.goes_up(WAY, &WAY.up(0), &[]);
        w.set_config(|config| config.half_open = 0);
        w.tick();
        w.goes_up(WAY, &WAY.up(0), &[Event::Moved]);
        assert_eq!(w.counters(1).active, 1);
    }
    fn a_flow_within_its_time_stays(w) {
        w.open(WAY);
        w.set_config(|config| config.half_open = 0);
        w.tick();
        w.goes_up(WAY, &WAY.up(0), &[]);
        w.has_flow(WAY, TcpState::Established);
    }
    fn a_flow_of_a_dead_backend_moves_at_once(w) {
        moves(w, WAY, flags::DOWN);
    }
    fn an_ipv6_flow_of_a_dead_backend_moves_at_once(w) {
        moves(w, Way::Udp6, flags::DOWN);
    }
    fn a_flow_of_a_backend_that_is_given_up_moves_at_once(w) {
        moves(w, WAY, flags::DOWN | flags::RESET);
    }
    fn a_late_answer_of_the_old_backend_is_the_hosts(w) {
        moves(w, WAY, flags::DOWN);
        let late = WAY.down(0).build();
        w.run(BACKEND_IF, &late).passes(&late);
    }
}

/// An established flow goes to the neighbour once its backend is marked.
fn moves(w: &mut World, way: Way, mark: u32) {
    w.open(way);
    w.serve(way, algorithm::MAGLEV, &[11]);
    w.set_backend(way.id(), |b| b.flags |= mark);
    let wanted = Packet { dst: sibling(way, 11), ..way.forwarded(&way.up(0)) };
    w.up(&way.up(0)).sends(&wanted.build(), &[Event::Moved]);
    let flow = w.flow(way.client());
    assert_eq!((flow.backend_id, flow.state), (11, TcpState::New));
    assert_eq!((w.counters(way.id()).active, w.counters(11).active), (0, 1));
}
