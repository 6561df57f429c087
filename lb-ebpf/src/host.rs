//! Sockets of the host itself, which lb must not get in the way of.

use aya_ebpf::helpers::generated as bpf;
use lb_common::addr;

use crate::{
    frame::Frame,
    maps::{BACKENDS, CONFIG, NATS},
    packet::{self, tcp},
    parse::{Packet, Tuple},
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
