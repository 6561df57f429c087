//! The maps, in the order a packet meets them. Sizes marked "at load" are
//! replaced by the loader.

use aya_ebpf::{
    Global,
    btf_maps::{Array, ArrayOfMaps, HashMap, LruHashMap, PerCpuArray},
    macros::btf_map,
};
use lb_common::{
    Addr, BackendEntry, BackendStats, DropReason, Event, FragKey, FragValue, HostPeers, IfaceEntry,
    KernelConfig, RingValue, Verdict, VipEntry, VipMeta, VipSlot,
    backend::IFACE_SLOTS,
    config::NAT_ADDRESSES,
    flow::{FlowBucket, ReplyBucket},
    ring::MAX_RINGS,
    vip::{DISPS, MAX_VIPS, SLOTS},
};

/// `BPF_F_MMAPABLE`.
const MMAP: usize = 1024;

/// Nothing is written but [`VERDICT`]: `lb explain` runs this very code.
#[unsafe(no_mangle)]
pub(crate) static DRY_RUN: Global<u32> = Global::new(0);

/// Log each verdict through aya-log.
#[unsafe(no_mangle)]
pub(crate) static TRACE: Global<u32> = Global::new(0);

#[btf_map]
pub(crate) static CONFIG: Array<KernelConfig, 1> = Array::new();
#[btf_map]
pub(crate) static VIP_META: Array<VipMeta, 2> = Array::new();
#[btf_map]
pub(crate) static VIP_ACTIVE: Array<u32, 1> = Array::new();
#[btf_map]
pub(crate) static VIP_DISP: Array<u32, { 2 * DISPS as usize }> = Array::new();
#[btf_map]
pub(crate) static VIP_SLOTS: Array<VipSlot, { 2 * SLOTS as usize }> = Array::new();
#[btf_map]
pub(crate) static VIPS: Array<VipEntry, { MAX_VIPS as usize }> = Array::new();
#[btf_map]
pub(crate) static VIP_ADDRS: HashMap<Addr, u32, { MAX_VIPS as usize }, 1> = HashMap::new();

/// At load.
#[btf_map]
pub(crate) static FLOWS: Array<FlowBucket, 64, MMAP> = Array::new();
/// At load.
#[btf_map]
pub(crate) static REPLIES: Array<ReplyBucket, 64, MMAP> = Array::new();

/// At load.
#[btf_map]
pub(crate) static BACKENDS: Array<BackendEntry, 1024> = Array::new();
/// At load, as many as `BACKENDS`.
#[btf_map]
pub(crate) static ACTIVE: Array<u64, 1024, MMAP> = Array::new();
/// At load, as many as `BACKENDS`.
#[btf_map]
pub(crate) static STATS: PerCpuArray<BackendStats, 1024> = PerCpuArray::new();
#[btf_map]
pub(crate) static NATS: Array<Addr, { NAT_ADDRESSES as usize }> = Array::new();
#[btf_map]
pub(crate) static IFACES: Array<IfaceEntry, { IFACE_SLOTS as usize }> = Array::new();
#[btf_map]
pub(crate) static RINGS: ArrayOfMaps<Array<RingValue, 1>, { MAX_RINGS as usize }> =
    ArrayOfMaps::new();
#[btf_map]
pub(crate) static CURSORS: PerCpuArray<u32, { MAX_VIPS as usize }> = PerCpuArray::new();

#[btf_map]
pub(crate) static FRAGS: LruHashMap<FragKey, FragValue, 8192> = LruHashMap::new();
#[btf_map]
pub(crate) static HOST_PEERS: Array<HostPeers, 1, MMAP> = Array::new();
#[btf_map]
pub(crate) static DROPS: PerCpuArray<u64, { DropReason::COUNT as usize }> = PerCpuArray::new();
#[btf_map]
pub(crate) static EVENTS: PerCpuArray<u64, { Event::COUNT as usize }> = PerCpuArray::new();
#[btf_map]
pub(crate) static VERDICT: Array<Verdict, 1, MMAP> = Array::new();

/// Whether this copy of the program only explains.
#[inline(always)]
pub(crate) fn dry_run() -> bool {
    DRY_RUN.load() != 0
}

/// The settings.
#[inline(always)]
pub(crate) fn config() -> Result<&'static KernelConfig, crate::Exit> {
    CONFIG.get(0).ok_or(crate::Exit::Drop(DropReason::Internal))
}
