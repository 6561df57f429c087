//! Memory that is free, and still this process's.

/// Gives it back to the kernel: reading a large configuration takes several times the memory that it
/// comes to, and what comes next asks for it from other threads, which have heaps of their own.
pub(crate) fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes the allocator's own locks, and touches only what is free.
    unsafe {
        libc::malloc_trim(0);
    }
}
