//! Many instances that come and go all the time: what isn't touched never fails, what is touched is
//! followed, and memory stays bounded. `LB_CHURN=INSTANCES,SERVICES,SECONDS` sets the size.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use async_nats::jetstream::kv::Store;
use futures_util::{StreamExt, TryStreamExt, stream};
use lb_tests::{Daemon, Namespace, client::http1::Connection, link};

use super::{
    bucket::bucket,
    kit::{Nats, PATIENCE, ask, client_within},
};
use crate::l7::{
    kit::{WEB, World, origin_at},
    load::Load,
    watch::{memory, p99},
};

/// Services in the kernel: each has an entry point of its own.
const IN_KERNEL: usize = 20;
/// Services that nobody changes, under load.
const UNTOUCHED: usize = 10;
/// Changes a second; every tenth is one whose arrival is timed.
const CHANGES: usize = 100;

/// How much of everything.
struct Size {
    instances: usize,
    services: usize,
    seconds: usize,
}

impl Size {
    fn wanted() -> Result<Self> {
        let text = std::env::var("LB_CHURN").unwrap_or_else(|_| "600,60,10".to_owned());
        let mut parts = text.split(',').map(str::parse);
        let mut next =
            || parts.next().context("LB_CHURN=INSTANCES,SERVICES,SECONDS")?.context("a number");
        Ok(Self { instances: next()?, services: next()?, seconds: next()? })
    }

    /// Each service's share of the instances.
    fn each(&self) -> usize {
        (self.instances / self.services).max(1)
    }

    /// Whether the service of this number is one of the kernel's.
    fn is_in_kernel(&self, service: usize) -> bool {
        service + IN_KERNEL >= self.services
    }
}

fn config() -> String {
    let points: String = (0..=IN_KERNEL)
        .map(|n| format!("  k{n}: {{ address: \"10.250.0.1:{}\" }}\n", 7000 + n))
        .collect();
    format!(
        "providers: {{ nats: {{ servers: \"nats://127.0.0.1:4222\", bucket: lb }} }}\n\
         datapath: {{ interfaces: [far], mode: tc }}\n\
         entryPoints:\n  web: {{ address: \"{WEB}\" }}\n{points}"
    )
}

/// The net that the kernel's backends are in, behind one next hop: packets go only beyond an interface.
fn far(ns: &Namespace) -> Result<Namespace> {
    let far = Namespace::new("far")?;
    link::veth((ns, "far"), (&far, "near"))?;
    ns.ip("addr add 10.252.0.1/24 dev far")?;
    far.ip("addr add 10.252.0.2/24 dev near")?;
    ns.ip("route add 10.251.0.0/16 via 10.252.0.2")?;
    Ok(far)
}

/// An instance of an HTTP service `sN`, routed by the host `sN`.
pub(super) fn web(service: usize, address: &str, weight: usize) -> (String, String) {
    let tag = format!("traefik.http.routers.s{service}.rule=Host(`s{service}`)");
    let value = format!(
        "{{\"address\":\"{address}\",\"weight\":{weight},\"tags\":[\"{tag}\",\"traefik.http.routers.s{service}.entrypoints=web\"]}}"
    );
    (format!("s{service}"), value)
}

/// An instance of a service `kN` of the kernel.
fn packets(service: usize, address: &str, weight: usize) -> (String, String) {
    let tags = format!(
        "\"traefik.tcp.routers.k{service}.rule=HostSNI(`*`)\",\"traefik.tcp.routers.k{service}.entrypoints=k{service}\""
    );
    let value = format!("{{\"address\":\"{address}\",\"weight\":{weight},\"tags\":[{tags}]}}");
    (format!("k{service}"), value)
}

/// Service `service`'s instance `n`, as it is after so many changes.
fn instance(size: &Size, service: usize, n: usize, change: usize) -> (String, String) {
    let address = match service < UNTOUCHED {
        true => origin_at(n % 2).to_string(),
        false if size.is_in_kernel(service) => {
            format!("10.251.{}.{}:8000", 1 + change % 200, 1 + (service + n) % 200)
        }
        false => format!(
            "127.{}.{}.{}:8000",
            1 + change % 200,
            1 + service / 200,
            1 + (service + n) % 200
        ),
    };
    let weight = 1 + change % 7;
    let (name, value) = match size.is_in_kernel(service) {
        true => packets(size.services - 1 - service, &address, weight),
        false => web(service, &address, weight),
    };
    (format!("services/{name}/{n}"), value)
}

async fn seed(store: &Store, size: &Size) -> Result<()> {
    let all = (0..size.services).flat_map(|service| (0..size.each()).map(move |n| (service, n)));
    let puts = stream::iter(all.map(|(service, n)| async move {
        let (key, value) = instance(size, service, n, 0);
        store.put(key, value.into()).await.map(drop)
    }));
    puts.buffer_unordered(64).try_collect::<()>().await?;
    Ok(())
}

/// What follows a change of the one instance of a service, from before it is put.
struct Probe<'a> {
    store: &'a Store,
    daemon: &'a Daemon<'a>,
    connection: Connection,
}

impl Probe<'_> {
    /// Until requests go there.
    async fn by_requests(&mut self, change: usize) -> Result<Duration> {
        let (name, value) = web(9999, &origin_at(change % 2).to_string(), 1);
        let begun = Instant::now();
        self.store.put(format!("services/{name}/1"), value.into()).await?;
        let wanted = ["a", "b"][change % 2];
        loop {
            let answer = self.connection.get("/", &[("Host", "s9999")])?;
            if answer.header("x-server") == Some(wanted) {
                return Ok(begun.elapsed());
            }
            ensure!(begun.elapsed() < PATIENCE, "the proxy doesn't follow: {}", answer.status);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Until the kernel has it: what is told is in force.
    async fn by_kernel(&mut self, change: usize) -> Result<Duration> {
        let address = format!("10.251.201.{}:80", 1 + change % 8);
        let (name, value) = packets(IN_KERNEL, &address, 1);
        let begun = Instant::now();
        self.store.put(format!("services/{name}/1"), value.into()).await?;
        loop {
            let told = ask(self.daemon, &format!("GET /api/tcp/services/{name}@nats"), "")?;
            if told.contains(&address) {
                return Ok(begun.elapsed());
            }
            ensure!(begun.elapsed() < PATIENCE, "the kernel doesn't follow: {told}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// Changes at a steady pace until it is over; how many.
async fn churn(store: &Store, size: &Size, over: &AtomicBool) -> Result<usize> {
    let mut pace = tokio::time::interval(Duration::from_secs(1) / (CHANGES * 9 / 10) as u32);
    let mut change = 0;
    while !over.load(Ordering::Relaxed) {
        pace.tick().await;
        change += 1;
        let service = UNTOUCHED + fastrand::usize(..size.services - UNTOUCHED);
        let (key, value) = instance(size, service, fastrand::usize(..size.each()), change);
        match change % 10 {
            0 => store.delete(key).await?,
            _ => drop(store.put(key, value.into()).await?),
        }
    }
    Ok(change)
}

#[test]
fn what_changes_is_followed_and_what_doesnt_never_fails() -> Result<()> {
    const HOST: &[(&str, &str)] = &[("Host", "s3")];
    let size = Size::wanted()?;
    let world = World::new(2)?;
    let _far = far(&world.ns)?;
    let _nats = Nats::start(&world.ns)?;
    let daemon = Daemon::start(&world.ns, &config())?;
    let connection = world.connect()?;
    let patience = 5 * PATIENCE + Duration::from_secs(size.seconds as u64);
    client_within(&world.ns, patience, async |client| {
        let store = bucket(client).await?;
        seed(&store, &size).await?;
        let (last, value) = web(9999, &origin_at(0).to_string(), 1);
        store.put(format!("services/{last}/1"), value.into()).await?;
        let mut probe = Probe { store: &store, daemon: &daemon, connection };
        println!("seeded, and all in force {:?} later", probe.by_requests(1).await?);
        probe.by_kernel(1).await?;
        let router = ask(&daemon, &format!("GET /api/tcp/routers/k{IN_KERNEL}@nats"), "")?;
        ensure!(router.contains("\"datapath\":\"kernel\""), "not the kernel's: {router}");
        let before = memory(&daemon)?;
        let load = Load::asking(&world, 2, 2, HOST)?;
        let over = AtomicBool::new(false);
        let probing = async {
            let (mut proxy, mut kernel) = (Vec::new(), Vec::new());
            let begun = Instant::now();
            let mut pace = tokio::time::interval(Duration::from_secs(1) / (CHANGES / 10) as u32);
            for change in 0.. {
                pace.tick().await;
                match change % 2 {
                    0 => proxy.push(probe.by_requests(change / 2).await?),
                    _ => kernel.push(probe.by_kernel(change / 2).await?),
                }
                // On a machine that is busy otherwise one change may take all of that time.
                let is_over = begun.elapsed() > Duration::from_secs(size.seconds as u64);
                if is_over && !kernel.is_empty() {
                    break;
                }
            }
            over.store(true, Ordering::Relaxed);
            Ok::<_, anyhow::Error>((proxy, kernel))
        };
        let (told, changes) = tokio::try_join!(probing, churn(&store, &size, &over))?;
        let after = memory(&daemon)?;
        let tally = load.check()?;
        for (who, mut took) in [("proxy", told.0), ("kernel", told.1)] {
            took.sort();
            println!(
                "{who}: {} changes, median {:?}, p99 {:?}",
                took.len(),
                took[took.len() / 2],
                p99(&took)
            );
        }
        println!("{changes} other changes, {} requests, {before} to {after} KiB", tally.good());
        ensure!(after < before + before / 2 + 32_768, "memory grew from {before} to {after} KiB");
        Ok(())
    })
}
