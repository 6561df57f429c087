//! Flows of real connections, as the daemon reads, sweeps and ends them.

use std::{
    collections::BTreeSet,
    io::{ErrorKind, Read},
    net::SocketAddr,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use lb_common::{BackendEntry, Event, KernelConfig, TcpState, backend::flags};
use lb_tests::{
    Lab, Shape,
    client::{tcp::Echo, udp::Pinger},
    server::{self, TcpServer, UdpEcho},
};
use lb_userspace::{
    kernel::{Datapath, FlowFilter, Pass, Sweeper, poke},
    plan::{KernelView, MapSink, Op},
};

use super::kit::{Instance, apply, attach, lab_view, small};

/// The port of the VIP and of the servers.
const PORT: u16 = 7000;

/// A lab with the kernel path on it and echo servers behind.
pub(super) struct Setup {
    pub(super) datapath: Datapath,
    pub(super) view: KernelView,
    pub(super) instance: Instance,
    _tcp: Vec<TcpServer>,
    _udp: Vec<UdpEcho>,
    pub(super) lab: Lab,
}

impl Setup {
    pub(super) fn new(backends: usize) -> Result<Self> {
        let lab = Lab::new(Shape { backends, ..Shape::default() })?;
        let instance = Instance::new();
        let mut datapath = instance.open(&small())?;
        let view = lab_view(&lab, &datapath, PORT)?;
        apply(&mut datapath, &view)?;
        attach(&lab, &mut datapath)?;
        let (mut tcp, mut udp) = (Vec::new(), Vec::new());
        for host in &lab.backends {
            tcp.push(server::echo::start(&host.ns, host.at(PORT), &host.name)?);
            udp.push(UdpEcho::start(&host.ns, host.at(PORT), &host.name)?);
        }
        Ok(Self { datapath, view, instance, _tcp: tcp, _udp: udp, lab })
    }

    pub(super) fn connect(&self) -> Result<Echo> {
        self.lab.client.run(|| Echo::connect(self.lab.vip(PORT)))
    }

    fn set_config(&mut self, change: impl FnOnce(&mut KernelConfig)) -> Result<()> {
        change(&mut self.view.config);
        self.datapath.sink().apply(&Op::Config(self.view.config))
    }

    /// One pass over the whole table.
    fn sweep(&self, sweeper: &mut Sweeper) -> Result<Pass> {
        loop {
            if let Some(pass) = sweeper.step()? {
                return Ok(pass);
            }
        }
    }
}

/// Waits for `holds`, 5 s at most.
pub(super) fn eventually(what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let start = Instant::now();
    while !holds()? {
        ensure!(start.elapsed() < Duration::from_secs(5), "not within 5 s: {what}");
        sleep(Duration::from_millis(10));
    }
    Ok(())
}

#[test]
fn a_connection_is_listed_with_all_its_ends() -> Result<()> {
    let setup = Setup::new(2)?;
    let mut echo = setup.connect()?;
    echo.ping(b"hello")?;
    let flows = setup.datapath.reader().flows(&FlowFilter::default())?;
    assert_eq!(flows.len(), 1, "{flows:?}");
    let flow = &flows[0];
    assert_eq!(
        (flow.proto, flow.client, flow.vip),
        (6, echo.stream.local_addr()?, echo.stream.peer_addr()?)
    );
    assert_eq!((flow.state, flow.service), (TcpState::Established, 5));
    let host = &setup.lab.backends[flow.backend_id as usize];
    assert_eq!((flow.backend, &echo.server), (host.at(PORT), &host.name));
    assert_eq!(flow.nat, SocketAddr::new(setup.lab.source(), flow.client.port()));
    Ok(())
}

#[test]
fn a_filter_lists_only_what_it_lets_through() -> Result<()> {
    let setup = Setup::new(2)?;
    let echoes: Vec<Echo> = (0..20).map(|_| setup.connect()).collect::<Result<_>>()?;
    let reader = setup.datapath.reader();
    let client = echoes[7].stream.local_addr()?;
    let one = FlowFilter { client_port: Some(client.port()), ..FlowFilter::default() };
    let found = reader.flows(&one)?;
    assert_eq!(found.iter().map(|flow| flow.client).collect::<Vec<_>>(), [client]);
    let limited = FlowFilter { limit: 5, ..FlowFilter::default() };
    assert_eq!(reader.flows(&limited)?.len(), 5);
    let host = setup.lab.backends[0].at(PORT);
    let on_first = FlowFilter {
        backend: Some(host.ip()),
        backend_port: Some(host.port()),
        ..FlowFilter::default()
    };
    let expected = echoes.iter().filter(|echo| echo.server == "b1").count();
    assert_eq!(reader.flows(&on_first)?.len(), expected);
    assert_eq!(reader.flows_by_backend().values().sum::<u64>(), 20);
    Ok(())
}

#[test]
fn connections_packets_and_bytes_are_counted_by_backend() -> Result<()> {
    let setup = Setup::new(2)?;
    for _ in 0..10 {
        setup.lab.client.run(|| -> Result<()> {
            let mut echo = Echo::connect(setup.lab.vip(PORT))?;
            echo.ping(&[7; 1000])?;
            echo.close()
        })?;
    }
    let stats = setup.datapath.reader().stats(0..4)?;
    let tcp: Vec<_> = (0..2).map(|id| stats.backends[&id]).collect();
    assert_eq!(tcp.iter().map(|b| b.total.connections).sum::<u64>(), 10);
    assert!(tcp.iter().map(|b| b.total.bytes).sum::<u64>() > 10_000);
    assert!(tcp.iter().map(|b| b.total.reply_bytes).sum::<u64>() > 10_000);
    assert_eq!(stats.backends[&2].total.packets, 0);
    let of = |event| stats.events.iter().find(|(e, _)| *e == event).map(|(_, n)| *n);
    assert_eq!(of(Event::Established), Some(10));
    assert_eq!(stats.drops.iter().map(|(_, n)| n).sum::<u64>(), 0, "{:?}", stats.drops);
    assert_eq!(stats.established + stats.half_open, 10);
    assert_eq!((stats.established_slots, stats.half_open_slots), (512 * 16, 128 * 16));
    Ok(())
}

#[test]
fn active_connections_follow_open_and_close() -> Result<()> {
    let mut setup = Setup::new(1)?;
    let reader = setup.datapath.reader();
    let echoes: Vec<Echo> = (0..5).map(|_| setup.connect()).collect::<Result<_>>()?;
    assert_eq!(reader.active(0), 5);
    for echo in echoes {
        echo.close()?;
    }
    setup.set_config(|config| config.tcp_closed = 0)?;
    let mut sweeper = Sweeper::new(setup.datapath.reader());
    eventually("no active flows", || {
        setup.sweep(&mut sweeper)?;
        Ok(reader.active(0) == 0)
    })?;
    assert_eq!(setup.sweep(&mut sweeper)?, Pass::default());
    Ok(())
}

#[test]
fn idle_flows_are_swept_and_busy_ones_stay() -> Result<()> {
    let mut setup = Setup::new(1)?;
    let hz = setup.view.config.hz;
    let _idle = setup.connect()?;
    let mut busy = setup.connect()?;
    let mut sweeper = Sweeper::new(setup.datapath.reader());
    let pass = setup.sweep(&mut sweeper)?;
    assert_eq!((pass.flows.get(&0), pass.expired, pass.established), (Some(&2), 0, 2));
    setup.set_config(|config| config.tcp_established = 2 * hz)?;
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(4) {
        busy.ping(b"still here")?;
        sleep(Duration::from_millis(100));
    }
    let pass = setup.sweep(&mut sweeper)?;
    assert_eq!((pass.flows.get(&0), pass.expired), (Some(&1), 1), "{pass:?}");
    let left = setup.datapath.reader().flows(&FlowFilter::default())?;
    assert_eq!(left.iter().map(|f| f.client).collect::<Vec<_>>(), [busy.stream.local_addr()?]);
    assert_eq!(setup.datapath.reader().active(0), 1);
    busy.ping(b"after the sweep")
}

#[test]
fn a_swept_client_port_can_be_used_again() -> Result<()> {
    let mut setup = Setup::new(1)?;
    let vip = setup.lab.vip(PORT);
    let pinger = setup.lab.client.run(|| Pinger::new(vip))?;
    pinger.ping(b"one")?;
    setup.set_config(|config| config.udp = 0)?;
    let mut sweeper = Sweeper::new(setup.datapath.reader());
    assert_eq!(setup.sweep(&mut sweeper)?.expired, 1);
    assert_eq!(setup.datapath.reader().flows(&FlowFilter::default())?, []);
    setup.set_config(|config| config.udp = 1_000_000)?;
    pinger.ping(b"two")?;
    let flows = setup.datapath.reader().flows(&FlowFilter::default())?;
    assert_eq!(flows.len(), 1);
    assert_eq!(flows[0].nat.port(), flows[0].client.port());
    Ok(())
}

#[test]
fn an_id_used_again_takes_no_flows_of_the_one_before() -> Result<()> {
    let mut setup = Setup::new(1)?;
    let mut echo = setup.connect()?;
    echo.ping(b"before")?;
    let entry = setup.view.backends[&0];
    let sink = setup.datapath.sink();
    sink.apply(&Op::DropBackend(0))?;
    sink.apply(&Op::Backend(0, BackendEntry { service: 9, ..entry }))?;
    assert_eq!(setup.datapath.reader().flows(&FlowFilter::default())?, []);
    assert_eq!(setup.datapath.reader().active(0), 0);
    Ok(())
}

#[test]
fn an_id_that_changes_its_address_takes_no_flows_along() -> Result<()> {
    let mut setup = Setup::new(1)?;
    let mut echo = setup.connect()?;
    echo.ping(b"before")?;
    let entry = setup.view.backends[&0];
    let weighted = BackendEntry { weight: 7, ..entry };
    setup.datapath.sink().apply(&Op::Backend(0, weighted))?;
    assert_eq!(setup.datapath.reader().flows(&FlowFilter::default())?.len(), 1);
    let moved = BackendEntry { port: 9999u16.to_be(), ..entry };
    setup.datapath.sink().apply(&Op::Backend(0, moved))?;
    assert_eq!(setup.datapath.reader().flows(&FlowFilter::default())?, []);
    assert_eq!(setup.datapath.reader().active(0), 0);
    Ok(())
}

#[test]
fn an_idle_client_of_a_dead_backend_is_reset() -> Result<()> {
    let mut setup = Setup::new(1)?;
    let mut echo = setup.connect()?;
    echo.ping(b"before")?;
    // The client's last acknowledgement is delayed by up to 40 ms (RFC 9293 §3.8.6.3): answered
    // with RST, it would tell the client before the poke does.
    sleep(Duration::from_millis(200));
    setup.lab.backends[0].cut()?;
    let entry = setup.view.backends[&0];
    let dead = flags::DOWN | flags::RESET;
    let down = BackendEntry { flags: entry.flags | dead, ..entry };
    setup.datapath.sink().apply(&Op::Backend(0, down))?;
    // The client reads, and nothing will ever come.
    let reader = setup.datapath.reader();
    let poked = setup.lab.lb.run(|| poke::reset_flows(&reader, &BTreeSet::from([0])))?;
    assert_eq!(poked, 1);
    let end = echo.stream.read(&mut [0; 1]).err().context("the connection ended in order")?;
    assert_eq!(end.kind(), ErrorKind::ConnectionReset, "{end}");
    Ok(())
}

#[test]
fn only_flows_of_the_named_backends_are_poked() -> Result<()> {
    let setup = Setup::new(1)?;
    let mut echo = setup.connect()?;
    let reader = setup.datapath.reader();
    let poked = setup.lab.lb.run(|| poke::reset_flows(&reader, &BTreeSet::from([1, 2])))?;
    assert_eq!(poked, 0);
    // Even one that is poked goes on while its backend is not marked.
    let poked = setup.lab.lb.run(|| poke::reset_flows(&reader, &BTreeSet::from([0])))?;
    assert_eq!(poked, 1);
    echo.ping(b"unharmed")
}
