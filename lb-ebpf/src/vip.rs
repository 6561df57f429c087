//! Which VIP a packet is for: two array reads.

use lb_common::{
    Addr, VipEntry, addr,
    vip::{self, DISPS, SLOTS},
};

use crate::maps::{VIP_ACTIVE, VIP_DISP, VIP_META, VIP_SLOTS, VIPS};

/// The id of the VIP with this address, port and protocol.
#[inline(always)]
pub(crate) fn lookup(dst: &Addr, port_proto: u32) -> Option<u32> {
    let generation = *VIP_ACTIVE.get(0)? & 1;
    let meta = VIP_META.get(generation)?;
    let hash = vip::key_hash(meta.seed, dst, port_proto);
    let disp = *VIP_DISP.get(generation * DISPS + vip::group(hash, meta))?;
    if disp == 0 {
        return None;
    }
    let slot = VIP_SLOTS.get(generation * SLOTS + vip::slot(hash, disp, meta))?;
    if slot.vip == 0 || slot.port_proto != port_proto || !addr::eq(&slot.addr, dst) {
        return None;
    }
    Some(slot.vip - 1)
}

/// A VIP's value.
#[inline(always)]
pub(crate) fn entry(id: u32) -> Option<&'static VipEntry> {
    VIPS.get(id)
}
