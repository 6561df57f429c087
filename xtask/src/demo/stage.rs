//! What is on stage: the network, the servers and the real daemon.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use lb_tests::server::UdpEcho;
use lb_tests::server::http::HttpServer;
use lb_tests::{Daemon, Lab, daemon};
use serde_json::Value;

use super::screen::Screen;
use super::stop::Stop;
use crate::workspace;

/// As `configs/demo.yaml` has them.
pub(super) const WEIGHTS: [u32; 3] = [3, 2, 1];
const HTTP: u16 = 80;
const ECHO: u16 = 7;
/// Longest wait for what takes a fraction of a second on a machine at rest.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) struct Stage<'a> {
    pub(super) lab: &'a Lab,
    pub(super) screen: &'a Screen,
    pub(super) stop: &'a Stop,
    /// The real `lb`.
    pub(super) daemon: Daemon<'a>,
    servers: Vec<Servers>,
}

/// Of one backend.
struct Servers {
    http: HttpServer,
    echo: UdpEcho,
}

impl<'a> Stage<'a> {
    /// With the servers at work, and lb not yet.
    pub(super) fn new(lab: &'a Lab, screen: &'a Screen, stop: &'a Stop) -> Result<Self> {
        let servers = lab.backends.iter().map(|host| {
            let http = HttpServer::start(&host.ns, host.at(HTTP), &host.name)?;
            let echo = UdpEcho::start(&host.ns, host.at(ECHO), &host.name)?;
            Ok(Servers { http, echo })
        });
        let servers = servers.collect::<Result<_>>()?;
        let daemon = Daemon::prepare_file(&lab.lb, &daemon::binary(), &config())?;
        Ok(Self { lab, screen, stop, daemon, servers })
    }

    /// Where clients find the web servers.
    pub(super) fn web(&self) -> SocketAddr {
        self.lab.vip(HTTP)
    }

    /// Where clients find the UDP echo.
    pub(super) fn echo(&self) -> SocketAddr {
        self.lab.vip(ECHO)
    }

    /// A backend as commands name it.
    pub(super) fn backend(&self, n: usize) -> String {
        self.lab.backends[n].at(HTTP).to_string()
    }

    /// Runs a command of lb and shows both.
    pub(super) fn show(&self, words: &[&str]) -> Result<()> {
        self.screen.command(&format!("lb {}", words.join(" ")), &self.daemon.ok(words)?);
        Ok(())
    }

    /// Ends a backend's servers as killed processes end: ports refuse, connections are reset.
    pub(super) fn kill(&mut self, n: usize) {
        self.servers[n].http.tcp.kill();
        self.servers[n].echo.kill();
    }

    /// Starts them again.
    pub(super) fn revive(&mut self, n: usize) -> Result<()> {
        let ns = &self.lab.backends[n].ns;
        self.servers[n].http.tcp.listen(ns)?;
        self.servers[n].echo.listen(ns)
    }

    /// Waits until every backend has passed its check.
    pub(super) fn wait_until_up(&self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !self.rows()?.iter().all(|row| row["state"] == "up") {
            if Instant::now() > deadline {
                bail!("not all up after {PATIENCE:?}:\n{}", self.daemon.ok(&["backends"])?);
            }
            self.stop.check()?;
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// The rows of `lb backends`.
    pub(super) fn rows(&self) -> Result<Vec<Value>> {
        let rows = self.daemon.json(&["backends"])?;
        rows.as_array().cloned().context("lb backends printed no list")
    }
}

/// From the current folder where that is the workspace, as one would type it.
pub(super) fn config() -> PathBuf {
    workspace::root().join("configs/demo.yaml")
}
