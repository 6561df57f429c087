//! The kernel programs, built from lb-ebpf by this package's build script.

/// The ELF object, aligned as its parser needs. It holds the programs `lb_xdp`
/// and `lb_tc` and the maps of [`lb_common::maps`].
pub static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/lb-ebpf.o"));

#[cfg(test)]
mod tests {
    use super::OBJECT;

    #[test]
    fn is_an_elf_object_for_bpf() {
        assert_eq!(&OBJECT[..4], b"\x7fELF");
        // e_machine at offset 18: EM_BPF.
        assert_eq!(u16::from_le_bytes([OBJECT[18], OBJECT[19]]), 247);
        assert_eq!(OBJECT.as_ptr().align_offset(8), 0);
    }
}
