//! The proxies that are compared, one worker each, and the origin behind them.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use lb_tests::{Namespace, daemon, engine, netns::unique_name, reaper};

use super::{
    config,
    process::{Cpus, Process},
};

/// A proxy as it is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Proxy {
    /// lb with one router and nothing else: what it counts by default it counts.
    Lb,
    /// The same, and nothing is counted.
    LbUnobserved,
    /// The same with metrics of everything and an access log.
    LbObserved,
    /// lb with a rule, a rate limit, headers, metrics of everything and an access log.
    LbWithAll,
    Haproxy,
    Nginx,
    Envoy,
}

impl Proxy {
    pub(crate) const ALL: [Self; 7] = [
        Self::Lb,
        Self::LbUnobserved,
        Self::LbObserved,
        Self::LbWithAll,
        Self::Haproxy,
        Self::Nginx,
        Self::Envoy,
    ];

    /// The name shown.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Lb => "lb",
            Self::LbUnobserved => "lb, uncounted",
            Self::LbObserved => "lb, observed",
            Self::LbWithAll => "lb, all on",
            Self::Haproxy => "HAProxy",
            Self::Nginx => "nginx",
            Self::Envoy => "Envoy",
        }
    }

    /// Whether it is lb, in one of its set-ups.
    pub(crate) const fn is_lb(self) -> bool {
        matches!(self, Self::Lb | Self::LbUnobserved | Self::LbObserved | Self::LbWithAll)
    }

    /// What it says of its version.
    pub(crate) fn version(self) -> Option<String> {
        let (mut command, argument) = match self {
            lb if lb.is_lb() => return None,
            Self::Haproxy => (Command::new("haproxy"), "-v"),
            Self::Nginx => (Command::new("nginx"), "-v"),
            _ => (Command::new(engine::program("envoy")), "--version"),
        };
        let output = command.arg(argument).output().ok()?;
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        let line = text.trim().lines().next()?;
        Some(
            line.strip_prefix(&*command.get_program().to_string_lossy())
                .unwrap_or(line)
                .trim()
                .into(),
        )
    }

    /// Whether it can pass TCP on as it comes.
    pub(crate) fn passes_tcp(self) -> bool {
        self != Self::Nginx || Path::new(config::NGINX_STREAM).exists()
    }

    fn number(self) -> u16 {
        Self::ALL.iter().position(|other| *other == self).unwrap_or_default() as u16
    }

    fn at(self, port: u16) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, 10_000 + self.number() * 10 + port))
    }

    /// Where it takes HTTP in the clear.
    pub(crate) fn plain(self) -> SocketAddr {
        self.at(0)
    }

    /// Where it takes HTTP over TLS.
    pub(crate) fn tls(self) -> SocketAddr {
        self.at(1)
    }

    /// Where it passes TCP on.
    pub(crate) fn tcp(self) -> SocketAddr {
        self.at(2)
    }
}

/// Where the origin listens.
pub(crate) const ORIGIN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2)), 8000);

/// Everything that runs: one origin, and all proxies in front of it.
pub(crate) struct World {
    pub(crate) ns: Namespace,
    pub(crate) origin: Process,
    pub(crate) proxies: Vec<(Proxy, Process)>,
    /// Names of the instances of lb.
    instances: Vec<String>,
    folder: tempfile::TempDir,
}

impl World {
    /// Starts it, and waits until all of it answers.
    pub(crate) fn start(cpus: Cpus, proxies: &[Proxy]) -> Result<Self> {
        let ns = Namespace::new("l7")?;
        let folder = tempfile::Builder::new().prefix(&format!("{}-", unique_name())).tempdir()?;
        certificate(folder.path())?;
        let origin = origin(&ns, cpus, folder.path())?;
        let mut world = Self { ns, origin, proxies: Vec::new(), instances: Vec::new(), folder };
        for &proxy in proxies {
            let process = world.proxy(cpus, proxy).with_context(|| proxy.name().to_owned())?;
            world.proxies.push((proxy, process));
        }
        Ok(world)
    }

    /// Ends the proxies in order: what they write at their end is written then.
    pub(crate) fn end(mut self) -> Result<()> {
        let ended = |(proxy, process): (Proxy, Process)| process.end().context(proxy.name());
        std::mem::take(&mut self.proxies).into_iter().try_for_each(ended)
    }

    /// A folder that goes away with it.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn proxy(&mut self, cpus: Cpus, proxy: Proxy) -> Result<Process> {
        let folder = self.folder.path().join(proxy.number().to_string());
        fs::create_dir(&folder)?;
        let (text, file) = match proxy {
            Proxy::Lb => (config::lb(proxy, self.folder.path()), "lb.yaml"),
            Proxy::LbUnobserved => (config::lb_unobserved(proxy, self.folder.path()), "lb.yaml"),
            Proxy::LbObserved => (config::lb_observed(proxy, self.folder.path()), "lb.yaml"),
            Proxy::LbWithAll => (config::lb_with_all(proxy, self.folder.path()), "lb.yaml"),
            Proxy::Haproxy => (config::haproxy(proxy, self.folder.path()), "haproxy.cfg"),
            Proxy::Nginx => (config::nginx(proxy, self.folder.path()), "nginx.conf"),
            Proxy::Envoy => (config::envoy(proxy, self.folder.path()), "envoy.yaml"),
        };
        let file = folder.join(file);
        fs::write(&file, text)?;
        let mut command = self.command(proxy, &file);
        let log = folder.join("log");
        let mut process = Process::start(&self.ns, cpus.proxy, &mut command, &log)?;
        let mut ports = vec![proxy.plain(), proxy.tls()];
        ports.extend(proxy.passes_tcp().then(|| proxy.tcp()));
        for port in ports {
            wait_for(&self.ns, &mut process, port, &log)?;
        }
        Ok(process)
    }

    fn command(&mut self, proxy: Proxy, file: &Path) -> Command {
        let mut command = match proxy {
            Proxy::Haproxy => Command::new("haproxy"),
            Proxy::Nginx => Command::new("nginx"),
            Proxy::Envoy => Command::new(engine::program("envoy")),
            _ => Command::new(daemon::binary()),
        };
        match proxy {
            lb if lb.is_lb() => {
                self.instances.push(unique_name());
                let instance = self.instances.last().map(String::as_str).unwrap_or_default();
                command.arg("run").arg("-c").arg(file).args(["--instance", instance]);
            }
            Proxy::Haproxy => {
                command.args(["-db", "-f"]).arg(file);
            }
            Proxy::Nginx => {
                command.arg("-c").arg(file);
            }
            _ => {
                let base = (std::process::id() % 100_000).to_string();
                let quiet = ["--concurrency", "1", "--log-level", "error", "--base-id", &base];
                command.arg("-c").arg(file).args(quiet);
            }
        }
        command
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.proxies.clear();
        for instance in &self.instances {
            reaper::remove_instance(instance);
        }
    }
}

/// A pair for all of them, of the kind that most certificates are: ECDSA with P-256.
fn certificate(folder: &Path) -> Result<()> {
    let names = vec!["bench.test".to_owned()];
    let pair = rcgen::generate_simple_self_signed(names)?;
    let (chain, key) = (pair.cert.pem(), pair.signing_key.serialize_pem());
    fs::write(folder.join("cert.pem"), &chain)?;
    fs::write(folder.join("key.pem"), &key)?;
    fs::write(folder.join("both.pem"), chain + &key)?;
    Ok(())
}

fn origin(ns: &Namespace, cpus: Cpus, folder: &Path) -> Result<Process> {
    for (name, size) in [("64k", 64 << 10), ("1m", 1 << 20)] {
        fs::write(folder.join(name), vec![b'.'; size])?;
    }
    let (file, log) = (folder.join("origin.conf"), folder.join("origin.log"));
    fs::write(&file, config::origin(folder))?;
    let mut command = Command::new("nginx");
    command.arg("-c").arg(&file);
    let mut process = Process::start(ns, cpus.rest, &mut command, &log)?;
    wait_for(ns, &mut process, ORIGIN, &log).context("the origin")?;
    Ok(process)
}

fn wait_for(ns: &Namespace, process: &mut Process, port: SocketAddr, log: &PathBuf) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let connected = ns.run(|| TcpStream::connect(port));
        match connected {
            Ok(_) => return Ok(()),
            Err(error) if process.has_ended() || Instant::now() > deadline => {
                bail!("{port}: {error}:\n{}", fs::read_to_string(log)?)
            }
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    }
}
