//! Reading and writing packet bytes within their bounds, and header layouts.
//!
//! Headers stand at any even address; x86-64 and the verifier (where the kernel
//! has efficient unaligned access) load words from there all the same, so the
//! layouts are plain `repr(C)`: packed ones would be read byte by byte.

use core::arch::asm;

use lb_common::{
    Addr,
    flow::{VLAN_AD, VLAN_TAGGED},
};

use crate::frame::Frame;

/// EtherTypes as loaded from the packet.
pub(crate) const ETH_IPV4: u16 = 0x0800u16.to_be();
pub(crate) const ETH_IPV6: u16 = 0x86ddu16.to_be();
pub(crate) const ETH_8021Q: u16 = 0x8100u16.to_be();
pub(crate) const ETH_8021AD: u16 = 0x88a8u16.to_be();

/// Length of an Ethernet header without tag.
pub(crate) const ETH_LEN: usize = 14;

/// IP protocols.
pub(crate) const TCP: u32 = 6;
pub(crate) const UDP: u32 = 17;
pub(crate) const ICMP: u32 = 1;
pub(crate) const ICMPV6: u32 = 58;

/// Longest offset that is reached into: headers end before.
pub(crate) const MAX_OFFSET: usize = 0x1ff;

/// Ethernet header: both MACs as words, destination first.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Eth {
    pub(crate) macs: [u32; 3],
    pub(crate) proto: u16,
}

/// Both MACs of a frame, destination first, as [`Eth`] has them.
#[inline(always)]
pub(crate) fn macs(dst: &[u8; 6], src: &[u8; 6]) -> [u32; 3] {
    let (dst, src) = (dst.as_ptr(), src.as_ptr());
    // SAFETY: within the six bytes of each; see the head of this file on alignment.
    unsafe {
        let low = u32::from(dst.add(4).cast::<u16>().read());
        let high = u32::from(src.cast::<u16>().read());
        [dst.cast::<u32>().read(), low | high << 16, src.add(2).cast::<u32>().read()]
    }
}

impl Eth {
    /// The source MAC in the low 48 bits.
    #[inline(always)]
    pub(crate) fn source(&self) -> u64 {
        u64::from(self.macs[1] >> 16) | u64::from(self.macs[2]) << 16
    }

    /// The destination MAC in the low 48 bits.
    #[inline(always)]
    pub(crate) fn destination(&self) -> u64 {
        u64::from(self.macs[0]) | u64::from(self.macs[1] & 0xffff) << 32
    }
}

/// IPv4 header without options.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Ip4 {
    pub(crate) version_ihl: u8,
    pub(crate) tos: u8,
    pub(crate) len: u16,
    pub(crate) id: u16,
    pub(crate) frag: u16,
    pub(crate) ttl: u8,
    pub(crate) proto: u8,
    pub(crate) sum: u16,
    pub(crate) src: u32,
    pub(crate) dst: u32,
}

/// IPv6 fixed header.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Ip6 {
    pub(crate) flow: u32,
    pub(crate) len: u16,
    pub(crate) next: u8,
    pub(crate) hops: u8,
    pub(crate) src: [u32; 4],
    pub(crate) dst: [u32; 4],
}

/// TCP header without options.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Tcp {
    pub(crate) ports: u32,
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) offset: u8,
    pub(crate) flags: u8,
    pub(crate) window: u16,
    pub(crate) sum: u16,
    pub(crate) urgent: u16,
}

/// TCP flags.
pub(crate) mod tcp {
    pub(crate) const FIN: u8 = 1;
    pub(crate) const SYN: u8 = 2;
    pub(crate) const RST: u8 = 4;
    pub(crate) const ACK: u8 = 16;
}

/// Hides a value's origin from the optimiser, so that the bounds we check are
/// the ones the verifier sees. A move, since an empty asm would leave two line
/// records at one instruction, which the kernel refuses.
#[inline(always)]
pub(crate) fn opaque(mut value: usize) -> usize {
    // SAFETY: moves a register to itself.
    unsafe { asm!("{0} = {0}", inout(reg) value) };
    value
}

/// A pointer to `T` at an offset known at compile time or bounded before, if it lies within the packet.
#[inline(always)]
pub(crate) fn at<T, F: Frame>(frame: F, offset: usize) -> Option<*mut T> {
    let start = opaque(frame.data() + (opaque(offset) & MAX_OFFSET));
    if start + size_of::<T>() > frame.data_end() {
        return None;
    }
    Some(start as *mut T)
}

/// As [`at`] for an offset known at compile time: cheaper.
#[inline(always)]
pub(crate) fn fixed<T, F: Frame>(frame: F, offset: usize) -> Option<*mut T> {
    let start = frame.data();
    if start + offset + size_of::<T>() > frame.data_end() {
        return None;
    }
    Some((start + offset) as *mut T)
}

/// Whether all headers, TCP's options included, can be read directly. Knows the usual layout alone:
/// TCP right behind an IP header without options.
#[inline(always)]
pub(crate) fn has_headers<F: Frame>(frame: F) -> bool {
    match tcp_header(frame) {
        Some((at, len)) => frame.data_end().wrapping_sub(frame.data()) >= at + len,
        None => false,
    }
}

/// Where the TCP header of such a packet stands, and its length.
#[inline(always)]
fn tcp_header<F: Frame>(frame: F) -> Option<(usize, usize)> {
    const AT: [usize; 2] = [ETH_LEN + size_of::<Ip4>(), ETH_LEN + size_of::<Ip6>()];
    let eth = fixed::<Eth, _>(frame, 0)?;
    // SAFETY: checked against the end of the packet just above, as what follows is.
    unsafe {
        if (*eth).proto == ETH_IPV4 {
            let ip = fixed::<Ip4, _>(frame, ETH_LEN)?;
            let tcp = fixed::<Tcp, _>(frame, AT[0])?;
            let usual = (*ip).version_ihl == 0x45 && u32::from((*ip).proto) == TCP;
            return usual.then_some((AT[0], usize::from((*tcp).offset >> 4) * 4));
        }
        let ip = fixed::<Ip6, _>(frame, ETH_LEN)?;
        let tcp = fixed::<Tcp, _>(frame, AT[1])?;
        let usual = (*eth).proto == ETH_IPV6 && u32::from((*ip).next) == TCP;
        usual.then_some((AT[1], usize::from((*tcp).offset >> 4) * 4))
    }
}

/// An address, read by words: a plain copy becomes a call that copies byte by byte.
#[inline(always)]
pub(crate) fn words(from: &Addr) -> Addr {
    let from = from.as_ptr();
    // SAFETY: within the four words.
    unsafe {
        [
            from.read_volatile(),
            from.add(1).read_volatile(),
            from.add(2).read_volatile(),
            from.add(3).read_volatile(),
        ]
    }
}

/// EtherType of a VLAN word's tag.
#[inline(always)]
pub(crate) fn vlan_proto(vlan: u16) -> u16 {
    match vlan & VLAN_AD != 0 {
        true => ETH_8021AD,
        false => ETH_8021Q,
    }
}

/// A tag in the frame.
#[repr(C)]
#[derive(Clone, Copy)]
struct Tagged {
    macs: [u32; 3],
    proto: u16,
    tci: u16,
}

/// Puts on, takes off or changes a tag in the frame.
#[inline(always)]
pub(crate) fn retag<F: Frame>(frame: F, old: u16, new: u16) -> Result<(), ()> {
    let tagged = new & VLAN_TAGGED != 0;
    if old & VLAN_TAGGED != 0 && tagged {
        let head = fixed::<Tagged, _>(frame, 0).ok_or(())?;
        // SAFETY: checked against the end of the packet just above.
        unsafe {
            (*head).proto = vlan_proto(new);
            (*head).tci = (new & 0xfff).to_be();
        }
        return Ok(());
    }
    let head = fixed::<Eth, _>(frame, 0).ok_or(())?;
    // SAFETY: checked against the end of the packet just above.
    let macs = unsafe { (*head).macs };
    frame.grow_head(if tagged { 4 } else { -4 })?;
    if tagged {
        let head = fixed::<Tagged, _>(frame, 0).ok_or(())?;
        // SAFETY: checked against the end of the packet just above.
        unsafe {
            (*head).macs = macs;
            (*head).proto = vlan_proto(new);
            (*head).tci = (new & 0xfff).to_be();
        }
    } else {
        let head = fixed::<Eth, _>(frame, 0).ok_or(())?;
        // SAFETY: checked against the end of the packet just above.
        unsafe { (*head).macs = macs };
    }
    Ok(())
}
