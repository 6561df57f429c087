//! Contexts of `BPF_PROG_TEST_RUN`: where a packet came in, and what else a driver says of it.

use super::Hook;

/// `struct xdp_md`, and offsets in it.
const XDP_SIZE: usize = 24;
const XDP_DATA: usize = 0;
const XDP_DATA_END: usize = 4;
const XDP_IFINDEX: usize = 12;
/// `struct __sk_buff` up to and with `gso_size`, and offsets in it.
const SKB_SIZE: usize = 184;
const SKB_IFINDEX: usize = 40;
const SKB_GSO_SEGS: usize = 164;
const SKB_GSO_SIZE: usize = 176;

/// What is unusual about a frame.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::packets) struct Extra {
    /// XDP: bytes of metadata before the frame, which take up its headroom.
    pub(in crate::packets) metadata: u32,
    /// TC: payload of each segment that the kernel will cut the packet into.
    pub(in crate::packets) segment: u32,
}

pub(super) fn of(hook: Hook, ifindex: u32, length: usize, extra: Extra) -> Vec<u8> {
    let (size, words) = match hook {
        Hook::Xdp => {
            let data = (XDP_DATA, extra.metadata);
            (XDP_SIZE, vec![data, (XDP_DATA_END, length as u32), (XDP_IFINDEX, ifindex)])
        }
        Hook::Tc => {
            let segments = u32::from(extra.segment != 0) * 2;
            let gso = [(SKB_GSO_SEGS, segments), (SKB_GSO_SIZE, extra.segment)];
            (SKB_SIZE, [vec![(SKB_IFINDEX, ifindex)], gso.to_vec()].concat())
        }
    };
    let mut context = vec![0; size];
    for (at, word) in words {
        context[at..at + 4].copy_from_slice(&word.to_ne_bytes());
    }
    context
}
