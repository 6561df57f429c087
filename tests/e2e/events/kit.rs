//! What these tests share: a NATS server that can be killed, and clients of it.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use async_nats::jetstream::{self, consumer::pull};
use futures_util::StreamExt;
use lb_tests::{Daemon, Namespace, engine};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tempfile::TempDir;

/// Bound of patience; never what a test asserts.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Where NATS listens, in the test's own namespace.
pub(crate) const NATS: &str = "127.0.0.1:4222";

/// A NATS server with JetStream, whose files outlive it.
pub(crate) struct Nats<'a> {
    ns: &'a Namespace,
    folder: TempDir,
    host: String,
    child: Option<Child>,
}

impl<'a> Nats<'a> {
    /// Starts one and waits until it listens.
    pub(crate) fn start(ns: &'a Namespace) -> Result<Self> {
        Self::on(ns, "127.0.0.1")
    }

    /// As [`Self::start`], on an address of the caller's; `0.0.0.0` for all.
    pub(crate) fn on(ns: &'a Namespace, host: &str) -> Result<Self> {
        let prefix = format!("{}-", lb_tests::netns::unique_name());
        let folder = tempfile::Builder::new().prefix(&prefix).tempdir()?;
        let mut nats = Self { ns, folder, host: host.to_owned(), child: None };
        nats.run()?;
        Ok(nats)
    }

    /// Starts it again after [`Self::kill`].
    pub(crate) fn run(&mut self) -> Result<()> {
        let log = File::options().create(true).append(true).open(self.folder.path().join("log"))?;
        let address: SocketAddr = NATS.parse()?;
        let mut command = Command::new(engine::program("nats-server"));
        command.args(["-js", "-a", &self.host, "-p", "4222", "-sd"]);
        command.arg(self.folder.path().join("store"));
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let mut child = self.ns.start(&mut command)?;
        let deadline = Instant::now() + PATIENCE;
        while self.ns.run(|| TcpStream::connect(address)).is_err() {
            if let Some(status) = child.try_wait()? {
                bail!("nats-server ended with {status}");
            }
            ensure!(Instant::now() < deadline, "nats-server doesn't listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        self.child = Some(child);
        Ok(())
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) -> Result<()> {
        let mut child = self.child.take().context("not running")?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        let child = self.child.as_ref().context("not running")?;
        Ok(kill(Pid::from_raw(i32::try_from(child.id())?), signal)?)
    }

    /// Does something as a client.
    pub(crate) fn client<T: Send>(
        &self,
        work: impl AsyncFnOnce(async_nats::Client) -> Result<T> + Send,
    ) -> Result<T> {
        client(self.ns, work)
    }

    /// The events of the stream so far, in their order, by CloudEvents' JSON; `None` while there is
    /// no stream.
    pub(crate) fn events(&self) -> Result<Option<Vec<(String, Value)>>> {
        self.client(async |client| {
            let context = jetstream::new(client);
            let Ok(mut stream) = context.get_stream("LB_EVENTS").await else { return Ok(None) };
            let count = stream.info().await?.state.messages;
            if count == 0 {
                return Ok(Some(Vec::new()));
            }
            let consumer = stream.create_consumer(pull::OrderedConfig::default()).await?;
            let messages = consumer.messages().await?.take(count as usize);
            let mut messages = std::pin::pin!(messages);
            let mut out = Vec::new();
            while let Some(message) = messages.next().await {
                let message = message.map_err(|e| anyhow::anyhow!("{e}"))?;
                let id = message.headers.as_ref().and_then(|all| all.get("Nats-Msg-Id"));
                let event: Value = serde_json::from_slice(&message.payload)?;
                ensure!(id.map(|id| id.as_str()) == event["id"].as_str(), "another message id");
                out.push((message.subject.to_string(), event));
            }
            Ok(Some(out))
        })
    }

    /// Waits until the stream has what `wanted` asks for; what it has then.
    pub(crate) fn wait_for(
        &self,
        what: &str,
        wanted: impl Fn(&[(String, Value)]) -> bool,
    ) -> Result<Vec<(String, Value)>> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let events = self.events()?.unwrap_or_default();
            if wanted(&events) {
                return Ok(events);
            }
            let seen: Vec<_> = events.iter().map(|(subject, _)| subject).collect();
            ensure!(Instant::now() < deadline, "no {what} in {seen:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Nats<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            eprintln!("--- log of nats-server\n{log}");
        }
        if self.child.is_some() {
            let _ = self.kill();
        }
    }
}

/// Does something as a client of NATS inside `ns`.
pub(crate) fn client<T: Send>(
    ns: &Namespace,
    work: impl AsyncFnOnce(async_nats::Client) -> Result<T> + Send,
) -> Result<T> {
    client_within(ns, PATIENCE, work)
}

/// As [`client`], for what takes longer.
pub(crate) fn client_within<T: Send>(
    ns: &Namespace,
    patience: Duration,
    work: impl AsyncFnOnce(async_nats::Client) -> Result<T> + Send,
) -> Result<T> {
    ns.run(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let client = tokio::time::timeout(PATIENCE, async_nats::connect(NATS)).await??;
            tokio::time::timeout(patience, work(client)).await?
        })
    })
}

/// `lb events`, line by line.
pub(crate) struct Follower {
    child: Child,
    lines: Receiver<String>,
}

impl Follower {
    /// Starts it with these arguments.
    pub(crate) fn start(ns: &Namespace, daemon: &Daemon<'_>, args: &[&str]) -> Result<Self> {
        let mut command = Command::new(lb_tests::daemon::binary());
        command.args(["events", "-o", "json", "--instance", &daemon.instance]).args(args);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = ns.start(&mut command)?;
        let output = BufReader::new(child.stdout.take().context("its output")?);
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self { child, lines })
    }

    /// The next event of this type.
    pub(crate) fn next(&self, kind: &str) -> Result<Value> {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).with_context(|| format!("no {kind}"))?;
            let event: Value = serde_json::from_str(&line)?;
            if event["type"] == kind {
                return Ok(event);
            }
        }
    }

    /// Whether it ended by itself, and well.
    pub(crate) fn has_ended_well(&mut self) -> Result<bool> {
        while self.lines.recv_timeout(PATIENCE).is_ok() {}
        Ok(self.child.wait()?.success())
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A service `app` of backends that nobody checks: what happens is up to the test. `more` is lb's own
/// part.
pub(crate) fn config(more: &str) -> String {
    format!(
        "{more}\nentryPoints: {{ web: {{ address: \"127.0.0.1:8080\" }} }}\n\
         http:\n  routers: {{ all: {{ rule: \"PathPrefix(`/`)\", service: app }} }}\n  services:\n\
         \x20   app: {{ loadBalancer: {{ servers: [ {{ url: \"http://127.0.1.1:8000\" }}, {{ url: \"http://127.0.1.2:8000\" }} ] }} }}\n"
    )
}

/// Connects to the API's unix socket and asks; the answer is still to be read.
pub(crate) fn open(daemon: &Daemon<'_>, line: &str, head: &str) -> Result<UnixStream> {
    let mut stream = UnixStream::connect(daemon.socket())?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "{line} HTTP/1.1\r\nHost: lb\r\nConnection: close\r\n{head}\r\n")?;
    Ok(stream)
}

/// As [`open`], with all of the answer.
pub(crate) fn ask(daemon: &Daemon<'_>, line: &str, head: &str) -> Result<String> {
    let mut text = Vec::new();
    open(daemon, line, head)?.read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// A counter of the daemon's.
pub(crate) fn counter(daemon: &Daemon<'_>, line: &str) -> Result<u64> {
    let text = ask(daemon, "GET /metrics", "")?;
    let found = text.lines().find_map(|one| one.strip_prefix(line)?.trim().parse().ok());
    found.with_context(|| format!("no {line} in the metrics"))
}
