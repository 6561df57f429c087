//! A host with a neighbour on each of two links, and waiting for what the
//! watcher tells.

use std::{net::IpAddr, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use lb_tests::{Namespace, link::veth};
use lb_userspace::{
    kernel::net::{NetState, NetWatcher, Obstacle, Wanted},
    plan::NextHop,
};
use tokio::sync::watch;

/// Runs `work` inside a namespace, in a runtime of one thread there.
pub(crate) fn inside<T: Send>(
    ns: &Namespace,
    work: impl AsyncFnOnce() -> Result<T> + Send,
) -> Result<T> {
    ns.run(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(work())
    })
}

/// `host` (eth0: 10.1.0.1/24, fd01::1/64; eth1: 10.2.0.1/24, fd02::1/64), and
/// a peer at `.2` on each link.
pub(super) struct Net {
    pub(super) host: Namespace,
    pub(super) one: Namespace,
    pub(super) two: Namespace,
}

impl Net {
    pub(super) fn new() -> Result<Self> {
        let net = Self {
            host: Namespace::new("host")?,
            one: Namespace::new("one")?,
            two: Namespace::new("two")?,
        };
        for (n, peer, dev) in [(1, &net.one, "eth0"), (2, &net.two, "eth1")] {
            veth((&net.host, dev), (peer, "eth0"))?;
            net.host.ip_batch(&addresses(dev, n, 1))?;
            peer.ip_batch(&addresses("eth0", n, 2))?;
        }
        Ok(net)
    }
}

fn addresses(dev: &str, net: u8, host: u8) -> String {
    format!(
        "addr add 10.{net}.0.{host}/24 dev {dev}\naddr add fd0{net}::{host}/64 dev {dev} nodad\n"
    )
}

/// Backends wanted, and nothing else.
pub(super) fn backends<const N: usize>(addresses: [&str; N]) -> Wanted {
    Wanted { backends: addresses.iter().map(|text| ip(text)).collect(), ..Wanted::default() }
}

pub(super) fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// A watcher and its states.
pub(super) struct Watched {
    pub(super) watcher: NetWatcher,
    pub(super) states: watch::Receiver<Arc<NetState>>,
}

impl Watched {
    pub(super) async fn start(wanted: Wanted) -> Result<Self> {
        let watcher = NetWatcher::start(wanted).await?;
        let states = watcher.states();
        Ok(Self { watcher, states })
    }

    pub(super) fn now(&self) -> Arc<NetState> {
        self.states.borrow().clone()
    }

    /// Waits for a state that holds.
    pub(super) async fn until(
        &mut self,
        what: &str,
        holds: impl FnMut(&NetState) -> bool,
    ) -> Result<Arc<NetState>> {
        until(&mut self.states, what, holds).await
    }

    /// Waits for a resolved way to a backend.
    pub(super) async fn way(&mut self, backend: &str) -> Result<NextHop> {
        let backend = ip(backend);
        let resolved =
            |state: &NetState| state.view.next_hops.get(&backend).is_some_and(|h| h.mac.is_some());
        let state = self.until(&format!("a way to {backend}"), resolved).await?;
        Ok(state.view.next_hops[&backend].clone())
    }

    /// Waits for an obstacle on the way to a backend.
    pub(super) async fn obstacle(&mut self, backend: &str) -> Result<Obstacle> {
        let backend = ip(backend);
        let stands = |state: &NetState| state.obstacles.contains_key(&backend);
        let state = self.until(&format!("an obstacle to {backend}"), stands).await?;
        Ok(state.obstacles[&backend].clone())
    }
}

/// Waits for a state that holds.
pub(super) async fn until<T: std::fmt::Debug>(
    states: &mut watch::Receiver<Arc<T>>,
    what: &str,
    mut holds: impl FnMut(&T) -> bool,
) -> Result<Arc<T>> {
    let limit =
        tokio::time::timeout(Duration::from_secs(30), states.wait_for(|state| holds(state)));
    if let Ok(state) = limit.await {
        return Ok(state.context("the watcher ended")?.clone());
    }
    bail!("waited in vain for {what}; now {:#?}", states.borrow())
}

/// Looks until something holds that no state tells of.
pub(super) async fn eventually(what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    for _ in 0..400 {
        if holds()? {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    bail!("waited in vain for {what}")
}
