//! The wrapper (`lb-ebpf/examples/bench.rs`) and what it calls.

use std::{fs, path::Path};

use anyhow::{Context, Result, anyhow, bail};
use aya::{
    Ebpf,
    maps::{Array, MapData, ProgramArray},
    programs::{ProgramFd, TestRun, TestRunOptions, Xdp},
};

use super::frame::{Frame, LEN};

/// Actions of XDP.
pub(crate) const DROP: u32 = 1;
pub(crate) const PASS: u32 = 2;
pub(crate) const TX: u32 = 3;
pub(crate) const REDIRECT: u32 = 4;

/// What the wrapper calls.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    /// The least that sends a frame back.
    Floor = 0,
    /// lb's XDP program.
    Balancer = 1,
}

/// Which frames.
#[derive(Clone, Copy)]
pub(crate) struct Traffic {
    pub(crate) frame: Frame,
    /// Number of the first flow.
    pub(crate) first: u32,
    /// Flows, a power of two; they take turns.
    pub(crate) flows: u32,
    /// Whether flows differ at all.
    pub(crate) varied: bool,
}

impl Traffic {
    /// The same frame each time.
    pub(crate) fn same(frame: Frame) -> Self {
        Self { frame, first: 0, flows: 1, varied: false }
    }

    /// Frames of so many flows in turn.
    pub(crate) fn of(frame: Frame, flows: u32) -> Self {
        Self { frame, first: 0, flows, varied: true }
    }
}

/// `Setup` of the object, as words: the frame, then two words each of which holds two numbers.
type Setup = [u64; LEN / 8 + 2];

/// The loaded wrapper.
pub(crate) struct Wrapper {
    wrapper: Ebpf,
    setup: Array<MapData, Setup>,
    _programs: ProgramArray<MapData>,
    /// MAC and index of each interface that frames come in by.
    interfaces: Vec<([u8; 6], u32)>,
}

impl Wrapper {
    /// Loads the object and puts `balancer` behind it. Frames come in by the interface with their
    /// MAC.
    pub(crate) fn load(
        object: &Path,
        balancer: &ProgramFd,
        interfaces: Vec<([u8; 6], u32)>,
    ) -> Result<Self> {
        let bytes = fs::read(object).with_context(|| object.display().to_string())?;
        let mut wrapper = Ebpf::load(&bytes).context("loading the wrapper")?;
        for name in ["wrapper", "floor"] {
            xdp(&mut wrapper, name)?.load().with_context(|| name.to_owned())?;
        }
        let map = wrapper.take_map("PROGRAMS").context("no map PROGRAMS")?;
        let mut programs = ProgramArray::try_from(map)?;
        let floor = xdp(&mut wrapper, "floor")?.fd()?.try_clone()?;
        programs.set(Program::Floor as u32, &floor, 0)?;
        programs
            .set(Program::Balancer as u32, balancer, 0)
            .context("calling lb from the wrapper")?;
        let setup = Array::try_from(wrapper.take_map("SETUP").context("no map SETUP")?)?;
        Ok(Self { interfaces, wrapper, setup, _programs: programs })
    }

    /// Sends `repeat` frames through a program: nanoseconds each, and the last one's action.
    pub(crate) fn run(
        &mut self,
        program: Program,
        traffic: &Traffic,
        repeat: u32,
    ) -> Result<(f64, u32)> {
        self.setup.set(0, setup(program, traffic), 0)?;
        let ctx = xdp_md(self.interface(&traffic.frame)?);
        let mut options = TestRunOptions::new();
        options.data_in = Some(&traffic.frame);
        options.ctx_in = Some(&ctx);
        options.repeat = repeat;
        let wrapper = xdp(&mut self.wrapper, "wrapper")?;
        let done = wrapper.test_run(options).map_err(|error| anyhow!("test-run: {error:?}"))?;
        if done.return_value == 0 {
            bail!("the wrapper could not call its program");
        }
        Ok((done.duration.as_nanos() as f64, done.return_value))
    }

    fn interface(&self, frame: &Frame) -> Result<u32> {
        let found = self.interfaces.iter().find(|(mac, _)| frame.starts_with(mac));
        found.map(|(_, ifindex)| *ifindex).context("no interface has the frame's MAC")
    }
}

/// `struct xdp_md`: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex.
fn xdp_md(ifindex: u32) -> Vec<u8> {
    [0, LEN as u32, 0, ifindex, 0, 0].into_iter().flat_map(u32::to_ne_bytes).collect()
}

fn setup(program: Program, traffic: &Traffic) -> Setup {
    let is_v6 = traffic.frame[12] == 0x86;
    let family: u64 = match (traffic.varied, is_v6) {
        (false, _) => 0,
        (true, false) => 4,
        (true, true) => 6,
    };
    let mut setup = Setup::default();
    for (word, bytes) in setup.iter_mut().zip(traffic.frame.chunks_exact(8)) {
        *word = u64::from_ne_bytes(bytes.try_into().expect("8 bytes"));
    }
    setup[LEN / 8] = u64::from(traffic.first) | u64::from(traffic.flows - 1) << 32;
    setup[LEN / 8 + 1] = program as u64 | family << 32;
    setup
}

fn xdp<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Xdp> {
    let program = ebpf.program_mut(name).with_context(|| format!("no program {name}"))?;
    Ok(program.try_into()?)
}
