//! Ways to backends: routes and next hops, and following their changes. (VLAN
//! devices, which not every kernel has, are tested beside the code.)

use anyhow::Result;
use lb_tests::{Namespace, link::bridge};
use lb_userspace::kernel::net::Obstacle;

use super::kit::{Net, Watched, backends, inside, ip};

#[test]
fn an_on_link_backend_is_its_own_next_hop() -> Result<()> {
    on_link("10.1.0.2", "10.1.0.1")
}

#[test]
fn an_on_link_ipv6_backend_is_its_own_next_hop() -> Result<()> {
    on_link("fd01::2", "fd01::1")
}

fn on_link(backend: &str, source: &str) -> Result<()> {
    let net = Net::new()?;
    inside(&net.host, async || {
        let mut watched = Watched::start(backends([backend])).await?;
        let hop = watched.way(backend).await?;
        assert_eq!(hop.ifindex, net.host.ifindex("eth0")?);
        assert_eq!(hop.mac, Some(net.one.mac("eth0")?));
        assert_eq!(hop.source_mac, net.host.mac("eth0")?);
        assert_eq!((hop.vlan, hop.mtu, hop.source), (0, 1500, Some(ip(source))));
        assert!(watched.now().obstacles.is_empty());
        Ok(())
    })
}

#[test]
fn backends_of_two_families_on_two_links() -> Result<()> {
    let net = Net::new()?;
    inside(&net.host, async || {
        let mut watched = Watched::start(backends(["10.1.0.2", "fd02::2"])).await?;
        assert_eq!(watched.way("10.1.0.2").await?.ifindex, net.host.ifindex("eth0")?);
        assert_eq!(watched.way("fd02::2").await?.ifindex, net.host.ifindex("eth1")?);
        Ok(())
    })
}

#[test]
fn a_backend_behind_a_gateway_has_the_gateways_mac() -> Result<()> {
    gateway("10.9.0.7", "route add 10.9.0.0/24 via 10.2.0.2")
}

#[test]
fn an_ipv6_backend_behind_a_gateway_has_the_gateways_mac() -> Result<()> {
    gateway("fd09::7", "route add fd09::/64 via fd02::2")
}

#[test]
fn an_ipv4_backend_behind_an_ipv6_gateway_has_the_gateways_mac() -> Result<()> {
    gateway("10.9.0.7", "route add 10.9.0.0/24 via inet6 fd02::2")
}

fn gateway(backend: &str, route: &str) -> Result<()> {
    let net = Net::new()?;
    net.host.ip(route)?;
    inside(&net.host, async || {
        let hop = Watched::start(backends([backend])).await?.way(backend).await?;
        assert_eq!(hop.ifindex, net.host.ifindex("eth1")?);
        assert_eq!(hop.mac, Some(net.two.mac("eth0")?));
        Ok(())
    })
}

#[test]
fn a_bridge_stays_itself() -> Result<()> {
    let net = Net::new()?;
    net.host.ip("addr flush dev eth0")?;
    bridge(&net.host, "br0", &["eth0"])?;
    net.host.ip("addr add 10.1.0.1/24 dev br0")?;
    inside(&net.host, async || {
        let hop = Watched::start(backends(["10.1.0.2"])).await?.way("10.1.0.2").await?;
        assert_eq!((hop.ifindex, hop.vlan), (net.host.ifindex("br0")?, 0));
        assert_eq!(hop.source_mac, net.host.mac("br0")?);
        Ok(())
    })
}

#[test]
fn a_macvlan_stays_itself() -> Result<()> {
    let net = Net::new()?;
    net.host.ip_batch(
        "link add mv0 link eth0 type macvlan mode bridge\nlink set mv0 up\n\
         addr add 10.3.0.1/24 dev mv0\n",
    )?;
    net.one.ip("addr add 10.3.0.2/24 dev eth0")?;
    inside(&net.host, async || {
        let hop = Watched::start(backends(["10.3.0.2"])).await?.way("10.3.0.2").await?;
        assert_eq!(hop.ifindex, net.host.ifindex("mv0")?);
        Ok(())
    })
}

#[test]
fn the_mtu_of_a_route_counts() -> Result<()> {
    let net = Net::new()?;
    net.host.ip("route add 10.9.0.0/24 via 10.1.0.2 mtu 1280")?;
    inside(&net.host, async || {
        let mut watched = Watched::start(backends(["10.9.0.7", "10.1.0.2"])).await?;
        assert_eq!(watched.way("10.9.0.7").await?.mtu, 1280);
        assert_eq!(watched.way("10.1.0.2").await?.mtu, 1500);
        Ok(())
    })
}

#[test]
fn a_changed_mtu_is_followed() -> Result<()> {
    let net = Net::new()?;
    inside(&net.host, async || {
        let mut watched = Watched::start(backends(["10.1.0.2"])).await?;
        watched.way("10.1.0.2").await?;
        net.host.ip("link set eth0 mtu 1300")?;
        let smaller = |mtu| mtu == Some(1300);
        let hop = |state: &lb_userspace::kernel::net::NetState| {
            state.view.next_hops.get(&ip("10.1.0.2")).map(|hop| hop.mtu)
        };
        watched.until("the new MTU", |state| smaller(hop(state))).await?;
        Ok(())
    })
}

#[test]
fn the_source_of_a_route_counts() -> Result<()> {
    let net = Net::new()?;
    net.host.ip("addr add 10.1.0.77/32 dev eth0")?;
    net.host.ip("route add 10.9.0.0/24 via 10.1.0.2 src 10.1.0.77")?;
    inside(&net.host, async || {
        let hop = Watched::start(backends(["10.9.0.7"])).await?.way("10.9.0.7").await?;
        assert_eq!(hop.source, Some(ip("10.1.0.77")));
        Ok(())
    })
}

#[test]
fn a_route_moved_to_another_gateway_is_followed() -> Result<()> {
    let net = Net::new()?;
    net.host.ip("route add 10.9.0.0/24 via 10.1.0.2")?;
    inside(&net.host, async || {
        let mut watched = Watched::start(backends(["10.9.0.7"])).await?;
        assert_eq!(watched.way("10.9.0.7").await?.mac, Some(net.one.mac("eth0")?));
        net.host.ip("route replace 10.9.0.0/24 via 10.2.0.2")?;
        moved(&mut watched, &net.two).await
    })
}

#[test]
fn a_more_specific_route_is_followed() -> Result<()> {
    let net = Net::new()?;
    net.host.ip("route add default via 10.1.0.2")?;
    inside(&net.host, async || {
        let mut watched = Watched::start(backends(["10.9.0.7"])).await?;
        assert_eq!(watched.way("10.9.0.7").await?.mac, Some(net.one.mac("eth0")?));
        net.host.ip("route add 10.9.0.7/32 via 10.2.0.2")?;
        moved(&mut watched, &net.two).await?;
        net.host.ip("route del 10.9.0.7/32")?;
        moved(&mut watched, &net.one).await
    })
}

#[test]
fn a_rule_that_moves_a_route_is_followed() -> Result<()> {
    let net = Net::new()?;
    net.host.ip("route add 10.9.0.0/24 via 10.1.0.2")?;
    net.host.ip("route add 10.9.0.0/24 via 10.2.0.2 table 100")?;
    inside(&net.host, async || {
        let mut watched = Watched::start(backends(["10.9.0.7"])).await?;
        assert_eq!(watched.way("10.9.0.7").await?.mac, Some(net.one.mac("eth0")?));
        net.host.ip("rule add to 10.9.0.0/24 table 100")?;
        moved(&mut watched, &net.two).await
    })
}

#[test]
fn a_fallback_route_is_taken_when_a_link_goes_down() -> Result<()> {
    let net = Net::new()?;
    net.host.ip("route add 10.9.0.0/24 via 10.1.0.2 metric 1")?;
    net.host.ip("route add 10.9.0.0/24 via 10.2.0.2 metric 2")?;
    inside(&net.host, async || {
        let mut watched = Watched::start(backends(["10.9.0.7"])).await?;
        assert_eq!(watched.way("10.9.0.7").await?.mac, Some(net.one.mac("eth0")?));
        net.host.ip("link set eth0 down")?;
        moved(&mut watched, &net.two).await
    })
}

#[test]
fn a_neighbour_with_a_new_mac_is_followed() -> Result<()> {
    let net = Net::new()?;
    net.one.sysctl("net/ipv4/conf/all/arp_notify", "1")?;
    inside(&net.host, async || {
        let mut watched = Watched::start(backends(["10.1.0.2"])).await?;
        watched.way("10.1.0.2").await?;
        net.one.ip("link set eth0 address 02:00:00:00:00:99")?;
        moved(&mut watched, &net.one).await
    })
}

#[test]
fn a_mac_that_changes_in_silence_is_found_by_probing() -> Result<()> {
    silent_change("10.1.0.2", "ipv4")
}

#[test]
fn an_ipv6_mac_that_changes_in_silence_is_found_by_probing() -> Result<()> {
    silent_change("fd01::2", "ipv6")
}

/// Nobody tells of the change, and nothing of the host's own goes there: the kernel probes whom it
/// keeps for lb. By default it takes half a minute to doubt an answer, here a second.
fn silent_change(backend: &str, family: &str) -> Result<()> {
    let net = Net::new()?;
    for (key, value) in [
        ("base_reachable_time_ms", "1000"),
        ("delay_first_probe_time", "1"),
        ("retrans_time_ms", "200"),
    ] {
        net.host.sysctl(&format!("net/{family}/neigh/eth0/{key}"), value)?;
    }
    inside(&net.host, async || {
        let mut watched = Watched::start(backends([backend])).await?;
        watched.way(backend).await?;
        net.one.ip("link set eth0 address 02:00:00:00:00:99")?;
        moved(&mut watched, &net.one).await
    })
}

/// Waits until whichever backend is wanted goes by way of `peer`.
async fn moved(watched: &mut Watched, peer: &Namespace) -> Result<()> {
    let mac = Some(peer.mac("eth0")?);
    let there = |state: &lb_userspace::kernel::net::NetState| {
        state.view.next_hops.values().all(|hop| hop.mac == mac) && !state.view.next_hops.is_empty()
    };
    watched.until("the way by the other peer", there).await?;
    Ok(())
}

#[test]
fn an_interface_that_vanishes_and_returns_is_followed() -> Result<()> {
    let net = Net::new()?;
    inside(&net.host, async || {
        let mut watched = Watched::start(backends(["10.1.0.2"])).await?;
        let before = watched.way("10.1.0.2").await?.ifindex;
        net.host.ip("link del eth0")?;
        assert_eq!(watched.obstacle("10.1.0.2").await?, Obstacle::NoRoute);
        lb_tests::link::veth((&net.host, "eth0"), (&net.one, "eth0"))?;
        net.one.ip("addr add 10.1.0.2/24 dev eth0")?;
        net.host.ip("addr add 10.1.0.1/24 dev eth0")?;
        let hop = watched.way("10.1.0.2").await?;
        assert_eq!(hop.ifindex, net.host.ifindex("eth0")?);
        assert_ne!(hop.ifindex, before);
        assert_eq!(hop.mac, Some(net.one.mac("eth0")?));
        Ok(())
    })
}

#[test]
fn backends_wanted_later_are_looked_after() -> Result<()> {
    let net = Net::new()?;
    inside(&net.host, async || {
        let mut watched = Watched::start(backends([])).await?;
        assert!(watched.now().view.next_hops.is_empty());
        watched.watcher.want(backends(["10.1.0.2", "10.2.0.2"]));
        watched.way("10.1.0.2").await?;
        watched.way("10.2.0.2").await?;
        watched.watcher.want(backends(["10.2.0.2"]));
        watched.until("one way", |state| state.view.next_hops.len() == 1).await?;
        Ok(())
    })
}

macro_rules! obstacles {
    ($($name:ident: $setup:expr, $backend:literal => $expected:literal;)*) => {$(
        #[test]
        fn $name() -> Result<()> {
            let net = Net::new()?;
            net.host.ip_batch($setup)?;
            inside(&net.host, async || {
                let mut watched = Watched::start(backends([$backend])).await?;
                assert_eq!(watched.obstacle($backend).await?.to_string(), $expected);
                Ok(())
            })
        }
    )*};
}

obstacles! {
    a_loopback_backend_is_out_of_reach: "", "127.0.0.1" =>
        "the address is this host's own: the kernel path reaches only backends beyond an interface";
    an_ipv6_loopback_backend_is_out_of_reach: "", "::1" =>
        "the address is this host's own: the kernel path reaches only backends beyond an interface";
    a_backend_on_the_host_is_out_of_reach: "", "10.1.0.1" =>
        "the address is this host's own: the kernel path reaches only backends beyond an interface";
    an_ipv6_backend_on_the_host_is_out_of_reach: "", "fd01::1" =>
        "the address is this host's own: the kernel path reaches only backends beyond an interface";
    a_backend_without_a_route_is_out_of_reach: "", "192.0.2.9" => "the host has no route to it";
    an_ipv6_backend_without_a_route_is_out_of_reach: "", "2001:db8::9" => "the host has no route to it";
    a_blackholed_backend_is_out_of_reach: "route add blackhole 192.0.2.0/24\n", "192.0.2.9" =>
        "the host's route to it is of type blackhole";
    a_prohibited_backend_is_out_of_reach: "route add prohibit 192.0.2.0/24\n", "192.0.2.9" =>
        "the host's route to it is of type prohibit";
    a_backend_declared_unreachable_is_out_of_reach: "route add unreachable 192.0.2.0/24\n", "192.0.2.9" =>
        "the host's route to it is of type unreachable";
    a_backend_by_a_tun_device_is_out_of_reach:
        "tuntap add t0 mode tun\nlink set t0 up\nroute add 192.0.2.0/24 dev t0\n", "192.0.2.9" =>
        "its route leaves by t0, which carries no Ethernet frames";
    a_silent_backend_is_unresolved: "", "10.1.0.99" =>
        "its next hop 10.1.0.99 on eth0 doesn't answer ARP";
    a_silent_ipv6_gateway_is_unresolved: "route add fd09::/64 via fd02::99\n", "fd09::7" =>
        "its next hop fd02::99 on eth1 doesn't answer neighbour discovery";
}
