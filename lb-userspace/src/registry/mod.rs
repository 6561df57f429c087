//! lb's own registry: what a host needs of Consul, in the same words.
//!
//! Wishes go to the one writer ([`hub`]), which decides ([`change`]), changes the state ([`state`])
//! and the log on disk ([`log`]), and then wakes who waits. Beside it run the checks ([`checks`]),
//! the HTTP API ([`api`]) and DNS ([`dns`]).

mod api;
mod change;
mod checks;
pub(crate) mod decode;
pub(crate) mod dns;
pub(crate) mod export;
mod hub;
mod log;
mod probe;
mod state;
#[cfg(test)]
mod tests;
mod types;
mod view;

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};

use hickory_proto::rr::Name;
use tokio::{
    net::TcpListener,
    sync::watch,
    task::{AbortHandle, JoinHandle},
    time::timeout,
};

use crate::model::RegistrySettings;
use api::Node;
use checks::{Checks, Reports};
use hub::Hub;
pub(crate) use state::State;
pub(crate) use types::{Instance, Status};
pub use view::View;

/// What is registered, with the log behind it. It outlives a change of the settings.
#[derive(Clone, Debug)]
pub(crate) struct Contents {
    hub: Arc<Hub>,
    /// What was found amiss in the log.
    notices: Arc<Vec<String>>,
}

impl Contents {
    /// Opens what the state folder holds.
    ///
    /// # Errors
    /// It can't be read or written.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        let (hub, notices) = tokio::task::block_in_place(|| Hub::open(&folder.join(LOG)))?;
        notices.iter().for_each(|notice| tracing::warn!("registry: {notice}"));
        Ok(Self { hub: Arc::new(hub), notices: Arc::new(notices) })
    }

    /// Writes nothing any more.
    pub(crate) fn close(&self) {
        self.hub.close();
    }

    /// What is to be shown among the faults.
    pub(crate) fn faults(&self) -> Vec<String> {
        let unwritten = self.hub.unwritten();
        let lost = format!("{unwritten} changes were refused, as the disk took none");
        let all = self.notices.iter().cloned().chain((unwritten > 0).then_some(lost));
        all.map(|fault| format!("registry: {fault}")).collect()
    }

    /// To follow what is registered.
    pub(crate) fn follow(&self) -> Follow {
        let mut latest = self.hub.watch();
        latest.mark_changed();
        Follow { hub: self.hub.clone(), latest }
    }
}

/// Of the log, in the state folder.
const LOG: &str = "registry.log";
/// How long those who ask are given to read their answers.
const ENDING: Duration = Duration::from_secs(1);

/// A running registry: sockets and checks.
pub(crate) struct Registry {
    contents: Contents,
    settings: RegistrySettings,
    tasks: Vec<AbortHandle>,
    api: JoinHandle<()>,
    /// Set when it ends.
    ending: watch::Sender<bool>,
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.ending.send_replace(true);
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl Registry {
    /// Opens the addresses.
    ///
    /// # Errors
    /// Which of them can't be opened.
    pub(crate) async fn start(
        settings: &RegistrySettings,
        listener: TcpListener,
        contents: Contents,
    ) -> io::Result<Self> {
        let hub = &contents.hub;
        let node = node(settings);
        let mut tasks = Vec::new();
        if let Some(address) = settings.dns {
            let named = |e: io::Error| named(address, "its DNS", &e);
            let zone = zone(settings, &node)?;
            let dns = dns::serve(address, zone, hub.clone()).await.map_err(named)?;
            tasks.push(tokio::spawn(dns).abort_handle());
        }
        let reports = Arc::<Reports>::default();
        let checks = Checks::new(hub.clone(), Arc::default(), reports.clone());
        tasks.push(tokio::spawn(checks.run()).abort_handle());
        let (ending, ended) = watch::channel(false);
        let (hub, scripts) = (hub.clone(), settings.script_checks);
        let ending_too = ended.clone();
        let router = api::router(Arc::new(api::Registry { hub, reports, node, scripts, ended }));
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        let serving = axum::serve(listener, service).with_graceful_shutdown(over(ending_too));
        let api = tokio::spawn(async move { drop(serving.await) });
        Ok(Self { contents, settings: settings.clone(), tasks, api, ending })
    }

    /// How it was started.
    pub(crate) fn settings(&self) -> &RegistrySettings {
        &self.settings
    }

    /// Closes its sockets; who waits for a change gets an answer.
    pub(crate) async fn end(mut self) {
        self.ending.send_replace(true);
        let _late = timeout(ENDING, &mut self.api).await;
    }

    /// For those who show it.
    pub(crate) fn view(&self) -> View {
        View { contents: self.contents.clone(), settings: self.settings.clone() }
    }
}

async fn over(mut ended: watch::Receiver<bool>) {
    let _ended = ended.wait_for(|ended| *ended).await;
}

/// A view of the registry for those who follow it.
#[derive(Clone, Debug)]
pub(crate) struct Follow {
    hub: Arc<Hub>,
    latest: watch::Receiver<u64>,
}

impl Follow {
    /// Resolves when something has changed since the last time, at once at first; never when the
    /// registry has ended.
    pub(crate) async fn changed(&mut self) {
        if self.latest.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// What is known now.
    pub(crate) fn read(&self) -> std::sync::RwLockReadGuard<'_, State> {
        self.hub.read()
    }
}

/// Opens the address of the API.
///
/// # Errors
/// Those of the operating system.
pub(crate) async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|e| named(address, "its API", &e))
}

fn named(address: SocketAddr, what: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("registry: can't listen on {address} for {what}: {error}"))
}

fn node(settings: &RegistrySettings) -> Node {
    let name = settings.node.clone().unwrap_or_else(|| {
        let host = nix::sys::utsname::uname().ok();
        let host = host.and_then(|own| own.nodename().to_str().map(str::to_owned));
        host.unwrap_or_else(|| "localhost".to_owned())
    });
    let address = reached_at(settings.address.ip());
    // The same for the same name: clients keep it.
    let seed = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let id = format!("{:08x}-6c62-4000-8000-{:012x}", seed >> 32, seed & 0xffff_ffff_ffff);
    Node { name, address: address.to_string(), id, datacenter: settings.datacenter.clone() }
}

/// Where what listens everywhere is reached from this host.
fn reached_at(ip: IpAddr) -> IpAddr {
    if ip.is_unspecified() { Ipv4Addr::LOCALHOST.into() } else { ip }
}

fn zone(settings: &RegistrySettings, node: &Node) -> io::Result<dns::Zone> {
    let mut domain = Name::from_utf8(&settings.domain).map_err(io::Error::other)?;
    domain.set_fqdn(true);
    Ok(dns::Zone {
        domain,
        datacenter: node.datacenter.clone(),
        node: node.name.clone(),
        address: reached_at(settings.dns.unwrap_or(settings.address).ip()),
        ttl: u32::try_from(settings.dns_ttl.as_secs()).unwrap_or(u32::MAX),
    })
}
