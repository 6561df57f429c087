//! Next hops are kept by the kernel, marked as lb's, and given up in the end.

use std::time::Duration;

use anyhow::Result;
use lb_userspace::kernel::net::{NetWatcher, Obstacle, Pace, release_neighbours};

use super::kit::{Net, Watched, backends, eventually, inside, ip};

/// What `ip neigh` says of a neighbour of the host; empty when there is none.
fn shown(net: &Net, address: &str) -> Result<String> {
    net.host.ip(&format!("neigh show {address}"))
}

#[test]
fn a_next_hop_is_kept_by_the_kernel() -> Result<()> {
    kept("10.1.0.2")
}

#[test]
fn an_ipv6_next_hop_is_kept_by_the_kernel() -> Result<()> {
    kept("fd01::2")
}

fn kept(backend: &str) -> Result<()> {
    let net = Net::new()?;
    inside(&net.host, async || {
        let mut watched = Watched::start(backends([backend])).await?;
        watched.way(backend).await?;
        let shown = shown(&net, backend)?;
        assert!(shown.contains("managed") && shown.contains("proto 108"), "{shown}");
        Ok(())
    })
}

#[test]
fn a_neighbour_of_the_host_is_kept_from_then_on() -> Result<()> {
    let net = Net::new()?;
    let mac = net.one.ip("-br link show dev eth0")?;
    let mac = mac.split_whitespace().nth(2).unwrap_or_default().to_owned();
    net.host.ip(&format!("neigh add 10.1.0.2 lladdr {mac} dev eth0 nud reachable"))?;
    inside(&net.host, async || {
        let mut watched = Watched::start(backends(["10.1.0.2"])).await?;
        watched.way("10.1.0.2").await?;
        assert!(shown(&net, "10.1.0.2")?.contains("managed"));
        Ok(())
    })
}

#[test]
fn a_permanent_neighbour_is_left_as_it_is() -> Result<()> {
    let net = Net::new()?;
    net.host.ip("neigh add 10.1.0.2 lladdr 02:00:00:00:00:77 dev eth0 nud permanent")?;
    inside(&net.host, async || {
        let mut watched = Watched::start(backends(["10.1.0.2"])).await?;
        assert_eq!(watched.way("10.1.0.2").await?.mac, Some([2, 0, 0, 0, 0, 0x77]));
        watched.watcher.stop().await;
        let shown = shown(&net, "10.1.0.2")?;
        assert!(shown.contains("PERMANENT") && !shown.contains("managed"), "{shown}");
        Ok(())
    })
}

#[test]
fn a_next_hop_no_longer_needed_is_given_up() -> Result<()> {
    let net = Net::new()?;
    inside(&net.host, async || {
        let mut watched = Watched::start(backends(["10.1.0.2", "10.2.0.2"])).await?;
        watched.way("10.1.0.2").await?;
        watched.watcher.want(backends(["10.2.0.2"]));
        watched.until("one way", |state| state.view.next_hops.len() == 1).await?;
        assert_eq!(shown(&net, "10.1.0.2")?, "");
        assert!(shown(&net, "10.2.0.2")?.contains("managed"));
        Ok(())
    })
}

#[test]
fn stopping_gives_up_next_hops() -> Result<()> {
    let net = Net::new()?;
    inside(&net.host, async || {
        let mut watched = Watched::start(backends(["10.1.0.2"])).await?;
        watched.way("10.1.0.2").await?;
        watched.watcher.stop().await;
        assert_eq!(shown(&net, "10.1.0.2")?, "");
        Ok(())
    })
}

#[test]
fn a_daemon_that_dies_leaves_next_hops_and_detaching_gives_them_up() -> Result<()> {
    let net = Net::new()?;
    inside(&net.host, async || {
        let mut watched = Watched::start(backends(["10.1.0.2", "fd02::2"])).await?;
        watched.way("10.1.0.2").await?;
        watched.way("fd02::2").await?;
        drop(watched);
        tokio::task::yield_now().await;
        assert!(shown(&net, "10.1.0.2")?.contains("managed"));
        assert_eq!(release_neighbours().await?, 2);
        assert_eq!(shown(&net, "10.1.0.2")? + &shown(&net, "fd02::2")?, "");
        Ok(())
    })
}

#[test]
fn the_next_daemon_gives_up_what_it_has_no_use_for() -> Result<()> {
    let net = Net::new()?;
    inside(&net.host, async || {
        let mut first = Watched::start(backends(["10.1.0.2", "10.2.0.2"])).await?;
        first.way("10.1.0.2").await?;
        first.way("10.2.0.2").await?;
        drop(first);
        // Not before the second sync: until then somebody may still want it.
        let pace = Pace { resync: Duration::from_millis(200), ..Pace::default() };
        let next = NetWatcher::start_at(backends(["10.2.0.2"]), pace).await?;
        assert!(shown(&net, "10.1.0.2")?.contains("managed"));
        eventually("nothing kept", || Ok(shown(&net, "10.1.0.2")?.is_empty())).await?;
        assert!(shown(&net, "10.2.0.2")?.contains("managed"));
        next.stop().await;
        Ok(())
    })
}

#[test]
fn a_neighbour_that_someone_deletes_is_resolved_again() -> Result<()> {
    let net = Net::new()?;
    inside(&net.host, async || {
        let mut watched = Watched::start(backends(["10.1.0.2"])).await?;
        watched.way("10.1.0.2").await?;
        net.host.ip("neigh del 10.1.0.2 dev eth0")?;
        eventually("it kept again", || Ok(shown(&net, "10.1.0.2")?.contains("managed"))).await?;
        watched.way("10.1.0.2").await?;
        Ok(())
    })
}

#[test]
fn a_backend_that_comes_up_later_is_resolved() -> Result<()> {
    let net = Net::new()?;
    inside(&net.host, async || {
        let mut watched = Watched::start(backends(["10.1.0.9"])).await?;
        let Obstacle::Unresolved { next_hop, interface } = watched.obstacle("10.1.0.9").await?
        else {
            panic!("another obstacle")
        };
        assert_eq!((next_hop, interface.as_str()), (ip("10.1.0.9"), "eth0"));
        net.one.ip("addr add 10.1.0.9/24 dev eth0")?;
        assert_eq!(watched.way("10.1.0.9").await?.mac, Some(net.one.mac("eth0")?));
        assert!(watched.now().obstacles.is_empty());
        Ok(())
    })
}

#[test]
fn events_lost_in_a_burst_are_made_up_for() -> Result<()> {
    let net = Net::new()?;
    net.host.ip("route add 10.9.0.0/24 via 10.1.0.2")?;
    inside(&net.host, async || {
        let pace =
            Pace { event_buffer: 4096, resync: Duration::from_secs(3600), ..Pace::default() };
        let watcher = NetWatcher::start_at(backends(["10.9.0.7"]), pace).await?;
        let mut watched = Watched { states: watcher.states(), watcher };
        watched.way("10.9.0.7").await?;
        // This thread is the watcher's too: nothing is heard in the meantime.
        let burst: String = (0..2000)
            .map(|n| format!("route add 172.16.{}.{}/32 via 10.1.0.2\n", n / 200, n % 200))
            .collect();
        net.host.ip_batch(&burst)?;
        net.host.ip("route replace 10.9.0.0/24 via 10.2.0.2")?;
        let mac = Some(net.two.mac("eth0")?);
        let moved = |state: &lb_userspace::kernel::net::NetState| {
            state.view.next_hops[&ip("10.9.0.7")].mac == mac
        };
        watched.until("the way by the other peer", moved).await?;
        Ok(())
    })
}

#[test]
fn a_timed_resync_goes_on_without_harm() -> Result<()> {
    let net = Net::new()?;
    inside(&net.host, async || {
        let pace = Pace { resync: Duration::from_millis(20), ..Pace::default() };
        let watcher = NetWatcher::start_at(backends(["10.1.0.2"]), pace).await?;
        let mut watched = Watched { states: watcher.states(), watcher };
        watched.way("10.1.0.2").await?;
        watched.states.mark_unchanged();
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(!watched.states.has_changed()?, "a resync that finds nothing new tells nothing");
        Ok(())
    })
}
