//! What `cargo xtask bench l4` runs the balancer under: a wrapper that writes
//! the frame anew, varies its source and calls a program, and the least
//! program that sends a frame back, which gives the floor.
//!
//! The balancer changes what it is given and BPF_PROG_TEST_RUN gives it the
//! same buffer each time; hence the wrapper. Checksums aren't adjusted to the
//! varied source: the balancer updates them by differences and never reads more.
#![no_std]
#![no_main]
#![expect(unreachable_pub, reason = "the kernel finds the entry points by name")]

use aya_ebpf::{
    bindings::xdp_action::{XDP_ABORTED, XDP_TX},
    btf_maps::{Array, ProgramArray},
    macros::{btf_map, xdp},
    programs::XdpContext,
};

/// Words of a frame.
const WORDS: usize = 10;

/// What to send to which program; written by the bench.
#[repr(C)]
pub struct Setup {
    /// The frame, as it stands.
    frame: [u64; WORDS],
    /// Number of the next flow, counted up here.
    next: u32,
    /// Flows less one; a power of two less one.
    mask: u32,
    /// Index of the program called.
    program: u32,
    /// 4 or 6; with 0 the frame is sent as it stands.
    family: u32,
}

#[btf_map]
static SETUP: Array<Setup, 1> = Array::new();
/// 0 is [`floor`], 1 the balancer.
#[btf_map]
static PROGRAMS: ProgramArray<2> = ProgramArray::new();

/// Writes the frame, makes it the next flow's and calls the program.
#[xdp(frags)]
pub fn wrapper(ctx: XdpContext) -> u32 {
    match prepare(&ctx) {
        Some(program) => {
            // SAFETY: `ctx` is this program's; nothing here has to be dropped.
            unsafe { PROGRAMS.tail_call(&ctx, program) };
            XDP_ABORTED
        }
        None => XDP_ABORTED,
    }
}

/// Sends the frame back.
#[xdp(frags)]
pub fn floor(_: XdpContext) -> u32 {
    XDP_TX
}

/// The index of the program to call.
#[inline(always)]
fn prepare(ctx: &XdpContext) -> Option<u32> {
    let setup = SETUP.get_ptr_mut(0)?;
    let start = ctx.data();
    if start + WORDS * 8 > ctx.data_end() {
        return None;
    }
    // SAFETY: a live map value, and nobody else writes it; the frame is as long as tested above.
    unsafe {
        let flow = (*setup).next & (*setup).mask;
        (*setup).next = (*setup).next.wrapping_add(1);
        for word in 0..WORDS {
            (start as *mut u64).add(word).write_unaligned((*setup).frame[word]);
        }
        match (*setup).family {
            4 => vary(start + 28, start + 34, flow),
            6 => vary(start + 36, start + 54, flow),
            _ => {}
        }
        Some((*setup).program)
    }
}

/// Flows differ in the lower 15 bits of the source port, then in the lower 16 of the address.
///
/// # Safety
/// Both places must lie within the frame, two bytes each.
#[inline(always)]
unsafe fn vary(address: usize, port: usize, flow: u32) {
    // SAFETY: as promised.
    unsafe {
        (address as *mut u16).write_unaligned(((flow >> 15) as u16).to_be());
        (port as *mut u16).write_unaligned((0x8000 | flow as u16).to_be());
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// The licence that the kernel asks for.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
