//! Loads, made by wrk in the client's namespace.

use std::{net::SocketAddr, process::Command};

use anyhow::{Context, Result, ensure};
use lb_tests::{Namespace, shell};

/// Seconds of one measurement.
const SECONDS: u32 = 2;
/// Connections at a time.
const CONNECTIONS: u32 = 32;

/// What a client does all the time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Load {
    /// Connects, asks, is answered 100 bytes; the server closes.
    Connections,
    /// Asks on a connection kept open.
    Requests,
    /// Fetches a MB at a time on a connection kept open.
    Bytes,
}

impl Load {
    pub(crate) const ALL: [Self; 3] = [Self::Connections, Self::Requests, Self::Bytes];

    /// One of its units.
    pub(crate) const fn unit(self) -> &'static str {
        match self {
            Self::Connections => "connection",
            Self::Requests => "request",
            Self::Bytes => "MB",
        }
    }

    /// Keeps `target` busy for a while; how many units were done.
    pub(crate) fn run(self, client: &Namespace, target: SocketAddr) -> Result<u64> {
        let mut wrk = Command::new("wrk");
        let (connections, path) = match self {
            Self::Bytes => (8, "mb"),
            _ => (CONNECTIONS, ""),
        };
        wrk.args(["-t1", &format!("-c{connections}"), &format!("-d{SECONDS}s")]);
        if self == Self::Connections {
            wrk.args(["-H", "Connection: close"]);
        }
        wrk.arg(format!("http://{target}/{path}"));
        let output = client.run(|| wrk.output()).context("wrk does not start")?;
        // Of every load one unit is one request.
        done(&shell::checked("wrk", output)?)
    }
}

/// Requests that wrk counted; none may have failed.
fn done(text: &str) -> Result<u64> {
    for bad in ["Socket errors", "Non-2xx"] {
        ensure!(!text.contains(bad), "requests failed:\n{text}");
    }
    let line = text.lines().find(|line| line.contains(" requests in ")).context("no count")?;
    let count = line.split_whitespace().next().context("no count")?.parse()?;
    ensure!(count > 0, "no request was answered:\n{text}");
    Ok(count)
}
