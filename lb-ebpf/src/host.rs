//! Sockets of the host itself, which lb must not get in the way of.

use aya_ebpf::helpers::generated as bpf;
use lb_common::{
    Addr, addr,
    peers::{self, PEERS},
};

use crate::{
    frame::Frame,
    maps::{BACKENDS, CONFIG, HOST_PEERS, NATS, dry_run},
    packet::{self, tcp},
    parse::{Packet, Tuple},
    port,
    reply::Request,
    scratch,
};

/// NAT addresses that [`is_nat`] looks at: pools are small.
const NATS_SEEN: u32 = 64;
/// `TCP_LISTEN` of `tcp_states.h`.
const TCP_LISTEN: u32 = 10;

/// Whether a socket of the host holds the tuple: asked where sockets choose
/// their ports by themselves.
#[inline(always)]
pub(crate) fn holds<F: Frame>(frame: F, r: &Request, port: u32) -> bool {
    let Some(config) = CONFIG.get(0) else {
        return true;
    };
    let host = u16::from_be(port as u16);
    if host < config.host_port_first || host > config.host_port_last {
        return false;
    }
    let (Some(b), Some(nat)) = (BACKENDS.get(r.backend), NATS.get(r.nat)) else {
        return true;
    };
    if r.proto == packet::TCP && !talks_to(&b.addr, u32::from(b.port)) {
        return false;
    }
    let Some(scratch) = scratch::get() else {
        return true;
    };
    // struct bpf_sock_tuple: IPv4 src dst ports, or IPv6 src dst ports
    let tuple = &mut scratch.sock;
    let ports = u32::from(b.port) | port << 16;
    let size = if addr::is_v4(nat) {
        [tuple[0], tuple[1], tuple[2]] = [b.addr[3], nat[3], ports];
        12
    } else {
        [tuple[0], tuple[1], tuple[2], tuple[3]] = b.addr;
        [tuple[4], tuple[5], tuple[6], tuple[7]] = *nat;
        tuple[8] = ports;
        36
    };
    socket(frame, tuple, size, r.proto)
}

/// Whether the host may have a TCP connection to this peer. To ask for a socket costs more than
/// anything else that a new flow does, and most backends hear of the host through lb alone.
#[inline(always)]
fn talks_to(addr: &Addr, port: u32) -> bool {
    let (Some(known), Some(at)) = (HOST_PEERS.get(0), peer(addr, port)) else {
        return true;
    };
    // SAFETY: live map values.
    unsafe { (&raw const known.complete).read_volatile() == 0 || at.read_volatile() != 0 }
}

/// Remembers who answers a connection of the host's own: a SYN-ACK that belongs to no flow. Not who
/// answers lb's checks, which are from ports that NAT never uses.
#[inline(always)]
pub(crate) fn answered(p: &Packet) {
    let both = tcp::SYN | tcp::ACK;
    if !p.is_tcp() || p.tcp_flags & both != both || dry_run() || !port::allowed(p.ports >> 16) {
        return;
    }
    if let Some(at) = peer(&p.src, p.ports & 0xffff) {
        // SAFETY: a live map value; every writer writes the same.
        unsafe { at.write_volatile(1) };
    }
}

/// A peer's byte in the filter.
#[inline(always)]
fn peer(addr: &Addr, port: u32) -> Option<*mut u8> {
    let config = CONFIG.get(0)?;
    let known = HOST_PEERS.get_ptr_mut(0)?;
    let slot = packet::opaque(peers::slot(&config.hash_key, addr, port)) & (PEERS - 1);
    // SAFETY: bounded just above.
    Some(unsafe { (&raw mut (*known).seen).cast::<u8>().add(slot) })
}

/// Whether the host itself would take a packet: one that begins a connection,
/// or one that a socket of its own is for.
#[inline(always)]
pub(crate) fn takes<F: Frame>(frame: F, p: &Packet) -> bool {
    if p.is_tcp() && p.tcp_flags & (tcp::SYN | tcp::ACK) == tcp::SYN {
        return true;
    }
    let Some(scratch) = scratch::get() else {
        return true;
    };
    let tuple = &mut scratch.sock;
    if p.v4 {
        [tuple[0], tuple[1], tuple[2]] = [p.src[3], p.dst[3], p.ports];
        return socket(frame, tuple, 12, p.proto);
    }
    [tuple[0], tuple[1], tuple[2], tuple[3]] = p.src;
    [tuple[4], tuple[5], tuple[6], tuple[7]] = p.dst;
    tuple[8] = p.ports;
    socket(frame, tuple, 36, p.proto)
}

/// Whether a packet is to one of the NAT addresses, as far as a few are looked at.
#[inline(always)]
pub(crate) fn is_nat(t: &Tuple) -> bool {
    lb_is_nat(t) != 0
}

/// As [`is_nat`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn lb_is_nat(t: *const Tuple) -> u32 {
    if t.is_null() {
        return 0;
    }
    // SAFETY: not null.
    let t = unsafe { &*t };
    for index in 0..NATS_SEEN {
        if let Some(nat) = NATS.get(index)
            && addr::eq(nat, &t.dst)
        {
            return 1;
        }
    }
    0
}

/// Whether a connected TCP socket, or any UDP one, has the tuple.
#[inline(always)]
fn socket<F: Frame>(frame: F, tuple: &[u32; 9], size: u32, proto: u32) -> bool {
    let tuple = tuple.as_ptr().cast_mut().cast();
    // SAFETY: the tuple has `size` bytes; whatever is found is released. -1 is this network namespace.
    unsafe {
        let sock = if proto == packet::TCP {
            bpf::bpf_skc_lookup_tcp(frame.ctx(), tuple, size, u64::MAX, 0)
        } else {
            bpf::bpf_sk_lookup_udp(frame.ctx(), tuple, size, u64::MAX, 0)
        };
        if sock.is_null() {
            return false;
        }
        let held = proto != packet::TCP || (*sock).state != TCP_LISTEN;
        bpf::bpf_sk_release(sock.cast());
        held
    }
}
