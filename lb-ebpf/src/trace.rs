//! Kernel-side trace lines through aya-log, when `datapath.trace` asks for them.

use aya_ebpf::EbpfContext;
use aya_log_ebpf::{debug, info};
use lb_common::DropReason;

use crate::{frame::Frame, maps::TRACE};

/// A context for aya-log.
struct Context(*mut core::ffi::c_void);

impl EbpfContext for Context {
    fn as_ptr(&self) -> *mut core::ffi::c_void {
        self.0
    }
}

/// A packet went on its way.
#[inline(always)]
pub(crate) fn sent<F: Frame>(frame: F) {
    if TRACE.load() != 0 {
        line_sent(frame);
    }
}

#[inline(never)]
fn line_sent<F: Frame>(frame: F) -> u32 {
    debug!(&Context(frame.ctx()), "if {} sent", frame.ifindex());
    0
}

/// A packet was dropped or answered.
#[inline(always)]
pub(crate) fn dropped<F: Frame>(frame: F, reason: DropReason) {
    if TRACE.load() != 0 {
        line_dropped(frame, reason as u32);
    }
}

#[inline(never)]
fn line_dropped<F: Frame>(frame: F, reason: u32) -> u32 {
    info!(&Context(frame.ctx()), "if {} dropped, reason {}", frame.ifindex(), reason);
    0
}
