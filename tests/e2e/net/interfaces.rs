//! Which interfaces lb attaches to, how, and which addresses they have.

use std::collections::BTreeSet;

use anyhow::Result;
use lb_tests::link::{bridge, veth};
use lb_userspace::{
    kernel::net::{AttachMode, NetState, Role, Wanted, sysctl},
    model::{InterfaceChoice, Mode},
};

use super::kit::{Net, Watched, backends, inside, ip};

fn named(names: &[&str]) -> Wanted {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    Wanted { interfaces: InterfaceChoice::Named(names), ..Wanted::default() }
}

/// Names and roles of the interfaces to attach to.
fn attached(state: &NetState) -> BTreeSet<(String, Role)> {
    state.attach.values().map(|point| (point.name.clone(), point.role)).collect()
}

fn points(expected: &[(&str, Role)]) -> BTreeSet<(String, Role)> {
    expected.iter().map(|(name, role)| ((*name).to_owned(), *role)).collect()
}

macro_rules! auto {
    ($($name:ident: $routes:literal => $expected:expr;)*) => {$(
        #[test]
        fn $name() -> Result<()> {
            let net = Net::new()?;
            net.host.ip_batch($routes)?;
            inside(&net.host, async || {
                let watched = Watched::start(Wanted::default()).await?;
                assert_eq!(attached(&watched.now()), points($expected));
                Ok(())
            })
        }
    )*};
}

auto! {
    no_default_route_is_no_interface: "route add 10.9.0.0/24 via 10.1.0.2\n" => &[];
    auto_takes_the_interface_of_the_ipv4_default_route: "route add default via 10.1.0.2\n" =>
        &[("eth0", Role::Vip)];
    auto_takes_the_interface_of_the_ipv6_default_route: "route add default via fd02::2\n" =>
        &[("eth1", Role::Vip)];
    auto_takes_the_interfaces_of_both_families:
        "route add default via 10.1.0.2\nroute add default via fd02::2\n" =>
        &[("eth0", Role::Vip), ("eth1", Role::Vip)];
    auto_takes_every_next_hop_of_a_default_route:
        "route add default nexthop via 10.1.0.2 nexthop via 10.2.0.2\n" =>
        &[("eth0", Role::Vip), ("eth1", Role::Vip)];
    auto_takes_default_routes_of_every_metric:
        "route add default via 10.1.0.2\nroute add default via 10.2.0.2 metric 9\n" =>
        &[("eth0", Role::Vip), ("eth1", Role::Vip)];
    auto_leaves_other_tables_alone: "route add default via 10.1.0.2 table 7\n" => &[];
    auto_leaves_rejecting_default_routes_alone: "route add unreachable default\n" => &[];
}

#[test]
fn auto_follows_the_default_route() -> Result<()> {
    let net = Net::new()?;
    inside(&net.host, async || {
        let mut watched = Watched::start(Wanted::default()).await?;
        for (route, dev) in
            [("add default via 10.1.0.2", "eth0"), ("replace default via 10.2.0.2", "eth1")]
        {
            net.host.ip(&format!("route {route}"))?;
            let expected = points(&[(dev, Role::Vip)]);
            watched.until(dev, |state| attached(state) == expected).await?;
        }
        net.host.ip("link set eth1 down")?;
        watched.until("nothing", |state| state.attach.is_empty()).await?;
        Ok(())
    })
}

#[test]
fn backends_add_the_interfaces_their_replies_come_in_by() -> Result<()> {
    let net = Net::new()?;
    inside(&net.host, async || {
        let wanted = Wanted { backends: backends(["10.2.0.2"]).backends, ..named(&["eth0"]) };
        let watched = Watched::start(wanted).await?;
        let expected = points(&[("eth0", Role::Vip), ("eth1", Role::Backend)]);
        assert_eq!(attached(&watched.now()), expected);
        let names: Vec<_> =
            watched.now().view.ifaces.values().map(|iface| iface.name.clone()).collect();
        assert_eq!(names, ["eth0", "eth1"]);
        Ok(())
    })
}

#[test]
fn a_veth_takes_tc_with_the_reason() -> Result<()> {
    reason(
        "eth0",
        Mode::Auto,
        AttachMode::Tc,
        "veth hands over GSO frames and unfinished checksums",
    )
}

#[test]
fn a_bridge_takes_tc_with_the_reason() -> Result<()> {
    reason(
        "br0",
        Mode::Auto,
        AttachMode::Tc,
        "a bridge hands over GSO frames and unfinished checksums",
    )
}

#[test]
fn a_macvlan_takes_tc_with_the_reason() -> Result<()> {
    reason(
        "mv0",
        Mode::Auto,
        AttachMode::Tc,
        "its siblings hand over GSO frames and unfinished checksums",
    )
}

#[test]
fn a_vxlan_device_takes_tc_with_the_reason() -> Result<()> {
    reason("vx0", Mode::Auto, AttachMode::Tc, "this kind of interface has no native XDP")
}

#[test]
fn generic_on_a_vxlan_device_is_as_configured() -> Result<()> {
    reason("vx0", Mode::Generic, AttachMode::Generic, "as configured")
}

#[test]
fn native_on_a_veth_tells_of_stripped_tags_or_unfinished_frames() -> Result<()> {
    reason(
        "eth0",
        Mode::Native,
        AttachMode::Native,
        "as configured, though receive VLAN stripping hides tags from XDP",
    )
}

fn reason(dev: &str, mode: Mode, expected: AttachMode, reason: &str) -> Result<()> {
    let net = Net::new()?;
    bridge(&net.host, "br0", &["eth1"])?;
    net.host.ip("link add mv0 link eth0 type macvlan")?;
    net.host.ip("link add vx0 type vxlan id 7 dstport 4789 dev eth0")?;
    inside(&net.host, async || {
        let watched = Watched::start(Wanted { mode, ..named(&[dev]) }).await?;
        let state = watched.now();
        let point = state.attach.values().next().expect("an interface");
        assert_eq!(
            (point.name.as_str(), point.mode, point.reason.as_str()),
            (dev, expected, reason)
        );
        assert_eq!(point.error, None);
        Ok(())
    })
}

#[test]
fn vlan_stripping_is_read_from_the_interface() -> Result<()> {
    let net = Net::new()?;
    net.host.shell("ethtool -K eth0 rxvlan off")?;
    inside(&net.host, async || {
        let watched = Watched::start(Wanted { mode: Mode::Native, ..named(&["eth0"]) }).await?;
        let state = watched.now();
        let expected = "as configured, though right only where every peer sends finished checksums and no GSO frames";
        assert_eq!(state.attach.values().next().expect("eth0").reason, expected);
        Ok(())
    })
}

#[test]
fn vlan_stripping_that_changes_is_followed() -> Result<()> {
    let net = Net::new()?;
    inside(&net.host, async || {
        let mut watched = Watched::start(Wanted { mode: Mode::Native, ..named(&["eth0"]) }).await?;
        net.host.shell("ethtool -K eth0 rxvlan off")?;
        watched
            .until("another reason", |state| {
                state.attach.values().all(|point| !point.reason.contains("stripping"))
            })
            .await?;
        Ok(())
    })
}

#[test]
fn refused_xdp_becomes_tc_with_the_error() -> Result<()> {
    let net = Net::new()?;
    inside(&net.host, async || {
        let mut watched = Watched::start(Wanted { mode: Mode::Native, ..named(&["eth0"]) }).await?;
        let index = net.host.ifindex("eth0")?;
        watched.watcher.modify(|wanted| _ = wanted.refused.insert(index, "Device busy".into()));
        let state =
            watched.until("TC", |state| state.attach[&index].mode == AttachMode::Tc).await?;
        let expected = "datapath.mode: native is not possible here, tc is used: the kernel refused native XDP: Device busy";
        assert_eq!(state.attach[&index].error.as_deref(), Some(expected));
        Ok(())
    })
}

#[test]
fn refused_xdp_is_not_tried_again_until_the_mode_changes() -> Result<()> {
    let net = Net::new()?;
    inside(&net.host, async || {
        let native = || Wanted { mode: Mode::Native, ..named(&["eth0"]) };
        let mut watched = Watched::start(native()).await?;
        let index = net.host.ifindex("eth0")?;
        watched.watcher.modify(|wanted| _ = wanted.refused.insert(index, "Device busy".into()));
        watched.until("TC", |state| state.attach[&index].mode == AttachMode::Tc).await?;
        // The daemon tells of what is attached now: TC, without a word about XDP.
        let vips = [ip("198.51.100.10")].into();
        watched.watcher.want(Wanted {
            backends: backends(["10.2.0.2"]).backends,
            vips,
            ..native()
        });
        let state = watched.until("eth1", |state| state.attach.len() == 2).await?;
        assert_eq!(state.attach[&index].mode, AttachMode::Tc);
        watched.watcher.want(Wanted { mode: Mode::Tc, ..native() });
        watched.until("no error", |state| state.attach[&index].error.is_none()).await?;
        watched.watcher.want(native());
        watched.until("XDP", |state| state.attach[&index].mode == AttachMode::Native).await?;
        Ok(())
    })
}

#[test]
fn attached_xdp_is_told_to_the_plan() -> Result<()> {
    let net = Net::new()?;
    inside(&net.host, async || {
        let mut watched = Watched::start(Wanted { mode: Mode::Native, ..named(&["eth0"]) }).await?;
        let index = net.host.ifindex("eth0")?;
        assert!(!watched.now().view.ifaces[&index].xdp);
        watched.watcher.modify(|wanted| _ = wanted.native.insert(index));
        let view = watched.now().view_with(&[index].into());
        assert!(view.ifaces[&index].xdp, "told at once by who has attached it");
        watched.until("XDP", |state| state.view.ifaces[&index].xdp).await?;
        Ok(())
    })
}

#[test]
fn an_interface_that_is_not_there_is_told_and_taken_when_it_appears() -> Result<()> {
    let net = Net::new()?;
    inside(&net.host, async || {
        let mut watched = Watched::start(named(&["eth0", "late0"])).await?;
        let told = "there is no such interface now; lb attaches when it appears";
        assert_eq!(watched.now().unusable["late0"], told);
        veth((&net.host, "late0"), (&net.one, "late1"))?;
        let expected = points(&[("eth0", Role::Vip), ("late0", Role::Vip)]);
        watched.until("late0", |state| attached(state) == expected).await?;
        assert!(watched.now().unusable.is_empty());
        Ok(())
    })
}

#[test]
fn an_interface_that_returns_has_its_new_index() -> Result<()> {
    let net = Net::new()?;
    inside(&net.host, async || {
        let mut watched = Watched::start(named(&["eth0"])).await?;
        let before = net.host.ifindex("eth0")?;
        net.host.ip("link del eth0")?;
        watched.until("nothing", |state| state.attach.is_empty()).await?;
        veth((&net.host, "eth0"), (&net.one, "eth0"))?;
        let after = net.host.ifindex("eth0")?;
        watched.until("eth0", |state| state.attach.contains_key(&after)).await?;
        assert_ne!(before, after);
        Ok(())
    })
}

#[test]
fn a_port_that_leaves_a_bridge_is_still_an_interface() -> Result<()> {
    let net = Net::new()?;
    bridge(&net.host, "br0", &["eth0"])?;
    inside(&net.host, async || {
        let mut watched = Watched::start(named(&["eth0"])).await?;
        let index = net.host.ifindex("eth0")?;
        net.host.ip("link set eth0 nomaster")?;
        watched.until("no bridge", |state| state.links[&index].master.is_none()).await?;
        assert!(watched.now().attach.contains_key(&index));
        Ok(())
    })
}

#[test]
fn loopback_is_no_interface_for_clients() -> Result<()> {
    unusable("lo", "loopback traffic never reaches XDP or TC of a NIC")
}

#[test]
fn a_tun_device_is_no_interface_for_clients() -> Result<()> {
    unusable("t0", "it carries no Ethernet frames")
}

fn unusable(dev: &str, reason: &str) -> Result<()> {
    let net = Net::new()?;
    net.host.ip("tuntap add t0 mode tun")?;
    inside(&net.host, async || {
        let watched = Watched::start(named(&[dev])).await?;
        assert!(watched.now().attach.is_empty());
        assert_eq!(watched.now().unusable[dev], reason);
        Ok(())
    })
}

#[test]
fn the_addresses_of_the_interfaces_are_told_but_for_added_vips_and_link_local_ones() -> Result<()> {
    let net = Net::new()?;
    net.host.ip("addr add 2001:db8::10/128 dev eth0 nodad")?;
    inside(&net.host, async || {
        // One that lb has put there, and one that was there before.
        let vips = [ip("2001:db8::10"), ip("10.1.0.1")].into();
        let mut watched = Watched::start(Wanted { vips, ..named(&["eth0"]) }).await?;
        assert_eq!(watched.now().view.addresses, [ip("10.1.0.1"), ip("fd01::1")]);
        net.host.ip("addr add 10.1.0.5/24 dev eth0")?;
        let expected = [ip("10.1.0.1"), ip("10.1.0.5"), ip("fd01::1")];
        watched.until("the new address", |state| state.view.addresses == expected).await?;
        net.host.ip("addr del 10.1.0.1/24 dev eth0")?;
        watched.until("one less", |state| !state.view.addresses.contains(&ip("10.1.0.1"))).await?;
        Ok(())
    })
}

#[test]
fn the_hosts_ports_are_those_of_its_own_namespace() -> Result<()> {
    let net = Net::new()?;
    net.host.sysctl("net/ipv4/ip_local_port_range", "40000 50000")?;
    net.host.sysctl("net/ipv4/ip_local_reserved_ports", "41000-41010,42000")?;
    inside(&net.host, async || {
        let watched = Watched::start(Wanted::default()).await?;
        assert_eq!(watched.now().view.host_ports, (40_000, 50_000));
        assert_eq!(sysctl::reserved_ports()?, [(41_000, 41_010), (42_000, 42_000)]);
        Ok(())
    })
}
