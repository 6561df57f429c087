//! `load`: how long `lb run` takes with 100,000 routers until it serves, and how much memory.

use std::{
    fmt::Write,
    fs,
    net::{Ipv4Addr, SocketAddr},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use lb_tests::{Daemon, Namespace, client::http1::Connection, daemon};

use crate::report::{Mark, Report, median};

const ROUTERS: usize = 100_000;
/// Where they are asked.
const WEB: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
/// What is to be reached, by each shape.
const SECONDS: f64 = 5.0;
const MIB: f64 = 1024.0;
/// Longest wait for the first answer.
const PATIENCE: Duration = Duration::from_secs(300);
/// Routers that are asked, all over the file.
const ASKED: usize = 100;

/// What the routers lead to.
#[derive(Clone, Copy, PartialEq)]
enum Shape {
    /// One service for all.
    Shared,
    /// One for each, with one server.
    Own,
}

/// One start.
struct Sample {
    seconds: f64,
    /// MiB when it serves, and the most by then.
    resident: f64,
    peak: f64,
}

impl Shape {
    const ALL: [Self; 2] = [Self::Shared, Self::Own];

    const fn name(self) -> &'static str {
        match self {
            Self::Shared => "one service",
            Self::Own => "one service each",
        }
    }

    /// By host and prefix; nobody listens at the servers, so that whoever finds a router gets a 502.
    fn config(self) -> String {
        let mut text =
            format!("entryPoints:\n  web: {{ address: \"{WEB}\" }}\nhttp:\n  services:\n");
        let services = if self == Self::Own { ROUTERS } else { 1 };
        let mut line = |of: std::fmt::Arguments<'_>| text.write_fmt(of).expect("a text takes all");
        for n in 0..services {
            line(format_args!(
                "    s{n}:\n      loadBalancer:\n        servers:\n          - url: \"http://127.0.0.1:9\"\n"
            ));
        }
        line(format_args!("  routers:\n"));
        for n in 0..ROUTERS {
            let service = n % services;
            line(format_args!(
                "    r{n}:\n      rule: \"Host(`h{n}.example`) && PathPrefix(`/p{n}`)\"\n      service: s{service}\n"
            ));
        }
        text
    }
}

/// Starts it `rounds` times with each shape.
pub(crate) fn run(rounds: u32) -> Result<Report> {
    let ns = Namespace::new("load")?;
    let mut samples: Vec<(Shape, Vec<Sample>)> = Vec::new();
    for shape in Shape::ALL {
        let config = shape.config();
        let start = |round| {
            println!("{}: round {round} of {rounds}", shape.name());
            start(&ns, &config).with_context(|| shape.name())
        };
        samples.push((shape, (1..=rounds).map(start).collect::<Result<_>>()?));
    }
    Ok(report(&samples, rounds))
}

fn start(ns: &Namespace, config: &str) -> Result<Sample> {
    let mut lb = Daemon::prepare(ns, &daemon::binary(), config)?;
    let began = Instant::now();
    lb.spawn(&[])?;
    // The last one, so that all of the file is in force.
    while ns.run(|| ask(ROUTERS - 1)).is_err() {
        ensure!(!lb.has_ended()?, "it ended:\n{}", lb.log());
        ensure!(began.elapsed() < PATIENCE, "no answer:\n{}", lb.log());
        thread::sleep(Duration::from_millis(10));
    }
    let seconds = began.elapsed().as_secs_f64();
    let status = fs::read_to_string(format!("/proc/{}/status", lb.pid().context("no pid")?))?;
    for n in (0..ROUTERS).step_by(ROUTERS / ASKED) {
        ns.run(|| ask(n)).with_context(|| format!("router {n}"))?;
    }
    lb.terminate()?;
    Ok(Sample { seconds, resident: mib(&status, "VmRSS:")?, peak: mib(&status, "VmHWM:")? })
}

/// Whether the router of this number takes what is its own.
fn ask(n: usize) -> Result<()> {
    let host = format!("h{n}.example");
    let headers = [("Host", host.as_str()), ("Connection", "close")];
    let answer = Connection::open(WEB)?.get(&format!("/p{n}/x"), &headers)?;
    ensure!(answer.status == 502, "answered {}", answer.status);
    Ok(())
}

/// A line of `/proc/PID/status`.
fn mib(status: &str, name: &str) -> Result<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.split_whitespace().next()).context("no such line")?;
    Ok(kib.parse::<f64>()? / 1024.0)
}

fn report(samples: &[(Shape, Vec<Sample>)], rounds: u32) -> Report {
    let (mut rows, mut marks) = (Vec::new(), Vec::new());
    for (shape, samples) in samples {
        let of = |part: fn(&Sample) -> f64| median(samples.iter().map(part).collect());
        let (seconds, peak) = (of(|sample| sample.seconds), of(|sample| sample.peak));
        rows.push((shape.name().to_owned(), vec![seconds, of(|sample| sample.resident), peak]));
        let mark = |what: &str, value: Option<f64>, most| {
            let what = format!("{}: {what}", shape.name());
            value.map(|value| Mark { what, value, most })
        };
        marks.extend(mark("seconds until it serves", seconds, SECONDS));
        marks.extend(mark("most MiB", peak, MIB));
    }
    Report {
        suite: "load",
        about: format!("`lb run` with {ROUTERS} HTTP routers; medians of {rounds} starts"),
        columns: vec!["seconds", "MiB serving", "MiB at most"],
        rows,
        marks,
        notes: Vec::new(),
    }
}
