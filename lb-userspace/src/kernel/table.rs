//! The flow table in place: what `lb_common::flow` describes, shared with the
//! programs by memory mapping. Both sides keep one protocol: a slot belongs to
//! whoever changes its signature by compare-and-swap.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::*};

use lb_common::{
    Addr, Flow, HashKey, TcpState,
    flow::{
        FlowBucket, REPLY_WAYS, SIG_BUSY, SIG_FREE, SIG_READY, SIG_STATE, WAYS, bucket, reply_word,
        signature,
    },
    hash, maps,
};

use super::{
    error::{KernelError as E, Result},
    layout::Table,
    mmap::Mapped,
    paths::LayoutPaths,
    pins,
};

/// Words of a flow.
const WORDS: usize = size_of::<Flow>() / 4;
/// Words of a bucket: the signatures come first.
const BUCKET: usize = size_of::<FlowBucket>() / 4;

/// The two maps of the flow table.
#[derive(Debug)]
pub(super) struct FlowTable {
    table: Table,
    flows: Mapped<[AtomicU32; BUCKET]>,
    replies: Mapped<[AtomicU64; REPLY_WAYS]>,
}

/// The addresses a flow names by id only: what its two hashes are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ends {
    /// VIP.
    pub(super) vip: Addr,
    /// Its port, network order.
    pub(super) vip_port: u16,
    /// Backend.
    pub(super) backend: Addr,
    /// Its port, network order.
    pub(super) backend_port: u16,
    /// NAT address.
    pub(super) nat: Addr,
    /// IP protocol.
    pub(super) proto: u32,
}

impl Ends {
    /// Hash of packets from the client.
    pub(super) fn forward_hash(&self, key: &HashKey, flow: &Flow) -> u64 {
        let ports = u32::from(flow.client_port) | u32::from(self.vip_port) << 16;
        hash::flow(key, &flow.client, &self.vip, ports, self.proto)
    }

    /// Hash of packets from the backend.
    pub(super) fn reply_hash(&self, key: &HashKey, flow: &Flow) -> u64 {
        let ports = u32::from(self.backend_port) | u32::from(flow.nat_port) << 16;
        hash::flow(key, &self.backend, &self.nat, ports, self.proto)
    }
}

impl FlowTable {
    /// Maps the tables pinned under `paths`.
    pub(super) fn open(paths: &LayoutPaths, table: Table) -> Result<Self> {
        Ok(Self {
            flows: map(paths, maps::FLOWS, table.buckets())?,
            replies: map(paths, maps::REPLIES, table.reply_buckets)?,
            table,
        })
    }

    /// Forward slots, those of half-open flows last.
    pub(super) fn slots(&self) -> u32 {
        self.table.buckets() * WAYS as u32
    }

    /// Forward buckets, those of half-open flows last.
    pub(super) fn buckets(&self) -> u32 {
        self.table.buckets()
    }

    /// Established flows the table is made for: half its slots for them.
    pub(super) fn connections(&self) -> u32 {
        self.table.est_buckets * WAYS as u32 / 2
    }

    /// Whether a bucket is for half-open flows.
    pub(super) fn is_half_open(&self, bucket: u32) -> bool {
        bucket >= self.table.est_buckets
    }

    /// The signatures of a bucket.
    pub(super) fn signatures(&self, bucket: u32) -> [u32; WAYS] {
        let sigs = &self.flows[bucket as usize];
        std::array::from_fn(|slot| sigs[slot].load(Acquire))
    }

    /// The flow in a slot, as it stands (a program may be writing it).
    pub(super) fn flow(&self, slot: u32) -> Flow {
        let words = self.words(slot);
        let words: [u32; WORDS] = std::array::from_fn(|i| words[i].load(Relaxed));
        // SAFETY: Flow is Pod, of the same size; any integers are one.
        unsafe { std::mem::transmute::<[u32; WORDS], Flow>(words) }
    }

    /// The flows in slots `from..to` whose signatures are ready.
    pub(super) fn ready(&self, from: u32, to: u32) -> impl Iterator<Item = (u32, u32, Flow)> {
        (from / WAYS as u32..to.div_ceil(WAYS as u32)).flat_map(move |bucket| {
            self.signatures(bucket).into_iter().enumerate().filter_map(move |(way, sig)| {
                let slot = bucket * WAYS as u32 + way as u32;
                (sig & SIG_STATE == SIG_READY).then(|| (slot, sig, self.flow(slot)))
            })
        })
    }

    /// Puts a flow where packets will find it: [`Flow::reply_slot`] is chosen here. `None`
    /// when its buckets are full.
    pub(super) fn insert(&self, key: &HashKey, mut flow: Flow, ends: &Ends) -> Option<u32> {
        let hash = ends.forward_hash(key, &flow);
        let sig = signature(hash);
        let half = self.table.est_buckets + bucket(hash, self.table.half_buckets);
        let slot = match is_half_open(flow.state) {
            true => self.claim(half, sig)?,
            false => self
                .claim(bucket(hash, self.table.est_buckets), sig)
                .or_else(|| self.claim(half, sig))?,
        };
        let Some(reply) = self.claim_reply(ends.reply_hash(key, &flow), slot) else {
            self.sig(slot).store(SIG_FREE, Release);
            return None;
        };
        flow.reply_slot = reply;
        self.write(slot, &flow);
        self.sig(slot).store(sig, Release);
        Some(slot)
    }

    /// The slot of the flow with the same client, VIP and protocol.
    pub(super) fn find(&self, key: &HashKey, flow: &Flow, ends: &Ends) -> Option<u32> {
        let hash = ends.forward_hash(key, flow);
        let buckets = [
            bucket(hash, self.table.est_buckets),
            self.table.est_buckets + bucket(hash, self.table.half_buckets),
        ];
        buckets.into_iter().find_map(|bucket| {
            let sigs = self.signatures(bucket);
            (0..WAYS).filter(|way| sigs[*way] == signature(hash)).find_map(|way| {
                let slot = bucket * WAYS as u32 + way as u32;
                let other = self.flow(slot);
                let same = other.client == flow.client
                    && other.client_port == flow.client_port
                    && other.vip == flow.vip;
                same.then_some(slot)
            })
        })
    }

    /// Overwrites a flow that stays where it is and keeps its way back.
    pub(super) fn write(&self, slot: u32, flow: &Flow) {
        // SAFETY: Flow is Pod, of the same size.
        let words = unsafe { std::mem::transmute::<Flow, [u32; WORDS]>(*flow) };
        for (to, from) in self.words(slot).iter().zip(words) {
            to.store(from, Relaxed);
        }
    }

    /// Takes a flow out, if its signature is still `sig` and `still` agrees once no program
    /// can match it any more. Returns the flow taken out.
    pub(super) fn remove(
        &self,
        slot: u32,
        sig: u32,
        still: impl FnOnce(&Flow) -> bool,
    ) -> Option<Flow> {
        let word = self.sig(slot);
        let busy = sig & !SIG_STATE | SIG_BUSY;
        word.compare_exchange(sig, busy, AcqRel, Relaxed).ok()?;
        let flow = self.flow(slot);
        if !still(&flow) {
            word.store(sig, Release);
            return None;
        }
        let flow = Flow { counted: self.take_count(slot), ..flow };
        self.forget_reply(&flow, slot);
        word.store(SIG_FREE, Release);
        Some(flow)
    }

    /// Clears `Flow::counted`, which the programs clear too when a flow closes; what it was.
    fn take_count(&self, slot: u32) -> u16 {
        let word = &self.words(slot)[std::mem::offset_of!(Flow, nat) / 4];
        (word.fetch_and(0xffff, AcqRel) >> 16) as u16
    }

    /// Frees a slot whose owner died while writing it.
    pub(super) fn free_stale(&self, slot: u32, sig: u32) -> bool {
        if self.sig(slot).load(Acquire) == sig {
            self.forget_reply(&self.flow(slot), slot);
        }
        self.sig(slot).compare_exchange(sig, SIG_FREE, AcqRel, Relaxed).is_ok()
    }

    /// Clears the way back, where it still leads to this slot.
    fn forget_reply(&self, flow: &Flow, slot: u32) {
        let (bucket, way) =
            (flow.reply_slot as usize / REPLY_WAYS, flow.reply_slot as usize % REPLY_WAYS);
        let Some(word) = self.replies.get(bucket).map(|b| &b[way]) else { return };
        let seen = word.load(Acquire);
        if seen as u32 == slot + 1 {
            let _taken_by_another = word.compare_exchange(seen, 0, AcqRel, Relaxed);
        }
    }

    fn sig(&self, slot: u32) -> &AtomicU32 {
        &self.flows[slot as usize / WAYS][slot as usize % WAYS]
    }

    /// The words of a slot's flow.
    fn words(&self, slot: u32) -> &[AtomicU32; WORDS] {
        const FLOWS: usize = std::mem::offset_of!(FlowBucket, flows) / 4;
        let (flows, _) = self.flows[slot as usize / WAYS][FLOWS..].as_chunks();
        &flows[slot as usize % WAYS]
    }

    /// Takes a free slot of a bucket and marks it busy.
    fn claim(&self, bucket: u32, sig: u32) -> Option<u32> {
        let busy = sig & !SIG_STATE | SIG_BUSY;
        (0..WAYS as u32)
            .map(|way| bucket * WAYS as u32 + way)
            .find(|slot| self.sig(*slot).compare_exchange(SIG_FREE, busy, AcqRel, Relaxed).is_ok())
    }

    fn claim_reply(&self, hash: u64, slot: u32) -> Option<u32> {
        let bucket = bucket(hash, self.table.reply_buckets);
        let word = reply_word(hash, slot);
        (0..REPLY_WAYS as u32)
            .find(|way| {
                let at = &self.replies[bucket as usize][*way as usize];
                at.compare_exchange(0, word, AcqRel, Relaxed).is_ok()
            })
            .map(|way| bucket * REPLY_WAYS as u32 + way)
    }
}

/// Whether a state belongs among the half-open.
pub(super) fn is_half_open(state: u32) -> bool {
    matches!(TcpState::from_word(state), Some(TcpState::New | TcpState::SynReceived))
}

fn map<T: super::mmap::Shareable>(
    paths: &LayoutPaths,
    name: &str,
    elements: u32,
) -> Result<Mapped<T>> {
    let data = pins::data(paths, name)?;
    Mapped::new(data.fd(), elements).map_err(E::map(name, "mapping it into memory"))
}
