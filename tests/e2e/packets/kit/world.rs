//! One row's world.

use std::net::SocketAddr;

use lb_common::{
    BackendEntry, DropReason, Event, KernelConfig, TcpState, VipEntry,
    flow::{FlowBucket, SigBucket},
    maps,
};
use lb_userspace::{
    kernel::{BackendCounters, FlowFilter, FlowRecord},
    plan::KernelView,
};

use super::{
    super::wire::{Packet, assert_sound, flag},
    Action, BACKEND_IF, CLIENT_IF, Extra, Hook, Lane, Seen, Way, seen, view,
};

pub(in crate::packets) struct World {
    pub(in crate::packets) hook: Hook,
    pub(in crate::packets) lane: Lane,
}

impl World {
    pub(super) fn new(hook: Hook, lane: Lane) -> Self {
        Self { hook, lane }
    }

    /// Runs a frame; what came out of it is sound, or left as it was.
    pub(in crate::packets) fn run(&self, ifindex: u32, frame: &[u8]) -> Seen {
        let seen = self.run_raw(ifindex, frame, Extra::default());
        if matches!(seen.action, Action::Tx | Action::Redirect) {
            assert_sound(&seen.frame);
        }
        seen
    }

    /// Runs a frame, and takes what comes out for what it is.
    pub(in crate::packets) fn run_raw(&self, ifindex: u32, frame: &[u8], extra: Extra) -> Seen {
        let read = || self.lane.reader.stats([]).expect("reading the counters");
        let before = read();
        let (returned, out) = self.lane.run(self.hook, ifindex, frame, extra).expect("a test-run");
        let counted = seen::between(&before, &read());
        Seen { action: Action::of(self.hook, returned), frame: out, counted }
    }

    /// What becomes of a frame, for those that are many: nothing else is looked at.
    pub(in crate::packets) fn act(&self, ifindex: u32, frame: &[u8]) -> Action {
        self.out(ifindex, frame).0
    }

    /// As [`World::act`], with the frame as it came out.
    pub(in crate::packets) fn out(&self, ifindex: u32, frame: &[u8]) -> (Action, Vec<u8>) {
        let ran = self.lane.run(self.hook, ifindex, frame, Extra::default());
        let (returned, out) = ran.expect("a test-run");
        (Action::of(self.hook, returned), out)
    }

    /// A packet from the side of the clients.
    pub(in crate::packets) fn up(&self, packet: &Packet) -> Seen {
        self.run(CLIENT_IF, &packet.build())
    }

    /// A packet from the side of the backends.
    pub(in crate::packets) fn down(&self, packet: &Packet) -> Seen {
        self.run(BACKEND_IF, &packet.build())
    }

    /// A client's packet goes to the backend, its own port kept.
    pub(in crate::packets) fn goes_up(&self, way: Way, packet: &Packet, events: &[Event]) {
        self.up(packet).sends(&way.forwarded(packet).build(), events);
    }

    /// The backend's packet goes to the usual client.
    pub(in crate::packets) fn goes_down(&self, way: Way, packet: &Packet, events: &[Event]) {
        self.down(packet).sends(&way.replied(packet).build(), events);
    }

    /// lb drops the packet of a client and sends this in its place, the way it came.
    pub(in crate::packets) fn answers(
        &self,
        seen: &Seen,
        answer: &[u8],
        reason: DropReason,
        event: Event,
    ) {
        let back = if self.hook == Hook::Xdp { Action::Tx } else { Action::Redirect };
        assert_eq!(seen.action, back, "{:?}", seen.counted);
        seen::same_bytes(&seen.frame, answer);
        seen.counts(&[reason], &[event]);
    }

    /// A TCP handshake, or a question and its answer, of the usual client.
    pub(in crate::packets) fn open(&self, way: Way) {
        if way.is_tcp() {
            self.goes_up(way, &way.up(flag::SYN), &[]);
            self.goes_down(way, &syn_ack(way, way.client().port()), &[]);
            self.goes_up(way, &acknowledged(way, way.client()), &[Event::Established]);
        } else {
            self.goes_up(way, &way.up(0), &[]);
            self.goes_down(way, &way.down(0), &[Event::Established]);
        }
    }

    /// A flow that `client` opens, whatever becomes of its port: as the table has it then.
    pub(in crate::packets) fn connect(&self, way: Way, client: SocketAddr) -> FlowRecord {
        let sent = self.up(&way.from(client, flag::SYN));
        assert_eq!(sent.action, Action::Redirect, "{:?}", sent.counted);
        self.flow(client)
    }

    /// As [`World::connect`], through to an established flow.
    pub(in crate::packets) fn establish(&self, way: Way, client: SocketAddr) -> FlowRecord {
        let flow = self.connect(way, client);
        let reply = match way.is_tcp() {
            true => syn_ack(way, flow.nat.port()),
            false => way.answer(flow.nat.port(), 0),
        };
        assert_eq!(self.down(&Packet { src: flow.backend, ..reply }).action, Action::Redirect);
        if way.is_tcp() {
            assert_eq!(self.up(&acknowledged(way, client)).action, Action::Redirect);
        }
        self.flow(client)
    }

    /// Changes what is in force.
    pub(in crate::packets) fn change(&mut self, change: impl FnOnce(&mut KernelView)) {
        let mut view = self.lane.view.clone();
        change(&mut view);
        self.lane.apply(view.with_nat_filter()).expect("applying a plan");
    }

    pub(in crate::packets) fn set_config(&mut self, change: impl FnOnce(&mut KernelConfig)) {
        self.change(|view| change(&mut view.config));
    }

    pub(in crate::packets) fn set_backend(
        &mut self,
        id: u32,
        change: impl FnOnce(&mut BackendEntry),
    ) {
        self.change(|view| change(view.backends.get_mut(&id).expect("a backend")));
    }

    pub(in crate::packets) fn set_vip(&mut self, way: Way, change: impl FnOnce(&mut VipEntry)) {
        self.change(|view| change(view.vips.get_mut(&way.id()).expect("a VIP")));
    }

    /// More backends for a VIP, with ids from 10 on, in the slots of a ring of that many. The
    /// first is the usual one's neighbour `.21`.
    pub(in crate::packets) fn serve(&mut self, way: Way, algorithm: u32, slots: &[u32]) {
        self.change(|view| {
            for id in slots {
                let at = sibling(way, *id);
                view.backends.entry(*id).or_insert_with(|| view::backend(at, way.proto()));
            }
            view.rings.insert(50, view::ring(slots));
            let vip = view.vips.get_mut(&way.id()).expect("a VIP");
            (vip.ring, vip.ring_len, vip.algorithm) = (50, slots.len() as u32, algorithm);
        });
    }

    /// All flows.
    pub(in crate::packets) fn flows(&self) -> Vec<FlowRecord> {
        self.lane.reader.flows(&FlowFilter::default()).expect("reading the flows")
    }

    pub(in crate::packets) fn flow_count(&self) -> usize {
        self.flows().len()
    }

    /// The one flow of a client.
    pub(in crate::packets) fn flow(&self, client: SocketAddr) -> FlowRecord {
        let mut flows = self.flows();
        flows.retain(|flow| flow.client == client);
        assert_eq!(flows.len(), 1, "{flows:?}");
        flows.remove(0)
    }

    /// The state of the usual client's flow.
    pub(in crate::packets) fn state(&self, way: Way) -> TcpState {
        self.flow(way.client()).state
    }

    /// Asserts that there is one flow, where it goes and how it stands.
    pub(in crate::packets) fn has_flow(&self, way: Way, state: TcpState) {
        let flows = self.flows();
        let [flow] = &flows[..] else { panic!("{flows:?}") };
        let ends = (flow.proto, flow.client, flow.vip, flow.nat, flow.backend, flow.state);
        let nat = way.nat(way.client().port());
        assert_eq!(ends, (way.proto(), way.client(), way.vip(), nat, way.backend(), state));
    }

    /// Entries among the established and the half-open.
    pub(in crate::packets) fn entries(&self) -> (u64, u64) {
        let stats = self.lane.reader.stats([]).expect("reading the counters");
        (stats.established, stats.half_open)
    }

    pub(in crate::packets) fn counters(&self, backend: u32) -> BackendCounters {
        self.lane.reader.backend_counters(backend).expect("reading the counters")
    }

    pub(in crate::packets) fn signatures(&self, bucket: u32) -> SigBucket {
        self.buckets().get(&bucket, 0).expect("a bucket").sigs
    }

    /// Changes the signatures of a bucket alone.
    pub(in crate::packets) fn set_signatures(&self, bucket: u32, sigs: SigBucket) {
        let mut buckets = self.buckets();
        let flows = buckets.get(&bucket, 0).expect("a bucket").flows;
        buckets.set(bucket, FlowBucket { sigs, flows }, 0).expect("a bucket");
    }

    fn buckets(&self) -> aya::maps::Array<aya::maps::MapData, FlowBucket> {
        self.lane.array(maps::FLOWS).expect("a pinned map")
    }

    /// Waits until the programs' clock has moved on by some ticks.
    pub(in crate::packets) fn tick(&self) {
        let now = || self.lane.reader.now().expect("the clock");
        let start = now();
        while now() < start + 3 {
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    }
}

/// Address of a backend that [`World::serve`] makes.
pub(in crate::packets) fn sibling(way: Way, id: u32) -> SocketAddr {
    let usual = way.backend();
    if id == way.id() {
        return usual;
    }
    let ip = match usual.ip() {
        std::net::IpAddr::V4(_) => format!("10.0.1.{}", id + 11),
        std::net::IpAddr::V6(_) => format!("fd00:1::{:x}", id + 0x11),
    };
    SocketAddr::new(ip.parse().expect("an address"), usual.port())
}

/// The backend's answer to a SYN.
pub(in crate::packets) fn syn_ack(way: Way, port: u16) -> Packet {
    let l4 = super::way::segment(flag::SYN | flag::ACK, 7000, 1001);
    Packet { l4, ..way.answer(port, 0) }
}

/// The client's answer to [`syn_ack`].
pub(in crate::packets) fn acknowledged(way: Way, client: SocketAddr) -> Packet {
    let l4 = super::way::segment(flag::ACK, 1001, 7001);
    Packet { l4, ..way.from(client, 0) }
}
