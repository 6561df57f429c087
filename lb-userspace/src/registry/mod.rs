//! lb's own registry: what a host needs of Consul, in the same words.
//!
//! Wishes go to the one writer ([`hub`]), which decides ([`change`]), changes the state ([`state`])
//! and the log on disk ([`log`]), and then wakes who waits. Beside it run the checks ([`checks`]),
//! the HTTP API ([`api`]) and DNS ([`dns`]).

mod api;
mod change;
mod checks;
mod decode;
mod dns;
pub(crate) mod export;
mod hub;
mod log;
mod probe;
mod state;
#[cfg(test)]
mod tests;
mod types;

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    sync::Arc,
};

use hickory_proto::rr::Name;
use tokio::{net::TcpListener, sync::watch, task::AbortHandle};

use crate::model::RegistrySettings;
use api::Node;
use checks::{Checks, Reports};
use hub::Hub;
pub(crate) use state::State;
pub(crate) use types::{Instance, Status};

/// A running registry. Dropping it closes its sockets and ends its checks.
pub(crate) struct Registry {
    hub: Arc<Hub>,
    tasks: Vec<AbortHandle>,
    settings: RegistrySettings,
    /// What was found amiss in the log.
    notices: Vec<String>,
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl Registry {
    /// Opens what the state folder holds, and the addresses.
    ///
    /// # Errors
    /// Which of them can't be opened.
    pub(crate) async fn start(settings: &RegistrySettings, folder: &Path) -> io::Result<Self> {
        let listener = bind(settings.address).await?;
        let log = folder.join("registry.log");
        let (hub, notices) = tokio::task::block_in_place(|| Hub::open(&log))?;
        notices.iter().for_each(|notice| tracing::warn!("{notice}"));
        let hub = Arc::new(hub);
        let node = node(settings);
        let zone = zone(settings, &node)?;
        let mut registry = Self { hub, tasks: Vec::new(), settings: settings.clone(), notices };
        if let Some(address) = settings.dns {
            let named = |e: io::Error| named(address, "its DNS", &e);
            let dns = dns::serve(address, zone, registry.hub.clone()).await.map_err(named)?;
            registry.tasks.push(tokio::spawn(dns).abort_handle());
        }
        let reports = Arc::<Reports>::default();
        let checks = Checks::new(registry.hub.clone(), Arc::default(), reports.clone());
        registry.tasks.push(tokio::spawn(checks.run()).abort_handle());
        let (hub, scripts) = (registry.hub.clone(), settings.script_checks);
        let router = api::router(Arc::new(api::Registry { hub, reports, node, scripts }));
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        let serving = async move { drop(axum::serve(listener, service).await) };
        registry.tasks.push(tokio::spawn(serving).abort_handle());
        Ok(registry)
    }

    /// How it was started.
    pub(crate) fn settings(&self) -> &RegistrySettings {
        &self.settings
    }

    /// Where changes are told.
    pub(crate) fn follow(&self) -> Follow {
        Follow { hub: self.hub.clone(), latest: self.hub.watch() }
    }

    /// What is to be shown among the faults.
    pub(crate) fn faults(&self) -> Vec<String> {
        let unwritten = self.hub.unwritten();
        let lost = format!("registry: {unwritten} changes were refused, as the disk took none");
        self.notices.iter().cloned().chain((unwritten > 0).then_some(lost)).collect()
    }

    /// In one line: where it is, and what `lb status` has to say of it.
    pub(crate) fn describe(&self) -> String {
        let state = self.hub.read();
        let services = state.names().count();
        let dns = self.settings.dns.map(|dns| format!(", DNS {dns}")).unwrap_or_default();
        format!(
            "{}{dns}: {services} services, {} instances, {} keys; one host only, \
             `lb registry export` for growing out of it",
            self.settings.address,
            state.instances.len(),
            state.pairs.len()
        )
    }
}

/// A view of the registry for those who follow it.
#[derive(Clone, Debug)]
pub(crate) struct Follow {
    hub: Arc<Hub>,
    latest: watch::Receiver<u64>,
}

impl Follow {
    /// Resolves when something has changed since the last time; never when the registry has ended.
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

async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|e| named(address, "its API", &e))
}

fn named(address: SocketAddr, what: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("registry: can't listen on {address} for {what}: {error}"))
}

fn node(settings: &RegistrySettings) -> Node {
    let name = settings.node.clone().unwrap_or_else(|| {
        let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
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
