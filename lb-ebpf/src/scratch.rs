//! What doesn't fit on the stack (512 bytes for a whole chain of calls): one
//! set a CPU. Programs of one CPU don't interrupt each other.

use aya_ebpf::{btf_maps::PerCpuArray, macros::btf_map};
use lb_common::DropReason;

use crate::{
    Exit,
    forward::Rewrite,
    parse::{Packet, Tuple},
    path::Target,
    release::Stale,
    reply::Request,
};

/// Working space. Each field but `stale` is written before it is read.
#[repr(C)]
pub(crate) struct Scratch {
    /// The packet at hand. Not on the stack: the functions that are called with it would have
    /// less of that.
    pub(crate) packet: Packet,
    /// The flow that is being begun, or was found.
    pub(crate) target: Target,
    /// What it asks of the reply table.
    pub(crate) request: Request,
    /// The packet's new tuple and way.
    pub(crate) rewrite: Rewrite,
    /// An ICMP error's quoted packet's new tuple.
    pub(crate) inner: Rewrite,
    /// A tuple to look up that is not the packet's own.
    pub(crate) tuple: Tuple,
    /// `struct bpf_sock_tuple`.
    pub(crate) sock: [u32; 9],
    /// What the eviction before has left behind.
    pub(crate) stale: Stale,
    /// Keeps the size a multiple of eight.
    pub(crate) pad: u32,
}

#[btf_map]
static SCRATCH: PerCpuArray<Scratch, 1> = PerCpuArray::new();

/// This CPU's.
#[inline(always)]
pub(crate) fn get() -> Option<&'static mut Scratch> {
    // SAFETY: a per-CPU slot, ours while the program runs.
    SCRATCH.get_ptr_mut(0).map(|s| unsafe { &mut *s })
}

/// This CPU's, or the exit that a missing one is.
#[inline(always)]
pub(crate) fn require() -> Result<&'static mut Scratch, Exit> {
    get().ok_or(Exit::Drop(DropReason::Internal))
}
