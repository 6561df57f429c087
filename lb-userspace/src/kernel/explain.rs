//! `lb explain l4`: the programs themselves, run once on a packet made for the
//! question. The copy that is run is built from the same object over the same
//! maps, with the constant `DRY_RUN`: it decides and writes nothing but its verdict.

use std::net::SocketAddr;

use aya::{
    Ebpf, TestRun, TestRunOptions,
    maps::{Array, MapData},
};
use lb_common::{BackendEntry, IfaceEntry, Verdict, VipEntry, backend::IFACE_SLOTS, maps};

use super::{
    Datapath, Paths,
    attach::{self, Hook},
    error::{KernelError as E, Result},
    load::{self, Copy},
    packet::{self, ACK, SYN},
    pins, sys,
};

/// `struct xdp_md` as `BPF_PROG_TEST_RUN` takes it: the packet's bounds and where it came in.
const XDP_CONTEXT: usize = 24;
/// Offset of `xdp_md.data_end`.
const DATA_END: usize = 4;
/// Offset of `xdp_md.ingress_ifindex`.
const XDP_IFINDEX: usize = 12;
/// Bytes of `struct __sk_buff` up to and with `ifindex`.
const SKB_CONTEXT: usize = 192;
/// Offset of `__sk_buff.ifindex`.
const SKB_IFINDEX: usize = 40;

/// A packet to ask about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// IP protocol, 6 or 17.
    pub proto: u8,
    /// Where it comes from.
    pub src: SocketAddr,
    /// Where it goes, of the same family.
    pub dst: SocketAddr,
    /// Index of the interface it comes in by; the first one that lb is attached to where `None`.
    pub ifindex: Option<u32>,
}

/// What the programs decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// In the programs' own words.
    pub verdict: Verdict,
    /// The VIP with its id, if one matched.
    pub vip: Option<(u32, VipEntry)>,
    /// The backend with its id, if one was found.
    pub backend: Option<(u32, BackendEntry)>,
    /// Address and port towards the backend.
    pub nat: Option<SocketAddr>,
    /// The program that was run: `lb_xdp` or `lb_tc`.
    pub program: &'static str,
    /// Index of the interface it was run for, 0 when lb is attached to none.
    pub ifindex: u32,
}

/// Runs the programs dry.
pub struct Explainer {
    paths: Paths,
    ebpf: Ebpf,
    /// Programs that were run before.
    loaded: Vec<&'static str>,
    verdict: Array<MapData, Verdict>,
    vips: Array<MapData, VipEntry>,
    backends: Array<MapData, BackendEntry>,
    ifaces: Array<MapData, IfaceEntry>,
}

impl std::fmt::Debug for Explainer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Explainer").field("paths", &self.paths).finish_non_exhaustive()
    }
}

impl Explainer {
    /// Prepares the copy over the maps of `datapath`. Worth keeping: the first question to each
    /// program takes the verifier's time, the next ones microseconds.
    ///
    /// # Errors
    /// The object can't be loaded or the maps can't be opened.
    pub fn load(datapath: &Datapath) -> Result<Self> {
        let pins = &datapath.pins;
        Ok(Self {
            paths: datapath.paths().clone(),
            ebpf: load::load(pins, &datapath.layout, Copy::Explain)?,
            loaded: Vec::new(),
            verdict: pins::array(pins, maps::VERDICT)?,
            vips: pins::array(pins, maps::VIPS)?,
            backends: pins::array(pins, maps::BACKENDS)?,
            ifaces: pins::array(pins, maps::IFACES)?,
        })
    }

    /// What would become of a packet. A TCP question is one about a SYN, unless its flow is
    /// known already. Blocks.
    ///
    /// # Errors
    /// Addresses of two families, or the kernel refuses the run.
    pub fn explain(&mut self, question: &Question) -> Result<Answer> {
        let (src, dst) = (question.src, question.dst);
        if src.is_ipv4() != dst.is_ipv4() {
            return Err(E::Internal(format!("{src} and {dst} are of two address families")));
        }
        let (program, ifindex) = self.choose(question.ifindex)?;
        let verdict = match question.proto {
            6 => {
                let new = self.run(program, ifindex, &packet::tcp(src, dst, SYN))?;
                match new.flow {
                    0 => new,
                    _ => self.run(program, ifindex, &packet::tcp(src, dst, ACK))?,
                }
            }
            17 => self.run(program, ifindex, &packet::udp(src, dst))?,
            other => return Err(E::Internal(format!("protocol {other} is neither TCP nor UDP"))),
        };
        self.answer(verdict, program, ifindex)
    }

    /// The program that packets of the interface meet first.
    fn choose(&self, wanted: Option<u32>) -> Result<(&'static str, u32)> {
        let links = attach::pinned(&self.paths)?;
        let ifindex = wanted.or(links.first().map(|link| link.ifindex)).unwrap_or(0);
        let is_xdp = links.iter().any(|link| link.ifindex == ifindex && link.hook != Hook::Tc);
        Ok((if is_xdp { load::XDP } else { load::TC }, ifindex))
    }

    fn run(&mut self, program: &'static str, ifindex: u32, packet: &[u8]) -> Result<Verdict> {
        if !self.loaded.contains(&program) {
            load::load_program(program, load::program(&mut self.ebpf, program)?)?;
            self.loaded.push(program);
        }
        let clean = Verdict::default();
        self.verdict.set(0, clean, sys::ANY).map_err(E::aya_map(maps::VERDICT, "write of 0"))?;
        let frame = packet::frame(self.mac(ifindex), packet);
        let context = context(program, ifindex, frame.len());
        let options = TestRunOptions {
            data_in: Some(&frame),
            ctx_in: (ifindex != 0).then_some(&context[..]),
            ..TestRunOptions::new()
        };
        let ran = match program {
            load::XDP => load::xdp(&mut self.ebpf, load::XDP)?.test_run(options),
            _ => load::tc(&mut self.ebpf)?.test_run(options),
        };
        ran.map_err(E::program(program))?;
        self.verdict.get(&0, 0).map_err(E::aya_map(maps::VERDICT, "read of 0"))
    }

    /// The address that packets to the interface bear.
    fn mac(&self, ifindex: u32) -> [u8; 6] {
        (0..IFACE_SLOTS)
            .filter_map(|slot| self.ifaces.get(&slot, 0).ok())
            .find(|entry| entry.ifindex == ifindex)
            .map_or([0; 6], |entry| entry.mac)
    }

    fn answer(&self, verdict: Verdict, program: &'static str, ifindex: u32) -> Result<Answer> {
        let vip = match verdict.vip.checked_sub(1) {
            Some(id) => Some((id, self.vips.get(&id, 0).map_err(E::aya_map(maps::VIPS, "read"))?)),
            None => None,
        };
        let backend = match verdict.backend.checked_sub(1) {
            Some(id) => {
                Some((id, self.backends.get(&id, 0).map_err(E::aya_map(maps::BACKENDS, "read"))?))
            }
            None => None,
        };
        let nat = (verdict.nat_port != 0)
            .then(|| super::flows::socket(&verdict.nat, verdict.nat_port as u16));
        Ok(Answer { verdict, vip, backend, nat, program, ifindex })
    }
}

/// The context of a test-run: where the packet came in.
fn context(program: &str, ifindex: u32, length: usize) -> Vec<u8> {
    let mut put: Vec<(usize, u32)> = Vec::new();
    let size = if program == load::XDP {
        put.extend([(DATA_END, length as u32), (XDP_IFINDEX, ifindex)]);
        XDP_CONTEXT
    } else {
        put.push((SKB_IFINDEX, ifindex));
        SKB_CONTEXT
    };
    let mut context = vec![0; size];
    for (at, word) in put {
        context[at..at + 4].copy_from_slice(&word.to_ne_bytes());
    }
    context
}
