//! The flow table when it is full, contended or collides.

use std::net::SocketAddr;

use lb_common::{
    DropReason, Event, TcpState,
    addr::from_ip,
    flow::{SIG_BUSY, SIG_STATE, WAYS, bucket, signature},
    hash,
};

use super::{
    kit::{Action, BACKEND_IF, CLIENT_IF, Hook, Way, World, acknowledged, both, row_of, syn_ack},
    wire::flag,
};

use flag::{ACK, SYN};

const WAY: Way = Way::Tcp4;

both! {
    fn a_full_bucket_gives_the_place_of_a_half_open_flow(w) {
        let clients = neighbours(w, WAYS + 1);
        for client in &clients[..WAYS] {
            w.goes_up(WAY, &WAY.from(*client, SYN), &[]);
        }
        w.goes_up(WAY, &WAY.from(clients[WAYS], SYN), &[Event::HalfOpenEvicted]);
        assert_eq!(w.entries(), (0, WAYS as u64));
        assert_eq!(w.counters(0).active, WAYS as u64);
        assert_eq!(w.flow(clients[WAYS]).state, TcpState::New);
    }
    fn what_was_evicted_begins_anew(w) {
        let clients = neighbours(w, WAYS + 1);
        for client in &clients {
            w.up(&WAY.from(*client, SYN));
        }
        let flows = w.flows();
        let gone = clients.iter().find(|client| flows.iter().all(|f| f.client != **client));
        let seen = w.up(&WAY.from(*gone.unwrap(), SYN));
        seen.counts(&[], &[Event::HalfOpenEvicted]);
        assert_eq!(seen.action, Action::Redirect);
    }
    fn replies_to_what_was_evicted_are_the_hosts(w) {
        let clients = neighbours(w, WAYS + 1);
        for client in &clients {
            w.up(&WAY.from(*client, SYN));
        }
        let flows = w.flows();
        for client in &clients {
            let seen = w.down(&syn_ack(WAY, client.port()));
            let there = flows.iter().any(|flow| flow.client == *client);
            assert_eq!(seen.action, if there { Action::Redirect } else { Action::Pass });
        }
    }
    fn a_flood_leaves_established_flows_alone(w) {
        w.open(WAY);
        for n in 0..3000u32 {
            let client = SocketAddr::from(([192, 0, 2, 200], 10_000 + n as u16));
            let action = w.act(CLIENT_IF, &WAY.from(client, SYN).build());
            assert_eq!(action, Action::Redirect);
        }
        assert_eq!(w.entries().0, 1);
        assert!(w.entries().1 <= 1024);
        w.goes_up(WAY, &WAY.up(ACK), &[]);
        w.goes_down(WAY, &WAY.down(ACK), &[]);
        assert_eq!(w.counters(0).active, w.flow_count() as u64);
    }
    fn a_bucket_of_flows_being_written_is_full(w) {
        let (_, half) = places(w, WAY.client());
        w.set_signatures(half, [0x1230 | SIG_BUSY; WAYS]);
        w.up(&WAY.up(SYN)).drops(DropReason::TableFull);
        assert_eq!(w.flows(), []);
    }
    fn a_flow_that_another_cpu_is_still_writing_is_contended(w) {
        let (sig, half) = places(w, WAY.client());
        let mut sigs = [0; WAYS];
        sigs[5] = sig & !SIG_STATE | SIG_BUSY;
        w.set_signatures(half, sigs);
        w.up(&WAY.up(SYN)).drops(DropReason::Contended);
        w.set_signatures(half, [0; WAYS]);
        w.goes_up(WAY, &WAY.up(SYN), &[]);
    }
    fn an_equal_signature_of_another_flow_is_told_apart(w) {
        let other = WAY.client_at(9);
        w.goes_up(WAY, &WAY.from(other, SYN), &[]);
        // Its signature now says that it were the usual client's.
        let ((_, old), (sig, new)) = (places(w, other), places(w, WAY.client()));
        let mut sigs = w.signatures(new);
        if old == new {
            sigs[0] = sig;
        } else {
            sigs = [0; WAYS];
            sigs[3] = sig;
        }
        w.set_signatures(new, sigs);
        w.goes_up(WAY, &WAY.up(SYN), &[]);
        assert_eq!(w.flow(WAY.client()).nat, WAY.nat(4000));
    }
    fn a_way_back_that_leads_nowhere_is_used_again(w) {
        w.goes_up(WAY, &WAY.up(SYN), &[]);
        let (_, half) = places(w, WAY.client());
        w.set_signatures(half, [0; WAYS]);
        let late = syn_ack(WAY, 4000).build();
        w.run(BACKEND_IF, &late).passes(&late);
        w.goes_up(WAY, &WAY.up(SYN), &[]);
        w.goes_down(WAY, &syn_ack(WAY, 4000), &[]);
    }
}

/// Rows on a table with room for sixteen established flows, one bucket.
macro_rules! tiny {
    ($($(#[$meta:meta])* fn $name:ident($world:ident) $body:block)+) => {$(
        $(#[$meta])*
        #[test]
        fn $name() -> anyhow::Result<()> {
            fn row($world: &mut World) $body
            row_of(Hook::Xdp, 8, row)
        }
    )+};
}

tiny! {
    fn without_room_among_the_established_a_flow_stays_where_it_is(w) {
        fill(w);
        let client = WAY.client();
        w.goes_up(WAY, &WAY.up(SYN), &[]);
        w.goes_down(WAY, &syn_ack(WAY, 4000), &[]);
        w.goes_up(WAY, &acknowledged(WAY, client), &[Event::EstablishedFull]);
        assert_eq!((w.entries(), w.state(WAY)), ((16, 1), TcpState::Established));
        w.goes_up(WAY, &WAY.up(ACK), &[]);
        w.goes_down(WAY, &WAY.down(ACK), &[]);
    }
    fn an_established_flow_without_room_is_not_evicted_by_a_flood(w) {
        fill(w);
        w.establish(WAY, WAY.client());
        assert_eq!(w.entries(), (16, 1));
        let neighbours = neighbours(w, 60);
        for client in &neighbours[1..] {
            let seen = w.up(&WAY.from(*client, SYN));
            assert_eq!(seen.action, Action::Redirect, "{:?}", seen.counted);
        }
        assert_eq!(w.entries(), (16, 16));
        w.goes_up(WAY, &WAY.up(ACK), &[]);
        w.goes_down(WAY, &WAY.down(ACK), &[]);
    }
    fn an_idle_flow_gives_its_place_to_a_new_one(w) {
        fill(w);
        w.set_config(|config| config.tcp_established = 0);
        w.tick();
        w.goes_up(WAY, &WAY.up(SYN), &[]);
        w.goes_down(WAY, &syn_ack(WAY, 4000), &[]);
        let events = [Event::ExpiredReused, Event::Established];
        w.goes_up(WAY, &acknowledged(WAY, WAY.client()), &events);
        assert_eq!(w.entries(), (16, 0));
        assert_eq!(w.counters(0).active, 16);
    }
}

/// Signature, and bucket among the half-open, of a client's flow.
fn places(w: &World, client: SocketAddr) -> (u32, u32) {
    let config = w.lane.config();
    let (from, vip) = (from_ip(client.ip()), WAY.vip());
    let ports = u32::from(client.port().to_be()) | u32::from(vip.port().to_be()) << 16;
    let hash = hash::flow(&config.hash_key, &from, &from_ip(vip.ip()), ports, 6);
    (signature(hash), config.est_buckets + bucket(hash, config.half_buckets))
}

/// Clients whose half-open flows share a bucket with the usual one's, which is the first of them.
fn neighbours(w: &World, count: usize) -> Vec<SocketAddr> {
    let wanted = places(w, WAY.client()).1;
    let ports = std::iter::once(4000).chain(5000..u16::MAX);
    let clients = ports.map(|port| WAY.client_at(port));
    let found: Vec<_> =
        clients.filter(|client| places(w, *client).1 == wanted).take(count).collect();
    assert_eq!(found.len(), count);
    found
}

/// Fills the one bucket of established flows.
fn fill(w: &World) {
    for n in 0..16 {
        w.establish(WAY, ([192, 0, 2, 100 + n], 3000 + u16::from(n)).into());
    }
    assert_eq!(w.entries(), (16, 0));
}
