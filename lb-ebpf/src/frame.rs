//! XDP frames and socket buffers behind one trait, so that the path is written once.

use core::arch::asm;

use aya_ebpf::{
    bindings::{__sk_buff, xdp_action, xdp_md},
    helpers::generated as bpf,
};
use lb_common::flow::{VLAN_AD, VLAN_TAGGED};

use crate::packet;

/// `TCX_NEXT`: on to the next program, then to the host.
const TCX_NEXT: i32 = -1;
const TCX_DROP: i32 = 2;
const BPF_F_PSEUDO_HDR: u64 = 0x10;
const BPF_F_MARK_MANGLED_0: u64 = 0x20;
/// `PACKET_HOST` of `if_packet.h`.
const PACKET_HOST: u32 = 0;

/// What carries a packet.
pub(crate) trait Frame: Copy {
    /// XDP: VLAN tags stand in the frame, packets are whole.
    const XDP: bool;
    /// Lets the host have it.
    const PASS: i32;
    /// Drops it.
    const DROP: i32;

    /// The context, for helpers.
    fn ctx(self) -> *mut core::ffi::c_void;
    /// First byte that can be read directly.
    fn data(self) -> usize;
    /// Behind the last byte that can be read directly.
    fn data_end(self) -> usize;
    /// Length of the whole frame.
    fn len(self) -> u32;
    /// Interface it came in by.
    fn ifindex(self) -> u32;
    /// Payload bytes of a segment, where the kernel will still cut it (GSO); else 0.
    fn segment(self) -> u32;
    /// The VLAN tag kept beside the data, as `Flow::vlan` has it.
    fn side_vlan(self) -> u16;
    /// Whether link layer delivery already says that it isn't for this host.
    fn foreign(self) -> bool;
    /// Makes at least the headers readable.
    fn pull(self);
    /// Applies differences to the L4 checksum at `at`: `address` to what the
    /// pseudo header covers, `plain` to the segment's own bytes.
    fn l4_csum(self, at: usize, address: u64, plain: u64, udp: bool) -> Result<(), ()>;
    /// Says that bytes outside the L4 segment changed by a difference that
    /// [`Frame::l4_csum`] did not know of: IPv6 addresses have no checksum of their own.
    fn header_changed(self, difference: u64);
    /// Makes room before the frame (or takes it away, negative).
    fn grow_head(self, by: i32) -> Result<(), ()>;
    /// Sets the length of the whole frame.
    fn set_len(self, len: u32) -> Result<(), ()>;
    /// Puts on, takes off or changes the tag; in the frame it stands behind both MACs.
    fn retag(self, old: u16, new: u16) -> Result<(), ()>;
    /// Sends it out by an interface.
    fn send(self, ifindex: u32) -> i32;
}

/// An XDP frame.
#[derive(Clone, Copy)]
pub(crate) struct Xdp(pub(crate) *mut xdp_md);

/// A socket buffer at TC ingress.
#[derive(Clone, Copy)]
pub(crate) struct Skb(pub(crate) *mut __sk_buff);

impl Frame for Xdp {
    const XDP: bool = true;
    const PASS: i32 = xdp_action::XDP_PASS as i32;
    const DROP: i32 = xdp_action::XDP_DROP as i32;

    #[inline(always)]
    fn ctx(self) -> *mut core::ffi::c_void {
        self.0.cast()
    }
    #[inline(always)]
    fn data(self) -> usize {
        // SAFETY: the kernel's context: `data` or `data_end`.
        unsafe { context_pointer::<0>(self.ctx()) }
    }
    #[inline(always)]
    fn data_end(self) -> usize {
        // SAFETY: the kernel's context: `data` or `data_end`.
        unsafe { context_pointer::<4>(self.ctx()) }
    }
    #[inline(always)]
    fn len(self) -> u32 {
        // SAFETY: the kernel's context.
        unsafe { bpf::bpf_xdp_get_buff_len(self.0) as u32 }
    }
    #[inline(always)]
    fn ifindex(self) -> u32 {
        // SAFETY: the kernel's context.
        unsafe { (*self.0).ingress_ifindex }
    }
    #[inline(always)]
    fn segment(self) -> u32 {
        0
    }
    #[inline(always)]
    fn side_vlan(self) -> u16 {
        0
    }
    #[inline(always)]
    fn foreign(self) -> bool {
        false
    }
    #[inline(always)]
    fn pull(self) {}

    #[inline(always)]
    fn l4_csum(self, at: usize, address: u64, plain: u64, udp: bool) -> Result<(), ()> {
        let field = packet::at::<u16, _>(self, at).ok_or(())?;
        let sum = address + plain;
        // SAFETY: checked against the end of the packet just above.
        unsafe {
            *field = if udp {
                lb_common::csum::apply_udp(*field, sum)
            } else {
                lb_common::csum::apply(*field, sum)
            };
        }
        Ok(())
    }

    #[inline(always)]
    fn header_changed(self, _: u64) {}

    #[inline(always)]
    fn grow_head(self, by: i32) -> Result<(), ()> {
        // SAFETY: the kernel's context.
        match unsafe { bpf::bpf_xdp_adjust_head(self.0, -by) } {
            0 => Ok(()),
            _ => Err(()),
        }
    }

    #[inline(always)]
    fn set_len(self, len: u32) -> Result<(), ()> {
        let by = len as i32 - self.len() as i32;
        // SAFETY: the kernel's context.
        match unsafe { bpf::bpf_xdp_adjust_tail(self.0, by) } {
            0 => Ok(()),
            _ => Err(()),
        }
    }

    #[inline(always)]
    fn retag(self, old: u16, new: u16) -> Result<(), ()> {
        if old == new {
            return Ok(());
        }
        packet::retag(self, old, new)
    }

    #[inline(always)]
    fn send(self, ifindex: u32) -> i32 {
        if ifindex == self.ifindex() {
            return xdp_action::XDP_TX as i32;
        }
        // SAFETY: a helper without pointers.
        unsafe { bpf::bpf_redirect(ifindex, 0) as i32 }
    }
}

impl Frame for Skb {
    const XDP: bool = false;
    const PASS: i32 = TCX_NEXT;
    const DROP: i32 = TCX_DROP;

    #[inline(always)]
    fn ctx(self) -> *mut core::ffi::c_void {
        self.0.cast()
    }
    #[inline(always)]
    fn data(self) -> usize {
        // SAFETY: the kernel's context: `data` or `data_end`.
        unsafe { context_pointer::<76>(self.ctx()) }
    }
    #[inline(always)]
    fn data_end(self) -> usize {
        // SAFETY: the kernel's context: `data` or `data_end`.
        unsafe { context_pointer::<80>(self.ctx()) }
    }
    #[inline(always)]
    fn len(self) -> u32 {
        // SAFETY: the kernel's context.
        unsafe { (*self.0).len }
    }
    #[inline(always)]
    fn ifindex(self) -> u32 {
        // SAFETY: the kernel's context.
        unsafe { (*self.0).ifindex }
    }
    #[inline(always)]
    fn segment(self) -> u32 {
        // SAFETY: the kernel's context.
        unsafe { (*self.0).gso_size }
    }
    #[inline(always)]
    fn side_vlan(self) -> u16 {
        // SAFETY: the kernel's context.
        unsafe {
            if (*self.0).vlan_present == 0 {
                return 0;
            }
            let id = ((*self.0).vlan_tci & 0xfff) as u16;
            match (*self.0).vlan_proto as u16 == packet::ETH_8021AD {
                true => id | VLAN_TAGGED | VLAN_AD,
                false => id | VLAN_TAGGED,
            }
        }
    }
    #[inline(always)]
    fn foreign(self) -> bool {
        // SAFETY: the kernel's context.
        unsafe { (*self.0).pkt_type != PACKET_HOST }
    }

    /// Headers usually are linear; where they aren't, 192 bytes hold the longest we walk. Payload
    /// isn't pulled along without need: what follows would be copied to the receiver from where it
    /// is not aligned.
    #[inline(always)]
    fn pull(self) {
        let linear = self.data_end().wrapping_sub(self.data()) as u32;
        if linear < 192 && linear < self.len() && !packet::has_headers(self) {
            let want = if self.len() < 192 { self.len() } else { 192 };
            // SAFETY: the kernel's context.
            unsafe { bpf::bpf_skb_pull_data(self.0, want) };
        }
    }

    /// The helper knows checksums that hardware will finish (`CHECKSUM_PARTIAL`
    /// covers the pseudo header alone) and those it has summed.
    #[inline(always)]
    fn l4_csum(self, at: usize, address: u64, plain: u64, udp: bool) -> Result<(), ()> {
        let mangled = if udp { BPF_F_MARK_MANGLED_0 } else { 0 };
        // SAFETY: the kernel's context; the helper checks the offset.
        unsafe {
            let pseudo = fold32(address);
            if bpf::bpf_l4_csum_replace(self.0, at as u32, 0, pseudo, BPF_F_PSEUDO_HDR | mangled)
                != 0
            {
                return Err(());
            }
            if plain != 0
                && bpf::bpf_l4_csum_replace(self.0, at as u32, 0, fold32(plain), mangled) != 0
            {
                return Err(());
            }
        }
        Ok(())
    }

    /// Only where a NIC has summed the whole packet (`CHECKSUM_COMPLETE`);
    /// refused, and not needed, otherwise.
    #[inline(always)]
    fn header_changed(self, difference: u64) {
        // SAFETY: the kernel's context.
        unsafe { bpf::bpf_csum_update(self.0, fold32(difference) as u32) };
    }

    #[inline(always)]
    fn grow_head(self, by: i32) -> Result<(), ()> {
        // SAFETY: the kernel's context.
        match unsafe { bpf::bpf_skb_change_head(self.0, by as u32, 0) } {
            0 => Ok(()),
            _ => Err(()),
        }
    }

    #[inline(always)]
    fn set_len(self, len: u32) -> Result<(), ()> {
        // SAFETY: the kernel's context.
        match unsafe { bpf::bpf_skb_change_tail(self.0, len, 0) } {
            0 => Ok(()),
            _ => Err(()),
        }
    }

    #[inline(always)]
    fn retag(self, old: u16, new: u16) -> Result<(), ()> {
        if old == new {
            return Ok(());
        }
        // SAFETY: the kernel's context.
        unsafe {
            if old & VLAN_TAGGED != 0 && bpf::bpf_skb_vlan_pop(self.0) != 0 {
                return Err(());
            }
            if new & VLAN_TAGGED != 0 {
                let proto = packet::vlan_proto(new);
                if bpf::bpf_skb_vlan_push(self.0, proto, new & 0xfff) != 0 {
                    return Err(());
                }
            }
        }
        Ok(())
    }

    #[inline(always)]
    fn send(self, ifindex: u32) -> i32 {
        // SAFETY: a helper without pointers.
        unsafe { bpf::bpf_redirect(ifindex, 0) as i32 }
    }
}

/// Loads a packet pointer from the context. The field is declared as 32 bits
/// wide; a compiler that knew that would widen it, and the verifier would lose
/// sight of the pointer.
///
/// # Safety
/// `OFFSET` is that of `data` or `data_end` in this kind of context.
#[inline(always)]
unsafe fn context_pointer<const OFFSET: i32>(ctx: *mut core::ffi::c_void) -> usize {
    let pointer;
    // SAFETY: the caller vouches for the offset.
    unsafe {
        asm!(
            "{pointer} = *(u32 *)({ctx} + {offset})",
            pointer = out(reg) pointer,
            ctx = in(reg) ctx,
            offset = const OFFSET,
            options(pure, readonly, nostack),
        );
    }
    pointer
}

/// Folds to the 32 bits that the checksum helpers take.
#[inline(always)]
fn fold32(sum: u64) -> u64 {
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    (sum & 0xffff_ffff) + (sum >> 32)
}
