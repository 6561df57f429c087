//! The routing table's way to a client (`datapath.returnPath: route`).

use aya_ebpf::{bindings::bpf_fib_lookup as Fib, helpers::generated::bpf_fib_lookup};
use lb_common::DropReason;

use crate::{Exit, forward::Rewrite, frame::Frame, parse::Packet};

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// Replaces interface and VLAN by what the routing table says; returns the next hop's MAC.
#[inline(always)]
pub(crate) fn lookup<F: Frame>(frame: F, p: &Packet, rw: &mut Rewrite) -> Result<[u8; 6], Exit> {
    // SAFETY: plain integers and unions of them.
    let mut fib: Fib = unsafe { core::mem::zeroed() };
    fib.family = if p.v4 { AF_INET } else { AF_INET6 };
    fib.l4_protocol = p.proto as u8;
    fib.ifindex = frame.ifindex();
    if p.v4 {
        fib.__bindgen_anon_3.ipv4_src = rw.src[3];
        fib.__bindgen_anon_4.ipv4_dst = rw.dst[3];
    } else {
        fib.__bindgen_anon_3.ipv6_src = rw.src;
        fib.__bindgen_anon_4.ipv6_dst = rw.dst;
    }
    // SAFETY: the structure is ours, its size given.
    let found = unsafe { bpf_fib_lookup(frame.ctx(), &raw mut fib, size_of::<Fib>() as i32, 0) };
    if found != 0 {
        return Err(Exit::Drop(DropReason::NoReturnRoute));
    }
    rw.ifindex = fib.ifindex;
    rw.vlan = 0;
    Ok(fib.dmac)
}
