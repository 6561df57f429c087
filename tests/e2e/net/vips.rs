//! VIPs on the host: added, found, announced, put back and removed.

use std::{
    collections::BTreeSet,
    io::ErrorKind,
    net::{IpAddr, SocketAddr, TcpStream},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use anyhow::Result;
use lb_tests::Namespace;
use lb_userspace::{
    kernel::net::{VipKeeper, VipState, VipStates, Wanted, remove_recorded},
    model::InterfaceChoice,
};
use tokio::sync::watch;

use super::{
    kit::{Net, Watched, eventually, inside, ip, until},
    sniff::Sniffer,
};

const V4: &str = "198.51.100.10";
const V6: &str = "2001:db8::10";

/// A keeper on a host whose clients come in by eth0.
struct Kept {
    watched: Watched,
    keeper: VipKeeper,
    states: watch::Receiver<Arc<VipStates>>,
    record: PathBuf,
    _folder: tempfile::TempDir,
}

impl Kept {
    async fn start(vips: &[&str]) -> Result<Self> {
        Self::on(&["eth0"], vips).await
    }

    async fn on(interfaces: &[&str], vips: &[&str]) -> Result<Self> {
        let names = interfaces.iter().map(|name| (*name).to_owned()).collect();
        let interfaces = InterfaceChoice::Named(names);
        let folder = tempfile::tempdir()?;
        let record = folder.path().join("addresses.json");
        let watched = Watched::start(Wanted { interfaces, ..Wanted::default() }).await?;
        let keeper = VipKeeper::start(record.clone(), set(vips), watched.watcher.states()).await?;
        let states = keeper.states();
        Ok(Self { watched, keeper, states, record, _folder: folder })
    }

    fn now(&self, vip: &str) -> VipState {
        self.states.borrow()[&ip(vip)].clone()
    }
}

fn set(vips: &[&str]) -> BTreeSet<IpAddr> {
    vips.iter().map(|vip| ip(vip)).collect()
}

fn added(names: &[&str]) -> VipState {
    VipState::Added(names.iter().map(|name| (*name).to_owned()).collect())
}

fn holds(ns: &Namespace, vip: &str) -> Result<bool> {
    Ok(ns.ip("addr show")?.contains(&format!(" {vip}/")))
}

#[test]
fn an_ipv4_vip_stands_on_lo() -> Result<()> {
    let net = Net::new()?;
    inside(&net.host, async || {
        let kept = Kept::start(&[V4]).await?;
        assert_eq!(kept.now(V4), added(&["lo"]));
        let shown = net.host.ip("-4 addr show dev lo")?;
        assert!(shown.contains("inet 198.51.100.10/32 scope host lo"), "{shown}");
        Ok(())
    })
}

#[test]
fn an_ipv6_vip_stands_on_each_interface_without_dad_and_deprecated() -> Result<()> {
    let net = Net::new()?;
    inside(&net.host, async || {
        let kept = Kept::on(&["eth0", "eth1"], &[V6]).await?;
        assert_eq!(kept.now(V6), added(&["eth0", "eth1"]));
        for dev in ["eth0", "eth1"] {
            let shown = net.host.ip(&format!("-6 addr show dev {dev}"))?;
            let words = shown.split_whitespace().collect::<Vec<_>>().join(" ");
            let address = "inet6 2001:db8::10/128 scope global nodad deprecated";
            let lifetimes = "valid_lft forever preferred_lft 0sec";
            assert!(words.contains(&format!("{address} {lifetimes}")), "{words}");
        }
        assert!(!net.host.ip("-6 addr show dev lo")?.contains(V6));
        Ok(())
    })
}

#[test]
fn a_client_on_the_link_reaches_an_ipv4_vip() -> Result<()> {
    reached(V4, "route add 198.51.100.10 dev eth0")
}

#[test]
fn a_client_on_the_link_reaches_an_ipv6_vip() -> Result<()> {
    reached(V6, "route add 2001:db8::10 dev eth0")
}

/// Default ARP settings; the host itself refuses the connection.
fn reached(vip: &str, route: &str) -> Result<()> {
    let net = Net::new()?;
    net.one.ip(route)?;
    inside(&net.host, async || {
        let _kept = Kept::start(&[vip]).await?;
        let closed = SocketAddr::new(ip(vip), 9);
        let attempt = net.one.run(|| TcpStream::connect_timeout(&closed, Duration::from_secs(5)));
        assert_eq!(attempt.unwrap_err().kind(), ErrorKind::ConnectionRefused);
        let shown = net.one.ip(&format!("neigh show {vip}"))?;
        assert!(shown.contains("lladdr"), "{shown}");
        Ok(())
    })
}

#[test]
fn an_ipv4_vip_is_announced_twice_when_added() -> Result<()> {
    announced(V4)
}

#[test]
fn an_ipv6_vip_is_announced_twice_when_added() -> Result<()> {
    announced(V6)
}

fn announced(vip: &str) -> Result<()> {
    let net = Net::new()?;
    let mac = net.host.mac("eth0")?;
    let sniffer = Sniffer::start(&net.one, ip(vip))?;
    inside(&net.host, async || {
        let kept = Kept::start(&[vip]).await?;
        assert_eq!(sniffer.next().await?, mac);
        assert_eq!(sniffer.next().await?, mac);
        drop(kept);
        Ok(())
    })
}

#[test]
fn an_announced_ipv4_vip_moves_in_the_caches_of_its_neighbours() -> Result<()> {
    moves(V4, "neigh replace 198.51.100.10 lladdr 02:00:00:00:00:55 dev eth0 nud stale")
}

#[test]
fn an_announced_ipv6_vip_moves_in_the_caches_of_its_neighbours() -> Result<()> {
    moves(V6, "neigh replace 2001:db8::10 lladdr 02:00:00:00:00:55 dev eth0 nud stale")
}

/// As after a fail-over: the neighbour knows another holder of the VIP.
fn moves(vip: &str, stale: &str) -> Result<()> {
    let net = Net::new()?;
    net.one.ip(stale)?;
    let mac = net.host.ip("link show dev eth0")?;
    let mac = mac.split_whitespace().skip_while(|word| *word != "link/ether").nth(1).unwrap_or("");
    let sniffer = Sniffer::start(&net.one, ip(vip))?;
    inside(&net.host, async || {
        let _kept = Kept::start(&[vip]).await?;
        sniffer.next().await?;
        let shown = net.one.ip(&format!("neigh show {vip}"))?;
        assert!(shown.contains(mac), "{shown} rather than {mac}");
        Ok(())
    })
}

#[test]
fn an_address_already_there_is_used_and_never_removed() -> Result<()> {
    found("addr add 198.51.100.10/24 dev eth0", V4, "eth0")
}

#[test]
fn an_ipv6_address_already_there_is_used_and_never_removed() -> Result<()> {
    found("addr add 2001:db8::10/64 dev eth1 nodad", V6, "eth1")
}

#[test]
fn an_address_already_on_lo_is_used_and_never_removed() -> Result<()> {
    found("addr add 198.51.100.10/32 dev lo", V4, "lo")
}

fn found(add: &str, vip: &str, dev: &str) -> Result<()> {
    let net = Net::new()?;
    net.host.ip(add)?;
    inside(&net.host, async || {
        let kept = Kept::start(&[vip]).await?;
        assert_eq!(kept.now(vip), VipState::Found(vec![dev.to_owned()]));
        assert!(!kept.record.exists());
        assert_eq!(net.host.ip("addr show")?.matches(&format!(" {vip}/")).count(), 1);
        kept.keeper.stop().await;
        assert!(holds(&net.host, vip)?);
        Ok(())
    })
}

#[test]
fn a_vip_that_leaves_the_configuration_is_removed() -> Result<()> {
    let net = Net::new()?;
    inside(&net.host, async || {
        let mut kept = Kept::start(&[V4, V6]).await?;
        kept.keeper.want(set(&[V6]));
        until(&mut kept.states, "one VIP", |states| states.len() == 1).await?;
        assert!(!holds(&net.host, V4)?);
        assert!(holds(&net.host, V6)?);
        Ok(())
    })
}

#[test]
fn stopping_removes_what_was_added() -> Result<()> {
    let net = Net::new()?;
    inside(&net.host, async || {
        let kept = Kept::start(&[V4, V6]).await?;
        let record = kept.record.clone();
        kept.keeper.stop().await;
        assert!(!holds(&net.host, V4)? && !holds(&net.host, V6)?);
        assert!(!record.exists());
        Ok(())
    })
}

#[test]
fn a_daemon_that_dies_leaves_its_vips() -> Result<()> {
    let net = Net::new()?;
    inside(&net.host, async || {
        let kept = Kept::start(&[V4, V6]).await?;
        drop(kept.keeper);
        tokio::task::yield_now().await;
        assert!(holds(&net.host, V4)? && holds(&net.host, V6)?);
        Ok(())
    })
}

#[test]
fn the_next_daemon_knows_what_was_added_and_removes_what_is_no_longer_wanted() -> Result<()> {
    let net = Net::new()?;
    inside(&net.host, async || {
        let kept = Kept::start(&[V4, V6]).await?;
        drop(kept.keeper);
        let network = kept.watched.watcher.states();
        let next = VipKeeper::start(kept.record.clone(), set(&[V6]), network).await?;
        assert!(!holds(&net.host, V4)?);
        assert_eq!(next.states().borrow()[&ip(V6)], added(&["eth0"]));
        next.stop().await;
        assert!(!holds(&net.host, V6)?);
        Ok(())
    })
}

#[test]
fn detaching_without_a_daemon_removes_what_was_added() -> Result<()> {
    let net = Net::new()?;
    inside(&net.host, async || {
        let kept = Kept::start(&[V4, V6]).await?;
        drop(kept.keeper);
        let removed = remove_recorded(&kept.record).await?;
        assert_eq!(removed, [(ip(V4), "lo".to_owned()), (ip(V6), "eth0".to_owned())]);
        assert!(!holds(&net.host, V4)? && !holds(&net.host, V6)?);
        assert!(remove_recorded(&kept.record).await?.is_empty());
        Ok(())
    })
}

#[test]
fn a_record_from_another_namespace_removes_nothing() -> Result<()> {
    let net = Net::new()?;
    net.one.ip("addr add 198.51.100.10/32 dev lo")?;
    inside(&net.host, async || {
        let kept = Kept::start(&[V4]).await?;
        inside(&net.one, async || {
            assert!(remove_recorded(&kept.record).await?.is_empty());
            Ok(())
        })?;
        assert!(holds(&net.one, V4)?);
        Ok(())
    })
}

#[test]
fn a_vip_that_someone_deletes_is_put_back() -> Result<()> {
    let net = Net::new()?;
    inside(&net.host, async || {
        let kept = Kept::start(&[V4]).await?;
        net.host.ip("addr del 198.51.100.10/32 dev lo")?;
        eventually("the VIP again", || holds(&net.host, V4)).await?;
        assert_eq!(kept.now(V4), added(&["lo"]));
        Ok(())
    })
}

#[test]
fn an_ipv6_vip_returns_with_its_interface() -> Result<()> {
    let net = Net::new()?;
    inside(&net.host, async || {
        let mut kept = Kept::start(&[V6]).await?;
        net.host.ip("link del eth0")?;
        let gone = "there is no interface for clients; name one in datapath.interfaces";
        until(&mut kept.states, "a missing VIP", |states| {
            states[&ip(V6)] == VipState::Missing(gone.into())
        })
        .await?;
        lb_tests::link::veth((&net.host, "eth0"), (&net.one, "eth0"))?;
        let back = added(&["eth0"]);
        until(&mut kept.states, "the VIP again", |states| states[&ip(V6)] == back).await?;
        assert!(holds(&net.host, V6)?);
        Ok(())
    })
}

#[test]
fn an_interface_that_appears_hears_of_ipv4_vips() -> Result<()> {
    let net = Net::new()?;
    net.host.ip("link set eth0 down")?;
    let mac = net.host.mac("eth0")?;
    let sniffer = Sniffer::start(&net.one, ip(V4))?;
    inside(&net.host, async || {
        let _kept = Kept::start(&[V4]).await?;
        net.host.ip("link set eth0 up")?;
        assert_eq!(sniffer.next().await?, mac);
        Ok(())
    })
}

#[test]
fn a_vip_waits_for_lo_to_come_up() -> Result<()> {
    let net = Net::new()?;
    net.host.ip("link set lo down")?;
    inside(&net.host, async || {
        let mut kept = Kept::start(&[V4]).await?;
        let reason = "lo is down; `ip link set lo up`";
        assert_eq!(kept.now(V4), VipState::Missing(reason.into()));
        net.host.ip("link set lo up")?;
        let back = added(&["lo"]);
        until(&mut kept.states, "the VIP", |states| states[&ip(V4)] == back).await?;
        Ok(())
    })
}
