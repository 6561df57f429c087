//! The reply table: the way back of a flow is entered and found again here.

use lb_common::{
    Flow, TcpState, addr,
    flow::{self, REPLY_WAYS, ReplyBucket, SIG_READY, SIG_STATE, flags},
    hash,
};

use crate::{
    atomic::cas64,
    conn::{self, NONE},
    maps::{BACKENDS, CONFIG, NATS, REPLIES, dry_run},
    packet,
    parse::Tuple,
    scratch,
};

/// The flow of a backend's packet; its index plus one, or [`NONE`].
#[inline(always)]
pub(crate) fn find(t: &Tuple) -> u32 {
    lb_find_reply(t)
}

/// As [`find`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn lb_find_reply(t: *const Tuple) -> u32 {
    let Some(config) = CONFIG.get(0) else {
        return NONE;
    };
    if t.is_null() {
        return NONE;
    }
    // SAFETY: not null.
    let t = unsafe { &*t };
    let hash = hash::flow(&config.hash_key, &t.src, &t.dst, t.ports, t.proto);
    let Some(bucket) = REPLIES.get(flow::bucket(hash, config.reply_buckets)) else {
        return NONE;
    };
    let sig = hash >> 32;
    for way in 0..REPLY_WAYS {
        let word = load(bucket, way);
        if word >> 32 == sig && word as u32 != 0 {
            let index = word as u32 - 1;
            if is(index, t) {
                return index + 1;
            }
        }
    }
    NONE
}

#[inline(always)]
fn load(bucket: &ReplyBucket, way: usize) -> u64 {
    // SAFETY: `way` is below REPLY_WAYS wherever this is called.
    unsafe { bucket.as_ptr().add(way).read_volatile() }
}

/// Whether the complete flow at `index` has this tuple on its way back.
#[inline(always)]
fn is(index: u32, t: &Tuple) -> bool {
    let (Some(f), Some(at)) = (conn::get(index), conn::signature_of(index)) else {
        return false;
    };
    let (Some(b), Some(nat)) = (BACKENDS.get(f.backend), NATS.get(u32::from(f.nat))) else {
        return false;
    };
    // SAFETY: a live map value.
    let ready = unsafe { at.read_volatile() } & SIG_STATE == SIG_READY;
    ready
        && u32::from(f.nat_port) == t.ports >> 16
        && u32::from(b.port) == t.ports & 0xffff
        && b.proto == t.proto
        && addr::eq(&b.addr, &t.src)
        && addr::eq(nat, &t.dst)
}

/// What a new flow asks for.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Request {
    /// Index of the claimed flow.
    pub(crate) index: u32,
    /// Backend id.
    pub(crate) backend: u32,
    /// NAT address index.
    pub(crate) nat: u32,
    /// The client's port, network order.
    pub(crate) client_port: u32,
    /// IP protocol.
    pub(crate) proto: u32,
    /// The SYN's sequence number, host order.
    pub(crate) seq: u32,
    /// Its timestamp, host order.
    pub(crate) ts: u32,
    /// 1 when it has one.
    pub(crate) has_ts: u32,
    /// Start of the search.
    pub(crate) seed: u32,
    /// Of the tuple with the client's port.
    pub(crate) hash: u64,
}

/// What [`lb_take`] came to, above a value in the low 32 bits.
pub(crate) mod taken {
    /// Held by a flow that keeps it, or its bucket is full.
    pub(crate) const NO: u64 = 0;
    /// Ours: the position in the reply table.
    pub(crate) const OURS: u64 = 1 << 32;
    /// Held by a closed flow: its index plus one.
    pub(crate) const CLOSED: u64 = 2 << 32;
    /// Held by a half-open flow: its index plus one.
    pub(crate) const HALF_OPEN: u64 = 3 << 32;
    /// Which of them.
    pub(crate) const MASK: u64 = 7 << 32;
}

/// No buckets for [`anticipate`].
pub(crate) const NOWHERE: [u32; 2] = [u32::MAX; 2];

/// Asks early for the lines of these buckets.
#[inline(always)]
pub(crate) fn anticipate(buckets: [u32; 2]) {
    for number in buckets {
        if let Some(bucket) = REPLIES.get(number) {
            load(bucket, 0);
        }
    }
}

/// Tries to enter the request's tuple with this port into the reply table. With `ask` 0 a port
/// that seems to be taken counts as taken: its flow, two cache lines elsewhere, is not asked.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn lb_take(port: u32, ask: u32) -> u64 {
    let Some(scratch) = scratch::get() else {
        return taken::NO;
    };
    let r = &scratch.request;
    let (Some(config), Some(b), Some(nat)) =
        (CONFIG.get(0), BACKENDS.get(r.backend), NATS.get(r.nat))
    else {
        return taken::NO;
    };
    let hash = if port == r.client_port {
        r.hash
    } else {
        let ports = u32::from(b.port) | port << 16;
        hash::flow(&config.hash_key, &b.addr, nat, ports, r.proto)
    };
    let number = flow::bucket(hash, config.reply_buckets);
    let Some(bucket) = REPLIES.get(number) else {
        return taken::NO;
    };
    let sig = hash >> 32;
    let (mut free, seen) = survey(bucket, sig);
    // Whether a word is stale is asked of its flow, two cache lines elsewhere: only where it matters.
    let mut again = REPLY_WAYS;
    for way in 0..if seen { REPLY_WAYS } else { 0 } {
        let word = load(bucket, way);
        if word != 0 && word >> 32 == sig {
            if ask == 0 && word as u32 != r.index.wrapping_add(1) {
                return taken::NO;
            }
            if !is_free(r, word, number, way) {
                return holder(r, word as u32 - 1);
            }
            again = way;
        }
    }
    // A second word of one signature would be taken for another CPU's.
    if again < REPLY_WAYS {
        free = again;
    }
    if free >= REPLY_WAYS {
        for way in 0..REPLY_WAYS {
            if free == REPLY_WAYS && is_free(r, load(bucket, way), number, way) {
                free = way;
            }
        }
    }
    if free >= REPLY_WAYS {
        return taken::NO;
    }
    let position = number * REPLY_WAYS as u32 + free as u32;
    if dry_run() {
        return taken::OURS | u64::from(position);
    }
    // SAFETY: a live map value, aligned.
    unsafe {
        let at = bucket.as_ptr().cast_mut().add(free);
        let old = at.read_volatile();
        if old != 0 && !is_free(r, old, number, free) {
            return taken::NO;
        }
        let word = flow::reply_word(hash, r.index);
        if cas64(at, old, word) != old {
            return taken::NO;
        }
        // two CPUs may have taken two free slots: the one behind withdraws
        for way in 0..REPLY_WAYS {
            if way >= free {
                break;
            }
            let other = load(bucket, way);
            let place = number * REPLY_WAYS as u32 + way as u32;
            if other >> 32 == sig && !is_stale(other, place) {
                cas64(at, word, 0);
                return taken::NO;
            }
        }
    }
    taken::OURS | u64::from(position)
}

/// The first free way of a bucket, [`REPLY_WAYS`] for none, and whether a word has the signature.
/// Which ways are free can't be foreseen: a branch for each would be guessed wrong for half of them.
#[inline(always)]
fn survey(bucket: &ReplyBucket, sig: u64) -> (usize, bool) {
    let (mut free, mut seen) = (REPLY_WAYS, false);
    for way in (0..REPLY_WAYS).rev() {
        let word = load(bucket, way);
        // All ones but for 0. Hidden from the optimiser, which would make a branch of it.
        let negative = packet::opaque(word.wrapping_neg() as usize) as u64;
        let is_taken = packet::opaque(((word | negative) as i64 >> 63) as usize);
        free = way ^ (free ^ way) & is_taken;
        seen |= word >> 32 == sig;
    }
    (free, seen)
}

/// Whether a word, not 0, may be taken: it is stale, or names the request's own flow, which has no
/// port yet (it is of one that had its place before).
#[inline(always)]
fn is_free(r: &Request, word: u64, number: u32, way: usize) -> bool {
    let position = number * REPLY_WAYS as u32 + way as u32;
    word as u32 == r.index.wrapping_add(1) || is_stale(word, position)
}

/// Whether no flow stands behind a reply word any more.
#[inline(always)]
fn is_stale(word: u64, position: u32) -> bool {
    let index = (word as u32).wrapping_sub(1);
    let (Some(f), Some(at)) = (conn::get(index), conn::signature_of(index)) else {
        return true;
    };
    // SAFETY: a live map value.
    match unsafe { at.read_volatile() } & SIG_STATE {
        SIG_READY => f.reply_slot != position,
        0 => true,
        _ => false, // its owner is still writing
    }
}

/// Whether the holder of a port could give it up under shortage.
#[inline(always)]
fn holder(r: &Request, index: u32) -> u64 {
    let Some(f) = conn::get(index) else {
        return taken::NO;
    };
    let state = f.state & flags::STATE;
    if conn::expired(f, conn::now()) || state == TcpState::Closed as u32 && reusable(f, r) {
        taken::CLOSED | u64::from(index + 1)
    } else if state <= TcpState::SynReceived as u32 || state == TcpState::Closed as u32 {
        taken::HALF_OPEN | u64::from(index + 1)
    } else {
        taken::NO
    }
}

/// Whether the backend will take a SYN on a closed flow's tuple: it has no
/// TIME_WAIT where the client closed first; else the SYN must look newer than
/// the old connection (RFC 9293 §3.6.1, RFC 6191).
#[inline(always)]
fn reusable(f: &Flow, r: &Request) -> bool {
    if f.state & flags::BACKEND_FIRST == 0 {
        return true;
    }
    if r.has_ts != 0 && f.state & flags::HAS_TS != 0 {
        return (r.ts.wrapping_sub(f.tcp_ts) as i32) > 0;
    }
    (r.seq.wrapping_sub(f.tcp_seq) as i32) > 0
}
