//! `control`: how long userspace takes to build tables and to plan and apply
//! changes, on the real maps.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use lb_tests::{Namespace, netns::unique_name, reaper};
use lb_userspace::{
    health,
    kernel::{Datapath, Paths, detach},
    model::{
        self, BackendId, BackendState, Dynamic, EntryPoint, Health, HealthCheck, Id, PathChoice,
        Place, Protocol, RouterConfig, Server, Service, Settings, Shared,
    },
    plan::{KernelFacts, KernelView, Lowered, Lowerer, NetView, NextHop, Plan, maglev},
    reconcile::{Event, Reconciler},
};

use crate::report::{Report, median};

const SERVICES: u32 = 1000;
const BACKENDS: u32 = 100;
/// Slots of a ring.
const RING: u32 = 65_537;

/// Milliseconds by step, in the order they come.
#[derive(Default)]
struct Times(Vec<(String, Vec<f64>)>);

impl Times {
    fn time<T>(&mut self, step: &str, work: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let done = work();
        let took = started.elapsed().as_secs_f64() * 1e3;
        match self.0.iter_mut().find(|(name, _)| name == step) {
            Some((_, times)) => times.push(took),
            None => self.0.push((step.to_owned(), vec![took])),
        }
        done
    }
}

/// Measures every step `rounds` times.
pub(crate) fn run(rounds: u32) -> Result<Report> {
    let ns = Namespace::new("control")?;
    let mut times = Times::default();
    for round in 1..=rounds {
        println!("round {round} of {rounds}");
        for backends in [100, 10_000] {
            let members: Vec<_> = (0..backends).map(member).collect();
            let ring = times.time(&format!("Maglev ring, {backends} backends"), || {
                maglev::ring(&members, RING)
            });
            ensure!(ring.len() == RING as usize, "a ring of {} slots", ring.len());
        }
        ns.run(|| changes(&mut times))?;
    }
    let row = |(step, times): (String, Vec<f64>)| (step, vec![median(times)]);
    Ok(Report {
        suite: "control",
        about: format!(
            "ms; {SERVICES} services of {BACKENDS} backends each; medians of {rounds} rounds"
        ),
        columns: vec!["ms"],
        rows: times.0.into_iter().map(row).collect(),
        marks: Vec::new(),
        notes: Vec::new(),
    })
}

/// A start, the first verdict on every backend, then one backend that goes down.
fn changes(times: &mut Times) -> Result<()> {
    let paths = Paths::new(&unique_name())?;
    let settings = settings();
    let _pins = Pins(&paths);
    let mut datapath = Datapath::open(&paths, &settings.datapath)?;
    let config = datapath.base_config()?;
    let facts = KernelFacts {
        choice_key: [1; 12],
        hash_key: config.hash_key,
        est_buckets: config.est_buckets,
        half_buckets: config.half_buckets,
        reply_buckets: config.reply_buckets,
        hz: config.hz,
        own_ports: health::PORTS,
    };
    let (net, mut view) = (network(), datapath.read_view()?);
    let (mut reconciler, mut lowerer) = (Reconciler::new(), Lowerer::default());
    let update = Event::Update { provider: "file".into(), dynamic: dynamic() };
    let fixed = Event::Static { settings: Box::new(settings), entry_points: points() };
    let all = (0..SERVICES).flat_map(|s| (0..BACKENDS).map(move |b| (s, b)));
    let up = all.map(|(service, backend)| verdict(service, backend, BackendState::Up));
    let down = verdict(SERVICES / 2, BACKENDS / 2, BackendState::Down);
    let steps = [
        ("start", vec![fixed, update]),
        ("all backends up", up.collect()),
        ("one backend down", vec![down]),
    ];
    for (step, events) in steps {
        let snapshot = times.time(&format!("{step}: reconcile"), || {
            reconciler.handle_all(events, Duration::from_secs(1))
        });
        let snapshot = snapshot.context("nothing changed")?;
        let mut lower = |view: &KernelView| lowerer.lower(&snapshot, &net, &facts, view);
        apply(times, step, &mut lower, &mut view, &mut datapath)?;
    }
    ensure!(view.backends.len() == (SERVICES * BACKENDS) as usize, "backends are missing");
    ensure!(view.rings.len() == SERVICES as usize, "{} rings", view.rings.len());
    Ok(())
}

fn apply(
    times: &mut Times,
    step: &str,
    lower: &mut dyn FnMut(&KernelView) -> Lowered,
    view: &mut KernelView,
    datapath: &mut Datapath,
) -> Result<()> {
    let lowered = times.time(&format!("{step}: lower"), || lower(view));
    ensure!(lowered.obstacles.is_empty(), "{:?}", lowered.obstacles.first());
    let plan = times.time(&format!("{step}: plan"), || Plan::between(view, &lowered.view));
    ensure!(!plan.is_empty(), "{step} changes nothing in the kernel");
    times.time(&format!("{step}: apply"), || plan.apply(datapath.sink()))?;
    *view = lowered.view;
    Ok(())
}

/// What is pinned, removed on drop.
struct Pins<'a>(&'a Paths);

impl Drop for Pins<'_> {
    fn drop(&mut self) {
        if let Err(error) = detach(self.0) {
            eprintln!("{} could not be detached: {error}", self.0.instance());
        }
        reaper::remove_instance(self.0.instance());
    }
}

fn settings() -> Settings {
    let datapath =
        model::Datapath { backends: 2 * SERVICES * BACKENDS, ..model::Datapath::default() };
    Settings { datapath, ..Settings::default() }
}

fn member(n: u32) -> maglev::Member {
    let address = SocketAddr::new(Ipv4Addr::from_bits(0x0a80_0000 + n).into(), 80);
    maglev::Member { identity: maglev::identity(address), weight: 1 + n % 3 }
}

/// Address of a backend.
fn address(service: u32, backend: u32) -> SocketAddr {
    let ip = Ipv4Addr::from_bits(0x0a00_0000 + service * 256 + backend + 1);
    SocketAddr::new(ip.into(), 8080)
}

fn name(service: u32) -> String {
    format!("s{service}")
}

fn id(service: u32) -> Id {
    Id::new(Protocol::Tcp, name(service), "file")
}

fn points() -> BTreeMap<String, EntryPoint> {
    let point = |service: u32| EntryPoint {
        name: name(service),
        ip: Some(IpAddr::from([198, 18, (service / 250) as u8, (service % 250 + 1) as u8])),
        port: 80,
        protocol: Protocol::Tcp,
        options: Default::default(),
    };
    (0..SERVICES).map(point).map(|point| (point.name.clone(), point)).collect()
}

fn dynamic() -> Dynamic {
    let router = |service| RouterConfig {
        id: id(service),
        entry_points: vec![name(service)],
        service: name(service),
        datapath: PathChoice::Kernel,
        priority: 0,
        rule: None,
        middlewares: Vec::new(),
        tls: None,
        observability: Default::default(),
        place: Place::default(),
    };
    Dynamic {
        routers: (0..SERVICES).map(router).map(Shared::from).collect(),
        services: (0..SERVICES).map(service).map(Shared::from).collect(),
        ..Dynamic::default()
    }
}

fn service(service: u32) -> Service {
    let server = |backend| Server {
        host: address(service, backend).ip().to_string(),
        port: address(service, backend).port(),
        weight: 1 + backend % 3,
        options: Default::default(),
    };
    Service {
        // Their verdicts come as events: one of them is what changes.
        health_check: Some(check()),
        servers: (0..BACKENDS).map(server).collect(),
        ..Service::new(id(service))
    }
}

fn check() -> HealthCheck {
    HealthCheck {
        kind: model::CheckKind::Tcp,
        interval: Duration::from_secs(10),
        unhealthy_interval: None,
        timeout: Duration::from_secs(2),
        rise: 2,
        fall: 2,
        port: None,
    }
}

fn verdict(service: u32, backend: u32, state: BackendState) -> Event {
    Event::Health {
        backend: BackendId { service: id(service), address: address(service, backend) },
        health: Health { state, ..Health::default() },
    }
}

fn network() -> NetView {
    let all = (0..SERVICES).flat_map(|service| (0..BACKENDS).map(move |b| address(service, b)));
    let hop = NextHop {
        ifindex: 1,
        vlan: 0,
        mac: Some([2, 0, 0, 0, 0, 1]),
        source_mac: [2, 0, 0, 0, 0, 2],
        mtu: 1500,
        source: Some(IpAddr::from([10, 255, 0, 1])),
    };
    NetView {
        next_hops: Arc::new(all.map(|address| (address.ip(), hop.clone())).collect()),
        host_ports: (32_768, 60_999),
        ..NetView::default()
    }
}
