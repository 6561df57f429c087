//! The interface table.

use lb_common::{
    IfaceEntry,
    backend::{IFACE_PROBES, IFACE_SLOTS},
};

use crate::maps::IFACES;

/// The entry of an interface.
#[inline(always)]
pub(crate) fn find(ifindex: u32) -> Option<&'static IfaceEntry> {
    for probe in 0..IFACE_PROBES {
        let entry = IFACES.get(ifindex.wrapping_add(probe) & (IFACE_SLOTS - 1))?;
        if entry.ifindex == ifindex {
            return Some(entry);
        }
    }
    None
}

/// Whether a frame to this MAC is for us. XDP sees what a switch floods and
/// what a bridge or a promiscuous interface takes in; an interface that is not
/// in the table has no MAC to compare.
#[inline(always)]
pub(crate) fn is_ours(ifindex: u32, mac: u64) -> bool {
    match find(ifindex) {
        Some(entry) => {
            // SAFETY: MAC and flags, eight bytes, at an offset of 8.
            let own = unsafe { entry.mac.as_ptr().cast::<u64>().read() };
            (own ^ mac).wrapping_shl(16) == 0
        }
        None => true,
    }
}
