//! The bpf(2) calls that aya does not offer: values of a size known only at
//! run time, batches, and where a link is attached.

use std::{
    ffi::CString,
    io,
    mem::{size_of, zeroed},
    os::{
        fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
};

use aya_obj::generated::{bpf_attach_type, bpf_attr, bpf_cmd, bpf_link_info, bpf_link_type};

/// Update flag: create or overwrite (`BPF_ANY`).
pub(super) const ANY: u64 = 0;

/// Opens a pin, whatever it is of.
pub(super) fn open_pin(path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut attr = zeroed_attr();
    attr.__bindgen_anon_4.pathname = path.as_ptr() as u64;
    // SAFETY: the path outlives the call.
    let fd = unsafe { call(bpf_cmd::BPF_OBJ_GET, &mut attr) }?;
    // SAFETY: BPF_OBJ_GET returns a new file descriptor, that nothing else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Reads one element; false when there is none. `value` must be as long as the map's values
/// (of all CPUs, each rounded up to 8, for a per-CPU map).
pub(super) fn lookup(map: BorrowedFd<'_>, key: &[u8], value: &mut [u8]) -> io::Result<bool> {
    let mut attr = element(map, key, value.as_mut_ptr() as u64, 0);
    // SAFETY: key and value outlive the call and are as long as the caller vouches.
    match unsafe { call(bpf_cmd::BPF_MAP_LOOKUP_ELEM, &mut attr) } {
        Ok(_) => Ok(true),
        Err(e) if e.raw_os_error() == Some(libc::ENOENT) => Ok(false),
        Err(e) => Err(e),
    }
}

/// Writes one element; lengths as for [`lookup`].
pub(super) fn update(map: BorrowedFd<'_>, key: &[u8], value: &[u8]) -> io::Result<()> {
    let mut attr = element(map, key, value.as_ptr() as u64, ANY);
    // SAFETY: as in `lookup`; the kernel only reads the value.
    unsafe { call(bpf_cmd::BPF_MAP_UPDATE_ELEM, &mut attr) }.map(drop)
}

/// Writes `keys.len()` elements of an array, in one call.
pub(super) fn update_batch<V: aya::Pod>(
    map: BorrowedFd<'_>,
    keys: &[u32],
    values: &[V],
) -> io::Result<()> {
    if keys.is_empty() {
        return Ok(());
    }
    if keys.len() != values.len() {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    let mut attr = zeroed_attr();
    attr.batch.map_fd = map.as_raw_fd() as u32;
    attr.batch.keys = keys.as_ptr() as u64;
    attr.batch.values = values.as_ptr() as u64;
    attr.batch.count = keys.len() as u32;
    // SAFETY: both slices hold `count` elements and outlive the call.
    unsafe { call(bpf_cmd::BPF_MAP_UPDATE_BATCH, &mut attr) }.map(drop)
}

/// Reads all `entries` elements of an array in as few calls as it takes; `size` bytes each.
pub(super) fn lookup_all(map: BorrowedFd<'_>, entries: u32, size: usize) -> io::Result<Vec<u8>> {
    let mut values = vec![0u8; entries as usize * size];
    let mut keys = vec![0u32; entries as usize];
    let (mut position, mut done) = (0u32, 0u32);
    while done < entries {
        let mut attr = zeroed_attr();
        attr.batch.map_fd = map.as_raw_fd() as u32;
        attr.batch.in_batch = if done == 0 { 0 } else { &raw const position as u64 };
        attr.batch.out_batch = &raw mut position as u64;
        attr.batch.keys = keys[done as usize..].as_mut_ptr() as u64;
        attr.batch.values = values[done as usize * size..].as_mut_ptr() as u64;
        attr.batch.count = entries - done;
        // SAFETY: both buffers have room for `count` more elements and outlive the call.
        let end = unsafe { call(bpf_cmd::BPF_MAP_LOOKUP_BATCH, &mut attr) };
        // SAFETY: the kernel has set the count of this same variant.
        done += unsafe { attr.batch.count };
        match end {
            Ok(_) => {}
            Err(e) if e.raw_os_error() == Some(libc::ENOENT) => break,
            Err(e) => return Err(e),
        }
    }
    Ok(values)
}

/// Pins an object.
pub(super) fn pin(object: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut attr = zeroed_attr();
    attr.__bindgen_anon_4.pathname = path.as_ptr() as u64;
    attr.__bindgen_anon_4.bpf_fd = object.as_raw_fd() as u32;
    // SAFETY: the path outlives the call.
    unsafe { call(bpf_cmd::BPF_OBJ_PIN, &mut attr) }.map(drop)
}

/// Attaches an XDP program to an interface by a link. `flags` are `XDP_FLAGS_…`.
pub(super) fn create_xdp_link(
    program: BorrowedFd<'_>,
    ifindex: u32,
    flags: u32,
) -> io::Result<OwnedFd> {
    let mut attr = zeroed_attr();
    attr.link_create.__bindgen_anon_1.prog_fd = program.as_raw_fd() as u32;
    attr.link_create.__bindgen_anon_2.target_ifindex = ifindex;
    attr.link_create.attach_type = bpf_attach_type::BPF_XDP as u32;
    attr.link_create.flags = flags;
    // SAFETY: holds integers alone.
    let fd = unsafe { call(bpf_cmd::BPF_LINK_CREATE, &mut attr) }?;
    // SAFETY: BPF_LINK_CREATE returns a new file descriptor, that nothing else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Takes a link's program off its interface, at once: the end of its last pin and descriptor
/// would do it some time later.
pub(super) fn detach_link(link: BorrowedFd<'_>) -> io::Result<()> {
    let mut attr = zeroed_attr();
    attr.link_detach.link_fd = link.as_raw_fd() as u32;
    // SAFETY: holds an integer alone.
    unsafe { call(bpf_cmd::BPF_LINK_DETACH, &mut attr) }.map(drop)
}

/// The interface that an XDP or TCX link is attached to; `None` once that interface is gone.
pub(super) fn link_ifindex(link: BorrowedFd<'_>) -> io::Result<Option<u32>> {
    // SAFETY: integers and unions of integers alone: zero is a value of each.
    let mut info: bpf_link_info = unsafe { zeroed() };
    let mut attr = zeroed_attr();
    attr.info.bpf_fd = link.as_raw_fd() as u32;
    attr.info.info_len = size_of::<bpf_link_info>() as u32;
    attr.info.info = &raw mut info as u64;
    // SAFETY: `info` outlives the call and is as long as said.
    unsafe { call(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attr) }?;
    // SAFETY: the kernel fills the variant that its type names; both hold integers alone.
    let ifindex = unsafe {
        match info.type_ {
            t if t == bpf_link_type::BPF_LINK_TYPE_XDP as u32 => info.__bindgen_anon_1.xdp.ifindex,
            t if t == bpf_link_type::BPF_LINK_TYPE_TCX as u32 => info.__bindgen_anon_1.tcx.ifindex,
            _ => return Err(io::Error::from_raw_os_error(libc::EINVAL)),
        }
    };
    Ok(Some(ifindex).filter(|i| *i != 0))
}

/// Waits until every program run that began before the call has ended: one RCU
/// grace period, by `membarrier(2)` with `MEMBARRIER_CMD_GLOBAL`.
pub(super) fn barrier() -> io::Result<()> {
    const GLOBAL: libc::c_int = 1;
    // SAFETY: takes integers alone.
    match unsafe { libc::syscall(libc::SYS_membarrier, GLOBAL, 0, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn element(map: BorrowedFd<'_>, key: &[u8], value: u64, flags: u64) -> bpf_attr {
    let mut attr = zeroed_attr();
    // SAFETY: writes to a union of integers that was zeroed.
    let part = unsafe { &mut attr.__bindgen_anon_2 };
    part.map_fd = map.as_raw_fd() as u32;
    part.key = key.as_ptr() as u64;
    part.__bindgen_anon_1.value = value;
    part.flags = flags;
    attr
}

fn zeroed_attr() -> bpf_attr {
    // SAFETY: a union of structs of integers: zero is a value of each.
    unsafe { zeroed() }
}

/// # Safety
/// Every pointer in `attr` is valid for what `command` does with it.
unsafe fn call(command: bpf_cmd, attr: &mut bpf_attr) -> io::Result<i32> {
    // SAFETY: the caller vouches for the pointers within; `attr` is as long as said.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, command as libc::c_int, &raw mut *attr, size_of::<bpf_attr>())
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as i32) }
}

/// The bytes of a value.
pub(super) fn bytes<T: aya::Pod>(value: &T) -> &[u8] {
    // SAFETY: Pod types are made of integers without padding.
    unsafe { std::slice::from_raw_parts((&raw const *value).cast(), size_of::<T>()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_that_is_not_there_is_not_found() {
        let error = open_pin(Path::new("/sys/fs/bpf/no/such/pin")).unwrap_err();
        assert!(error.raw_os_error().is_some(), "{error}");
    }

    #[test]
    fn the_bytes_of_a_value_are_those_in_memory() {
        assert_eq!(bytes(&0x0102_0304u32.to_be()), [1, 2, 3, 4]);
    }

    #[test]
    fn a_barrier_returns() {
        barrier().unwrap();
    }
}
