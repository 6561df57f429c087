//! Maps with `BPF_F_MMAPABLE`, read and written in place beside the programs.

use std::{
    io,
    marker::PhantomData,
    num::NonZeroUsize,
    ops::Deref,
    os::fd::AsFd,
    ptr::NonNull,
    sync::atomic::{AtomicU8, AtomicU32, AtomicU64},
};

use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

/// What may be shared with programs that write at the same time.
///
/// # Safety
/// Atomics alone, of a size that is a multiple of 8 (the stride of array maps).
pub(super) unsafe trait Shareable {}

// SAFETY: eight bytes.
unsafe impl Shareable for AtomicU64 {}
// SAFETY: a multiple of eight bytes for the sizes in use (asserted when mapped).
unsafe impl<const N: usize> Shareable for [AtomicU32; N] {}
// SAFETY: as above.
unsafe impl<const N: usize> Shareable for [AtomicU64; N] {}
// SAFETY: as above.
unsafe impl<const N: usize> Shareable for [AtomicU8; N] {}

/// The elements of an array map.
#[derive(Debug)]
pub(super) struct Mapped<T: Shareable> {
    start: NonNull<T>,
    elements: usize,
    shared: PhantomData<T>,
}

// SAFETY: the elements are atomics, which any thread may use.
unsafe impl<T: Shareable> Send for Mapped<T> {}
// SAFETY: as above.
unsafe impl<T: Shareable> Sync for Mapped<T> {}

impl<T: Shareable> Mapped<T> {
    /// Maps all `elements` of the array map, whose values must have the size of `T`.
    pub(super) fn new(map: impl AsFd, elements: u32) -> io::Result<Self> {
        const { assert!(size_of::<T>().is_multiple_of(8)) };
        let elements = elements as usize;
        let bytes = NonZeroUsize::new(elements * size_of::<T>())
            .ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))?;
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a fresh mapping at an address of the kernel's choice; the kernel refuses
        // lengths beyond the map's.
        let start = unsafe { mmap(None, bytes, access, MapFlags::MAP_SHARED, map, 0) }?;
        Ok(Self { start: start.cast(), elements, shared: PhantomData })
    }
}

impl<T: Shareable> Deref for Mapped<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: mapped for as long as self lives, page-aligned, `elements` long; atomics
        // tolerate the programs' writes.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.elements) }
    }
}

impl<T: Shareable> Drop for Mapped<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping that `new` made; no reference outlives self.
        let _only_fails_for_bad_arguments =
            unsafe { munmap(self.start.cast(), self.elements * size_of::<T>()) };
    }
}
