//! Atomics on map values. The BPF target of rustc has none of its own, so each
//! is the one instruction (kernel doc `bpf/standardization/instruction-set`).
//! For other targets, which only lints look at, the same in core's terms.

#[cfg(target_arch = "bpf")]
use core::arch::asm;
#[cfg(not(target_arch = "bpf"))]
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};

/// Stores `new` where `old` stands; returns what stood there.
///
/// # Safety
/// `at` points into a live map value, aligned to 4.
#[cfg(target_arch = "bpf")]
#[inline(always)]
pub(crate) unsafe fn cas32(at: *mut u32, old: u32, new: u32) -> u32 {
    let mut seen = u64::from(old);
    // SAFETY: the caller vouches for the pointer; the instruction touches those four bytes alone.
    unsafe {
        asm!(
            "w0 = cmpxchg32_32(r1 + 0, w0, w2)",
            inout("r0") seen,
            in("r1") at,
            in("r2") u64::from(new),
        );
    }
    seen as u32
}

/// As [`cas32`] for 8 bytes.
///
/// # Safety
/// `at` points into a live map value, aligned to 8.
#[cfg(target_arch = "bpf")]
#[inline(always)]
pub(crate) unsafe fn cas64(at: *mut u64, old: u64, new: u64) -> u64 {
    let mut seen = old;
    // SAFETY: the caller vouches for the pointer; the instruction touches those eight bytes alone.
    unsafe {
        asm!(
            "r0 = cmpxchg_64(r1 + 0, r0, r2)",
            inout("r0") seen,
            in("r1") at,
            in("r2") new,
        );
    }
    seen
}

/// Adds.
///
/// # Safety
/// `at` points into a live map value, aligned to 8.
#[cfg(target_arch = "bpf")]
#[inline(always)]
pub(crate) unsafe fn add64(at: *mut u64, by: u64) {
    // SAFETY: the caller vouches for the pointer; the instruction touches those eight bytes alone.
    unsafe {
        asm!("lock *(u64 *)(r1 + 0) += r2", in("r1") at, in("r2") by);
    }
}

/// As above.
///
/// # Safety
/// As above.
#[cfg(not(target_arch = "bpf"))]
pub(crate) unsafe fn cas32(at: *mut u32, old: u32, new: u32) -> u32 {
    // SAFETY: the caller vouches for the pointer.
    let cell = unsafe { AtomicU32::from_ptr(at) };
    cell.compare_exchange(old, new, SeqCst, SeqCst).unwrap_or_else(|seen| seen)
}

/// As above.
///
/// # Safety
/// As above.
#[cfg(not(target_arch = "bpf"))]
pub(crate) unsafe fn cas64(at: *mut u64, old: u64, new: u64) -> u64 {
    // SAFETY: the caller vouches for the pointer.
    let cell = unsafe { AtomicU64::from_ptr(at) };
    cell.compare_exchange(old, new, SeqCst, SeqCst).unwrap_or_else(|seen| seen)
}

/// As above.
///
/// # Safety
/// As above.
#[cfg(not(target_arch = "bpf"))]
pub(crate) unsafe fn add64(at: *mut u64, by: u64) {
    // SAFETY: the caller vouches for the pointer.
    unsafe { AtomicU64::from_ptr(at) }.fetch_add(by, SeqCst);
}
