//! `l4`: nanoseconds that a packet takes in lb's XDP program, by
//! BPF_PROG_TEST_RUN, beside the floor of a wrapped XDP_TX. Both are measured
//! in turn, so that what disturbs one disturbs the other.

mod flows;
mod frame;
mod world;
mod wrapper;

use std::path::Path;

use anyhow::{Context, Result, ensure};
use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};

use crate::report::{Mark, Report, median};
use frame::{ACK, FIN, L4, SYN};
use world::{CLIENT_MAC, FRONT_MAC, World};
use wrapper::{DROP, PASS, Program, REDIRECT, TX, Traffic, Wrapper};

/// Packets of one measurement.
const PACKETS: u32 = 200_000;
/// Packets at a time: the floor and lb take turns within a measurement too, since a machine's pace
/// may change within tenths of a second.
const SLICE: u32 = 20_000;
/// Packets of one measurement that begins flows in a table with room: all rounds together must
/// leave room among the half-open, who have a quarter of the table's places.
const PACKETS_WITH_ROOM: u32 = 10_000;
/// Flows of the larger cases.
const MANY: u32 = 1 << 16;
const MILLION: u32 = 1 << 20;
/// Numbers of the first flow that the table doesn't know: of the cases, and of the steps.
const FRESH: [u32; 2] = [1 << 24, 1 << 25];

/// One kind of traffic.
struct Case {
    name: &'static str,
    traffic: Traffic,
    /// How many packets make a measurement.
    packets: u32,
    /// What the program must return.
    action: u32,
    /// The most it may take, as a multiple of the floor.
    most: Option<f64>,
    floor: Vec<f64>,
    balancer: Vec<f64>,
}

impl Case {
    fn new(name: &'static str, traffic: Traffic, action: u32) -> Self {
        let (floor, balancer) = (Vec::new(), Vec::new());
        Self { name, traffic, packets: PACKETS, action, most: None, floor, balancer }
    }

    fn most(self, most: f64) -> Self {
        Self { most: Some(most), ..self }
    }

    fn floor(&self) -> Option<f64> {
        median(self.floor.clone())
    }

    fn balancer(&self) -> Option<f64> {
        median(self.balancer.clone())
    }

    /// The median of the ratios of each round.
    fn ratio(&self) -> Option<f64> {
        median(self.balancer.iter().zip(&self.floor).map(|(b, f)| b / f).collect())
    }

    fn measure(&mut self, wrapper: &mut Wrapper, round: u32) -> Result<()> {
        // Fresh flows go on where the last round ended.
        let first = self.traffic.first.wrapping_add(round.wrapping_mul(self.packets));
        let (mut floors, mut balancers, mut done) = (0.0, 0.0, 0);
        while done < self.packets {
            let packets = SLICE.min(self.packets - done);
            let traffic = Traffic { first: first.wrapping_add(done), ..self.traffic };
            let (floor, sent) = wrapper.run(Program::Floor, &traffic, packets)?;
            ensure!(sent == TX, "the floor's action is {sent}");
            let (balancer, action) = wrapper.run(Program::Balancer, &traffic, packets)?;
            ensure!(action == self.action, "{}: action {action}, not {}", self.name, self.action);
            floors += floor * f64::from(packets);
            balancers += balancer * f64::from(packets);
            done += packets;
        }
        let (floor, balancer) =
            (floors / f64::from(self.packets), balancers / f64::from(self.packets));
        if round > 0 {
            self.floor.push(floor);
            self.balancer.push(balancer);
        }
        Ok(())
    }
}

/// Measures every case `rounds` times.
pub(crate) fn run(rounds: u32) -> Result<Vec<Report>> {
    let object = std::env::var_os("LB_BENCH_OBJECT")
        .context("LB_BENCH_OBJECT names no wrapper: run `cargo xtask bench l4`")?;
    let ns = world::namespace()?;
    ns.run(|| {
        let mut cpu = CpuSet::new();
        cpu.set(1).or_else(|_| cpu.set(0))?;
        sched_setaffinity(Pid::from_raw(0), &cpu)?;
        let mut world = World::new(&ns)?;
        let mut wrapper = Wrapper::load(Path::new(&object), &world.program()?, world.interfaces())?;
        let mut cases = cases(&world, &mut wrapper)?;
        let mut steps = steps(&mut world, &mut wrapper)?;
        let empty = World::new(&ns)?;
        let mut roomy = Wrapper::load(Path::new(&object), &empty.program()?, empty.interfaces())?;
        let mut with_room = with_room(rounds);
        // Round 0 warms up caches, tables and branch predictors.
        for round in 0..=rounds {
            println!("round {round} of {rounds}");
            for case in cases.iter_mut().chain(&mut steps) {
                case.measure(&mut wrapper, round)?;
            }
            with_room.measure(&mut roomy, round)?;
        }
        let after = cases.iter().position(|case| case.name == FULL).map_or(0, |at| at + 1);
        cases.insert(after, with_room);
        Ok(vec![report(&cases, rounds), breakdown(&steps, rounds)])
    })
}

fn cases(world: &World, wrapper: &mut Wrapper) -> Result<Vec<Case>> {
    let tcp = flows::establish(world, wrapper, &world::TCP, MILLION)?;
    flows::establish(world, wrapper, &world::UDP, 1)?;
    flows::establish(world, wrapper, &world::TCP6, 1)?;
    let data = flows::data(&world::TCP);
    Ok(vec![
        Case::new("TCP, 1 flow", Traffic::of(data, 1), REDIRECT).most(4.0),
        Case::new("TCP, 64k flows", Traffic::of(data, MANY), REDIRECT),
        Case::new("TCP, 1M flows", Traffic::of(data, MILLION), REDIRECT).most(12.0),
        Case::new(FULL, fresh(&world::TCP, FRESH[0]), REDIRECT).most(14.0),
        Case::new("TCP, reply, 1 flow", Traffic::same(flows::reply(&tcp)), REDIRECT),
        Case::new("UDP, 1 flow", Traffic::of(flows::data(&world::UDP), 1), REDIRECT),
        Case::new("TCP over IPv6, 1 flow", Traffic::of(flows::data(&world::TCP6), 1), REDIRECT),
        Case::new("not a VIP, passed", Traffic::same(stranger()), PASS).most(2.0),
    ])
}

/// Traffic that leaves the program at one place after the other.
fn steps(world: &mut World, wrapper: &mut Wrapper) -> Result<Vec<Case>> {
    flows::establish(world, wrapper, &world::LOST, 1)?;
    world.lose_next_hops()?;
    let flags = flows::from_client(&world::TCP, L4::Tcp(SYN | FIN, 1, 0));
    let arp = frame::arp([FRONT_MAC, CLIENT_MAC]);
    Ok(vec![
        Case::new("in and out: no IP packet", Traffic::same(arp), PASS),
        Case::new("and headers, VIP found: impossible flags", Traffic::of(flags, 1), DROP),
        Case::new("and flow found: no next hop", Traffic::of(flows::data(&world::LOST), 1), DROP),
        Case::new("and all the rest: sent", Traffic::of(flows::data(&world::TCP), 1), REDIRECT),
        Case::new("new flow, no backend", fresh(&world::EMPTY, FRESH[1]), DROP),
        Case::new("and backend chosen: no next hop", fresh(&world::UNRESOLVED, FRESH[1]), DROP),
        Case::new("and slot, NAT port, all the rest: sent", fresh(&world::TCP, FRESH[1]), REDIRECT),
    ])
}

/// A SYN of another client each time.
fn fresh(service: &world::Service, first: u32) -> Traffic {
    Traffic { first, ..Traffic::of(flows::first(service), 1 << 31) }
}

/// The name of the case whose flows meet a table of 1M established ones and no room among the
/// half-open: each of them drives out another.
const FULL: &str = "TCP, fresh flow each packet, table full";

/// As [`FULL`] in a table that holds nothing else.
fn with_room(rounds: u32) -> Case {
    let name = "TCP, fresh flow each packet, table with room";
    let case = Case::new(name, fresh(&world::TCP, FRESH[0]), REDIRECT);
    let room = world::CONNECTIONS / 4;
    Case { packets: PACKETS_WITH_ROOM.min(room / (rounds + 1)), ..case }
}

/// What is not for lb.
fn stranger() -> frame::Frame {
    let [client, host] = ["192.0.2.2:40000", "192.0.2.1:22"];
    let parse = |text: &str| text.parse().expect("an address and port");
    frame::ip([FRONT_MAC, CLIENT_MAC], parse(client), parse(host), L4::Tcp(ACK, 1, 1))
}

fn report(cases: &[Case], rounds: u32) -> Report {
    let mark = |case: &Case| {
        Some(Mark { what: case.name.to_owned(), value: case.ratio()?, most: case.most? })
    };
    Report {
        suite: "l4",
        about: format!(
            "ns a packet in lb's XDP program, full NAT, {} backends; medians of {rounds} rounds of {PACKETS} packets",
            world::BACKENDS
        ),
        columns: vec!["floor", "lb", "ratio"],
        rows: cases
            .iter()
            .map(|c| (c.name.to_owned(), vec![c.floor(), c.balancer(), c.ratio()]))
            .collect(),
        marks: cases.iter().filter_map(mark).collect(),
        notes: Vec::new(),
    }
}

/// What each step adds to the one before.
fn breakdown(steps: &[Case], rounds: u32) -> Report {
    let above = |case: &Case| Some(case.balancer()? - case.floor()?);
    let mut before = None;
    let rows = steps.iter().map(|case| {
        let (now, last) = (above(case), std::mem::replace(&mut before, above(case)));
        // A new flow starts from where the flow was looked up.
        let adds =
            if case.name.starts_with("and") { now.zip(last).map(|(n, l)| n - l) } else { now };
        (case.name.to_owned(), vec![now, adds])
    });
    Report {
        suite: "l4-steps",
        about: format!(
            "ns above the floor at each way out of the program; medians of {rounds} rounds"
        ),
        columns: vec!["above floor", "step adds"],
        rows: rows.collect(),
        marks: Vec::new(),
        notes: Vec::new(),
    }
}
