//! The data path of lb. Entry points only: each runs the path and turns an
//! [`Exit`] into an action, counting it, so that no drop is silent.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]
#![expect(
    unreachable_pub,
    missing_docs,
    reason = "the kernel finds the entry points by name, and the macros around them lose their docs"
)]

mod answer;
mod atomic;
mod begin;
mod conn;
mod forward;
mod frag;
mod frame;
mod host;
mod icmp;
mod iface;
mod maps;
mod packet;
mod parse;
mod path;
mod port;
mod promote;
mod release;
mod reply;
mod route;
mod scratch;
mod select;
mod stats;
mod tcp;
mod trace;
mod verdict;
mod vip;

use aya_ebpf::{
    macros::{classifier, xdp},
    programs::{TcContext, XdpContext},
};
use lb_common::{DropReason, Event};

use crate::{
    frame::{Frame, Skb, Xdp},
    parse::Packet,
};

/// Why the path ended without sending the packet on.
#[derive(Clone, Copy)]
pub(crate) enum Exit {
    /// Not lb's: the host gets it untouched.
    Pass,
    /// lb's, but XDP can't send it where it has to go: TC does.
    ToTc,
    /// Dropped.
    Drop(DropReason),
    /// Dropped and answered.
    Answer(DropReason, Answer),
}

/// What lb answers.
#[derive(Clone, Copy)]
pub(crate) enum Answer {
    /// TCP RST.
    Reset,
    /// ICMP port unreachable.
    Unreachable,
    /// ICMP time exceeded.
    TimeExceeded,
    /// ICMP fragmentation needed, packet too big; with the MTU.
    TooBig(u32),
}

/// The XDP program.
#[xdp(frags)]
pub fn lb_xdp(ctx: XdpContext) -> u32 {
    run(Xdp(ctx.ctx)) as u32
}

/// The TC program, for TCX ingress.
#[classifier]
pub fn lb_tc(ctx: TcContext) -> i32 {
    run(Skb(ctx.skb.skb))
}

/// The kernel's clock: writes `jiffies` (8 bytes) to the start of the frame. Only ever test-run.
#[xdp]
pub fn lb_clock(ctx: XdpContext) -> u32 {
    let frame = Xdp(ctx.ctx);
    if let Some(out) = packet::fixed::<u64, _>(frame, 0) {
        // SAFETY: checked against the end of the packet just above.
        unsafe { out.write_unaligned(aya_ebpf::helpers::generated::bpf_jiffies64()) };
    }
    Xdp::PASS as u32
}

#[inline(always)]
fn run<F: Frame>(frame: F) -> i32 {
    let Some(scratch) = scratch::get() else {
        return F::PASS;
    };
    let packet = &mut scratch.packet;
    packet.clear();
    match path::run(frame, packet) {
        Ok(action) => {
            trace::sent(frame);
            action
        }
        Err(exit) => leave(frame, packet, exit),
    }
}

/// Counts an exit and turns it into an action.
#[inline(always)]
fn leave<F: Frame>(frame: F, p: &Packet, exit: Exit) -> i32 {
    verdict::exit(&exit);
    match exit {
        Exit::Pass => F::PASS,
        Exit::ToTc => {
            stats::event(Event::ToTc);
            F::PASS
        }
        Exit::Drop(reason) => {
            stats::dropped(reason);
            trace::dropped(frame, reason);
            F::DROP
        }
        Exit::Answer(reason, what) => {
            stats::dropped(reason);
            trace::dropped(frame, reason);
            answer::send(frame, p, what)
        }
    }
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// The licence that the kernel asks for: helpers for GPL programs are used.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
