//! Three tiny programs, loaded from their instructions: the one place of the
//! harness that calls bpf(2), so that it needs no eBPF library and no object file.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use anyhow::{Context, Result};

use crate::Namespace;

const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_LINK_CREATE: libc::c_long = 28;
const PROG_TYPE_SCHED_CLS: u32 = 3;
const PROG_TYPE_XDP: u32 = 6;
const ATTACH_XDP: u32 = 37;
const ATTACH_TCX_INGRESS: u32 = 46;
const ATTACH_TCX_EGRESS: u32 = 47;
const XDP_FLAGS_DRV_MODE: u32 = 4;
const SKB_VLAN_PUSH: u32 = 18;
const SKB_VLAN_POP: u32 = 19;
const EXIT: u64 = 0x95;
/// `mov r0, TCX_NEXT` (-1).
const TCX_NEXT: u64 = 0xffff_ffff_0000_00b7;

/// A program attached to an interface; detached on drop.
#[derive(Debug)]
pub struct Attached {
    _link: OwnedFd,
}

/// Passes everything by native XDP: what makes the far end of a veth receive
/// what XDP sends on the near one.
pub fn pass(ns: &Namespace, dev: &str) -> Result<Attached> {
    // mov w0, XDP_PASS
    attach(ns, dev, PROG_TYPE_XDP, ATTACH_XDP, XDP_FLAGS_DRV_MODE, &[0x0000_0002_0000_00b4, EXIT])
}

/// Tags what leaves (802.1Q, `id`) and untags what comes, as a VLAN device
/// does, on kernels that have none.
pub fn tag(ns: &Namespace, dev: &str, id: u16) -> Result<[Attached; 2]> {
    let push = [
        // mov r2, htons(ETH_P_8021Q); mov r3, id
        0x0000_0081_0000_02b7,
        0x0000_03b7 | u64::from(id) << 32,
        call(SKB_VLAN_PUSH),
        TCX_NEXT,
        EXIT,
    ];
    let pop = [call(SKB_VLAN_POP), TCX_NEXT, EXIT];
    Ok([
        attach(ns, dev, PROG_TYPE_SCHED_CLS, ATTACH_TCX_EGRESS, 0, &push)?,
        attach(ns, dev, PROG_TYPE_SCHED_CLS, ATTACH_TCX_INGRESS, 0, &pop)?,
    ])
}

fn call(helper: u32) -> u64 {
    0x85 | u64::from(helper) << 32
}

fn attach(
    ns: &Namespace,
    dev: &str,
    program_type: u32,
    attach_type: u32,
    flags: u32,
    instructions: &[u64],
) -> Result<Attached> {
    let ifindex = ns.ifindex(dev)?;
    let link = ns.run(|| {
        let program = load(program_type, instructions)?;
        // union bpf_attr for BPF_LINK_CREATE: program, interface, attach type, flags.
        let mut attr = [0u64; 16];
        attr[0] = program.as_raw_fd() as u64 | u64::from(ifindex) << 32;
        attr[1] = u64::from(attach_type) | u64::from(flags) << 32;
        bpf(BPF_LINK_CREATE, &attr)
    });
    let _link = link.with_context(|| format!("a program on {dev} of {}", ns.name()))?;
    Ok(Attached { _link })
}

fn load(program_type: u32, instructions: &[u64]) -> std::io::Result<OwnedFd> {
    // union bpf_attr for BPF_PROG_LOAD: type, count, instructions, licence.
    let mut attr = [0u64; 16];
    attr[0] = u64::from(program_type) | (instructions.len() as u64) << 32;
    attr[1] = instructions.as_ptr() as u64;
    attr[2] = c"GPL".as_ptr() as u64;
    bpf(BPF_PROG_LOAD, &attr)
}

fn bpf(command: libc::c_long, attr: &[u64; 16]) -> std::io::Result<OwnedFd> {
    // SAFETY: `attr` is as long as said; it and what it points to outlive the call.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, command, attr.as_ptr(), size_of_val(attr)) };
    if fd < 0 {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: both commands used return a new descriptor that nobody else holds.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}
