//! Where large pieces of memory lie.

/// Bytes of a large page.
const LARGE: usize = 2 << 20;

/// Lays what is within whole large pages of `slice` on such pages: among megabytes that requests
/// look into here and there, the walk to an address costs as much as what is there. Without effect
/// where the kernel has none to give, or none at all (`CONFIG_TRANSPARENT_HUGEPAGE`).
pub(crate) fn lay_on_large_pages<T>(slice: &[T]) {
    let bytes = slice.as_ptr_range();
    let first = (bytes.start as usize).next_multiple_of(LARGE);
    let length = (bytes.end as usize).saturating_sub(first) / LARGE * LARGE;
    if length > 0 {
        // SAFETY: within the slice, whose bytes stay as they are: madvise(2), since Linux 6.1.
        unsafe {
            libc::madvise(first as *mut libc::c_void, length, MADV_COLLAPSE);
        }
    }
}

/// Not in every C library's headers.
const MADV_COLLAPSE: libc::c_int = 25;
