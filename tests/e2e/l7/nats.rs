//! Three real NATS servers behind one TCP service, by the kernel and through the proxy.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    future::Future,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, ensure};
use async_nats::{
    Client, ConnectOptions, Subscriber,
    jetstream::{self, consumer::PullConsumer, stream},
};
use futures_util::StreamExt;
use lb_tests::{Daemon, Lab, Shape, client::http1::Connection, engine, lab::Host};
use serde_json::Value;
use tempfile::TempDir;

use super::kit::PATIENCE;

/// Clients of the cluster.
const CLIENTS: usize = 12;

/// One server of the cluster, ended on drop.
struct Server<'a> {
    host: &'a Host,
    process: Child,
    _folder: TempDir,
}

impl<'a> Server<'a> {
    fn start(host: &'a Host, all: &[Host]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let (name, ip, store) = (&host.name, host.v4, folder.path().display());
        let routes: Vec<String> =
            all.iter().map(|other| format!("\"nats-route://{}:6222\"", other.v4)).collect();
        let routes = routes.join(", ");
        let config = format!(
            "server_name: {name}\nlisten: \"{ip}:4222\"\nhttp: \"{ip}:8222\"\n\
             jetstream {{ store_dir: \"{store}/js\", max_mem: 64M, max_file: 256M }}\n\
             cluster {{ name: lb, listen: \"{ip}:6222\", no_advertise: true, routes: [ {routes} ] }}\n"
        );
        fs::write(folder.path().join("nats.conf"), config)?;
        let mut command = Command::new(engine::program("nats-server"));
        command.arg("-c").arg(folder.path().join("nats.conf"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self { host, process: host.ns.start(&mut command)?, _folder: folder })
    }

    /// What its monitoring port says.
    fn monitor(&self, lab: &Lab, path: &str) -> Result<Value> {
        let address = self.host.at(8222);
        let answer = lab.lb.run(|| Connection::open(address)?.get(path, &[]))?;
        Ok(serde_json::from_slice(&answer.body)?)
    }

    fn kill(&mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        let _ended = self.kill();
    }
}

/// Servers that know each other, and lb before them.
struct World<'a> {
    lab: &'a Lab,
    servers: Vec<Server<'a>>,
    daemon: Daemon<'a>,
}

impl<'a> World<'a> {
    fn start(lab: &'a Lab, datapath: &str) -> Result<Self> {
        let servers = lab.backends.iter().map(|host| Server::start(host, &lab.backends));
        let servers = servers.collect::<Result<Vec<_>>>()?;
        let addresses: Vec<String> = lab
            .backends
            .iter()
            .map(|host| format!("{{ address: \"{}:4222\" }}", host.v4))
            .collect();
        let config = format!(
            "datapath: {{ interfaces: [eth0, eth1], connections: 8192, backends: 256 }}\n\
             entryPoints: {{ nats: {{ address: \"198.51.100.10:4222\" }} }}\n\
             tcp:\n  routers: {{ nats: {{ entryPoints: [nats], rule: \"HostSNI(`*`)\", service: nats, \
             datapath: {datapath} }} }}\n  services: {{ nats: {{ loadBalancer: {{ algorithm: roundRobin, \
             healthCheck: {{ interval: 200ms, timeout: 1s, fall: 2, rise: 1 }}, onDown: reset, \
             servers: [ {} ] }} }} }}\n",
            addresses.join(", ")
        );
        let daemon = Daemon::start(&lab.lb, &config)?;
        let world = Self { lab, servers, daemon };
        world.wait_for("three servers are up", |world| Ok(world.up()? == 3))?;
        world.wait_for("each server has two routes", |world| {
            let routes = world.servers.iter().map(|server| server.monitor(lab, "/routez"));
            let routes = routes.collect::<Result<Vec<_>>>().unwrap_or_default();
            Ok(routes.len() == 3 && routes.iter().all(|one| one["num_routes"].as_u64() >= Some(2)))
        })?;
        Ok(world)
    }

    fn up(&self) -> Result<usize> {
        let rows = self.daemon.json(&["backends"])?;
        let rows = rows.as_array().context("rows")?;
        Ok(rows.iter().filter(|row| row["state"] == "up" && row["obstacle"].is_null()).count())
    }

    fn wait_for(&self, what: &str, wanted: impl Fn(&Self) -> Result<bool>) -> Result<()> {
        self.daemon.wait_for(what, PATIENCE, |_| wanted(self))
    }

    /// Client connections by server, as the servers themselves count them.
    fn connections(&self) -> Result<BTreeMap<String, u64>> {
        let mut counts = BTreeMap::new();
        for server in &self.servers {
            // One that was killed says nothing.
            let Ok(all) = server.monitor(self.lab, "/connz?limit=1024") else { continue };
            let named = all["connections"].as_array().into_iter().flatten();
            let count = named.filter(|one| one["name"] == "client").count();
            counts.insert(server.host.name.clone(), count as u64);
        }
        Ok(counts)
    }
}

async fn connect() -> Result<Client> {
    let options = ConnectOptions::new().name("client").ignore_discovered_servers();
    let options = options.connection_timeout(Duration::from_secs(10));
    Ok(options.connect("nats://198.51.100.10:4222").await?)
}

/// Does it again and again until it works.
async fn until<T, F: Future<Output = Result<T>>>(what: &str, act: impl Fn() -> F) -> Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let attempt = tokio::time::timeout(Duration::from_secs(5), act()).await;
        match attempt.unwrap_or_else(|late| Err(late.into())) {
            Ok(done) => return Ok(done),
            Err(error) if Instant::now() > deadline => return Err(error.context(what.to_owned())),
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Whoever listens to everything hears what anybody says, whichever server they are at.
async fn everything_is_heard(clients: &[Client], topic: &str) -> Result<()> {
    let mut all = clients[0].subscribe(">").await?;
    let wanted: BTreeSet<String> = (1..CLIENTS).map(|n| format!("{topic}.from.{n}")).collect();
    let mut heard = BTreeSet::new();
    let deadline = Instant::now() + PATIENCE;
    while !wanted.is_subset(&heard) {
        ensure!(Instant::now() < deadline, "heard {heard:?} of {wanted:?}");
        // Said again: an interest takes a moment to be known on the other servers.
        for subject in &wanted {
            let number: usize = subject.rsplit('.').next().unwrap_or_default().parse()?;
            clients[number].publish(subject.clone(), "word".into()).await?;
        }
        while let Ok(message) = tokio::time::timeout(Duration::from_millis(300), all.next()).await {
            heard.insert(message.context("unsubscribed")?.subject.to_string());
        }
    }
    Ok(())
}

async fn a_question_is_answered(clients: &[Client], topic: &str) -> Result<()> {
    let subject = format!("{topic}.square");
    let mut questions = clients[2].subscribe(subject.clone()).await?;
    let answering = clients[2].clone();
    let service = tokio::spawn(async move {
        while let Some(question) = questions.next().await {
            let number: u64 = String::from_utf8_lossy(&question.payload).parse().unwrap_or(0);
            if let Some(reply) = question.reply {
                let _gone = answering.publish(reply, (number * number).to_string().into()).await;
            }
        }
    });
    for (n, client) in clients.iter().enumerate() {
        let answer = until("an answer", async || {
            Ok(client.request(subject.clone(), n.to_string().into()).await?)
        });
        assert_eq!(answer.await?.payload, (n * n).to_string());
    }
    service.abort();
    Ok(())
}

/// Each message of a queue group goes to one of its members.
async fn work_is_shared(clients: &[Client], topic: &str) -> Result<()> {
    let subject = format!("{topic}.work");
    let mut members = Vec::new();
    for client in &clients[3..6] {
        members.push(client.queue_subscribe(subject.clone(), "workers".into()).await?);
        client.flush().await?;
    }
    let give = async |jobs: std::ops::Range<u64>| -> Result<()> {
        for job in jobs {
            clients[7].publish(subject.clone(), job.to_string().into()).await?;
        }
        Ok(clients[7].flush().await?)
    };
    let mut done: Vec<Vec<u64>> = vec![Vec::new(); members.len()];
    let deadline = Instant::now() + PATIENCE;
    // Until all of them are known to the server that the jobs come to.
    while done.iter().any(Vec::is_empty) {
        ensure!(Instant::now() < deadline, "who did what: {done:?}");
        give(0..30).await?;
        work(&mut members, &mut done).await?;
    }
    done.iter_mut().for_each(Vec::clear);
    give(1000..1100).await?;
    while done.iter().map(Vec::len).sum::<usize>() < 100 {
        ensure!(Instant::now() < deadline, "who did what: {done:?}");
        work(&mut members, &mut done).await?;
    }
    let mut all: Vec<u64> = done.concat();
    all.sort_unstable();
    assert_eq!(all, (1000..1100).collect::<Vec<_>>(), "each is done once");
    Ok(())
}

/// What each member of a group has to do now.
async fn work(members: &mut [Subscriber], done: &mut [Vec<u64>]) -> Result<()> {
    for (member, done) in members.iter_mut().zip(done) {
        while let Ok(job) = tokio::time::timeout(Duration::from_millis(300), member.next()).await {
            let job = job.context("unsubscribed")?;
            done.push(String::from_utf8_lossy(&job.payload).parse()?);
        }
    }
    Ok(())
}

/// Messages of a stream with three replicas, numbered.
async fn store(client: &Client, numbers: std::ops::Range<u64>) -> Result<()> {
    let js = jetstream::new(client.clone());
    for number in numbers {
        // The same one may come twice where its acknowledgement was lost: its id tells.
        until("a message is stored", async || {
            let mut headers = async_nats::HeaderMap::new();
            headers.insert("Nats-Msg-Id", number.to_string());
            let body = number.to_string().into();
            js.publish_with_headers("orders.new", headers, body).await?.await?;
            Ok(())
        })
        .await?;
    }
    Ok(())
}

/// Takes at most so many for the durable consumer, and says that they are done.
async fn take(client: &Client, most: usize, done: &mut BTreeSet<u64>) -> Result<()> {
    let js = jetstream::new(client.clone());
    let consumer = js.get_stream("ORDERS").await?.get_consumer("worker").await;
    let consumer: PullConsumer = consumer.map_err(|error| anyhow!("{error}"))?;
    let wait = Duration::from_secs(2);
    let mut batch = consumer.batch().max_messages(most).expires(wait).messages().await?;
    while let Some(message) = batch.next().await {
        let message = message.map_err(|error| anyhow!("{error}"))?;
        done.insert(String::from_utf8_lossy(&message.payload).parse()?);
        message.double_ack().await.map_err(|error| anyhow!("{error}"))?;
    }
    Ok(())
}

async fn the_durable_consumer(client: &Client) -> Result<()> {
    let js = jetstream::new(client.clone());
    until("the stream is there", async || {
        let subjects = vec!["orders.>".to_owned()];
        let config = stream::Config {
            name: "ORDERS".into(),
            subjects,
            num_replicas: 3,
            ..Default::default()
        };
        let stream = js.get_or_create_stream(config).await?;
        let durable_name = Some("worker".to_owned());
        let config = jetstream::consumer::pull::Config { durable_name, ..Default::default() };
        stream.get_or_create_consumer("worker", config).await?;
        Ok(())
    })
    .await
}

fn at_work(datapath: &str) -> Result<()> {
    let lab = Lab::new(Shape { backends: 3, ..Shape::default() })?;
    let mut world = World::start(&lab, datapath)?;
    // Its threads are in the namespace of the one that makes them.
    let runtime = lab.client.run(|| {
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()
    })?;
    let clients = lab.client.run(|| {
        runtime.block_on(async {
            let mut clients = Vec::new();
            for _ in 0..CLIENTS {
                clients.push(connect().await?);
            }
            anyhow::Ok(clients)
        })
    })?;
    let counts = world.connections()?;
    ensure!(counts.values().sum::<u64>() == CLIENTS as u64, "{counts:?}");
    ensure!(counts.values().all(|count| *count > 0), "a server without clients: {counts:?}");

    let mut done = BTreeSet::new();
    lab.client.run(|| {
        runtime.block_on(async {
            everything_is_heard(&clients, "before").await?;
            a_question_is_answered(&clients, "before").await?;
            work_is_shared(&clients, "before").await?;
            the_durable_consumer(&clients[8]).await?;
            store(&clients[9], 0..40).await?;
            take(&clients[8], 15, &mut done).await
        })
    })?;
    assert_eq!(done.len(), 15);

    world.servers[1].kill()?;
    world.wait_for("the dead server is seen", |world| Ok(world.up()? == 2))?;
    world.wait_for("its clients are at the others", |world| {
        Ok(world.connections()?.values().sum::<u64>() == CLIENTS as u64)
    })?;
    lab.client.run(|| {
        runtime.block_on(async {
            everything_is_heard(&clients, "after").await?;
            a_question_is_answered(&clients, "after").await?;
            work_is_shared(&clients, "after").await?;
            store(&clients[10], 40..80).await?;
            let deadline = Instant::now() + PATIENCE;
            while done.len() < 80 {
                ensure!(Instant::now() < deadline, "{} of 80 messages", done.len());
                // Until the replicas have agreed on a new leader there is none to ask.
                let _again = take(&clients[8], 80, &mut done).await;
            }
            anyhow::Ok(())
        })
    })?;
    let jetstream = world.servers[0].monitor(&lab, "/jsz?streams=true&consumers=true")?;
    ensure!(jetstream["messages"] == 80, "{jetstream}");
    ensure!(jetstream.to_string().contains("\"worker\""), "{jetstream}");
    Ok(())
}

#[test]
fn through_the_proxy() -> Result<()> {
    at_work("proxy")
}

#[test]
fn by_the_kernel() -> Result<()> {
    at_work("kernel")
}
