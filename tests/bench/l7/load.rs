//! What clients do to a proxy, and how much of it was done.

use std::{path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use lb_tests::{Namespace, shell};

use super::{client, proxy::Proxy};

/// Seconds of one measurement.
const SECONDS: u64 = 1;

/// A load, by what it tells of a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Load {
    /// Requests for 132 bytes on 64 kept connections.
    Small,
    /// The same on 256: each may need a connection of its own to the origin.
    SmallOfMany,
    /// The same by TLS 1.3.
    Tls,
    /// A connection and a full TLS 1.3 handshake for each request.
    Handshakes,
    /// Requests over HTTP/2 and TLS, 8 connections with 8 streams each.
    Http2,
    /// Bodies of 64 KiB on 64 kept connections.
    Bodies64K,
    /// Bodies of 1 MiB on 8 kept connections.
    Bodies1M,
    /// Bytes passed on as they come, 8 connections.
    TcpBytes,
    /// Connections passed on, each for 132 bytes.
    TcpConnections,
}

impl Load {
    pub(crate) const ALL: [Self; 9] = [
        Self::Small,
        Self::SmallOfMany,
        Self::Tls,
        Self::Handshakes,
        Self::Http2,
        Self::Bodies64K,
        Self::Bodies1M,
        Self::TcpBytes,
        Self::TcpConnections,
    ];

    /// The name shown, with the unit that is counted.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Small => "small requests, µs each",
            Self::SmallOfMany => "small requests on 256 connections, µs each",
            Self::Tls => "small by TLS 1.3, µs each",
            Self::Handshakes => "full TLS handshake and request, µs each",
            Self::Http2 => "small by HTTP/2, µs each",
            Self::Bodies64K => "64 KiB bodies, µs/MB",
            Self::Bodies1M => "1 MiB bodies, µs/MB",
            Self::TcpBytes => "TCP passed on, µs/MB",
            Self::TcpConnections => "TCP connection passed on, µs each",
        }
    }

    /// Whether it is put on this proxy.
    pub(crate) fn suits(self, proxy: Proxy) -> bool {
        match self {
            Self::TcpBytes | Self::TcpConnections => {
                proxy.passes_tcp() && (proxy == Proxy::Lb || !proxy.is_lb())
            }
            Self::Small => true,
            // What observing costs is a request's, whatever it carries and however it came.
            _ => !matches!(proxy, Proxy::LbUnobserved | Proxy::LbObserved),
        }
    }

    /// Keeps the proxy busy for a while; how many units were done.
    pub(crate) fn run(self, ns: &Namespace, proxy: Proxy) -> Result<f64> {
        let mb = |size: f64| move |count: u64| count as f64 * size / 1e6;
        match self {
            Self::Small => wrk(ns, 64, &format!("http://{}/small", proxy.plain()), &[]),
            Self::SmallOfMany => wrk(ns, 256, &format!("http://{}/small", proxy.plain()), &[]),
            Self::Tls => wrk(ns, 64, &format!("https://{}/small", proxy.tls()), &[]),
            Self::Bodies64K => {
                return wrk(ns, 64, &format!("http://{}/64k", proxy.plain()), &[])
                    .map(mb(65_536.0));
            }
            Self::Bodies1M => {
                return wrk(ns, 8, &format!("http://{}/1m", proxy.plain()), &[])
                    .map(mb(1_048_576.0));
            }
            Self::TcpBytes => {
                return wrk(ns, 8, &format!("http://{}/1m", proxy.tcp()), &[]).map(mb(1_048_576.0));
            }
            Self::TcpConnections => {
                let close = ["-H", "Connection: close"];
                wrk(ns, 32, &format!("http://{}/small", proxy.tcp()), &close)
            }
            Self::Http2 => h2load(ns, &format!("https://{}/small", proxy.tls())),
            Self::Handshakes => client::handshakes(ns, proxy.tls(), SECONDS),
        }
        .map(|count| count as f64)
    }
}

/// Requests that wrk did; none may have failed.
pub(crate) fn wrk(ns: &Namespace, connections: u32, url: &str, more: &[&str]) -> Result<u64> {
    let mut command = Command::new("wrk");
    command.args(["-t1", &format!("-c{connections}"), &format!("-d{SECONDS}s")]);
    command.args(more).arg(url);
    let output = ns.run(|| command.output()).context("wrk does not start")?;
    let text = shell::checked("wrk", output)?;
    for bad in ["Socket errors", "Non-2xx"] {
        ensure!(!text.contains(bad), "requests failed:\n{text}");
    }
    let line = text.lines().find(|line| line.contains(" requests in "));
    counted(&text, line.and_then(|line| line.split_whitespace().next()))
}

/// Requests that h2load did; none may have failed.
fn h2load(ns: &Namespace, url: &str) -> Result<u64> {
    let mut command = Command::new("h2load");
    command.args(["-t1", "-c8", "-m8", "-D", &SECONDS.to_string(), "--warm-up-time=0", url]);
    let output = ns.run(|| command.output()).context("h2load does not start")?;
    let text = shell::checked("h2load", output)?;
    ensure!(text.contains("Application protocol: h2"), "no HTTP/2:\n{text}");
    ensure!(text.contains(" 0 failed, 0 errored, 0 timeout"), "requests failed:\n{text}");
    // requests: 9 total, 9 started, 9 done, 9 succeeded, …
    let line = text.lines().find_map(|line| line.strip_prefix("requests: "));
    let done = line.and_then(|line| line.split(", ").nth(2)?.strip_suffix(" done"));
    counted(&text, done)
}

fn counted(text: &str, count: Option<&str>) -> Result<u64> {
    let count = count.with_context(|| format!("no count:\n{text}"))?.parse()?;
    ensure!(count > 0, "no request was answered:\n{text}");
    Ok(count)
}

/// System calls of a process while `work` goes on.
pub(crate) fn system_calls<T>(
    pid: u32,
    folder: &Path,
    work: impl FnOnce() -> Result<T>,
) -> Result<(f64, T)> {
    let file = folder.join("calls");
    let mut perf = Command::new("perf")
        .args(["stat", "-x,", "-e", "raw_syscalls:sys_enter", "-p", &pid.to_string(), "-o"])
        .arg(&file)
        .spawn()
        .context("perf does not start")?;
    std::thread::sleep(std::time::Duration::from_millis(300));
    let done = work();
    let interrupt = nix::sys::signal::Signal::SIGINT;
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(perf.id() as i32), interrupt)?;
    perf.wait()?;
    let text = std::fs::read_to_string(&file)?;
    let count = text.lines().find_map(|line| {
        let (count, rest) = line.split_once(',')?;
        rest.contains("sys_enter").then(|| count.parse::<f64>().ok())?
    });
    Ok((count.with_context(|| format!("perf counted nothing:\n{text}"))?, done?))
}
