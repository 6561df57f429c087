//! From what the kernel has told to a [`NetState`]: pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use crate::{
    model::InterfaceChoice,
    plan::{IfaceView, NetView, NextHop},
};

use super::{
    AttachMode, AttachPoint, Facts, HostAddress, Link, LinkKind, NetState, Obstacle, Role, Wanted,
    choose, ethtool::Offloads, neighbours::Key, routes::Route,
};

/// What the kernel has told.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Tables {
    /// By index.
    pub(crate) links: BTreeMap<u32, Link>,
    /// By interface and address.
    pub(crate) addresses: BTreeMap<(u32, IpAddr), HostAddress>,
    /// By backend.
    pub(crate) routes: BTreeMap<IpAddr, Result<Route, Obstacle>>,
    /// Interfaces of the default routes.
    pub(crate) defaults: BTreeSet<u32>,
    /// `ip_local_port_range`.
    pub(crate) host_ports: (u16, u16),
}

impl Tables {
    /// The neighbours that the routes need.
    pub(crate) fn next_hops(&self) -> BTreeSet<Key> {
        let ethernet = |oif: u32| self.links.get(&oif).is_some_and(|link| link.ethernet);
        self.routes
            .iter()
            .filter_map(|(backend, route)| Some((backend, route.as_ref().ok()?)))
            .filter(|(_, route)| ethernet(route.oif))
            .map(|(backend, route)| (route.oif, route.gateway.unwrap_or(*backend)))
            .collect()
    }

    /// The state, given the resolved neighbours and what NICs do to frames.
    pub(crate) fn state(
        &self,
        wanted: &Wanted,
        mac: impl Fn(&Key) -> Option<[u8; 6]>,
        offloads: impl Fn(&Link) -> Offloads,
    ) -> NetState {
        let mut state = NetState {
            links: self.links.clone(),
            host_addresses: self.addresses.clone(),
            ..NetState::default()
        };
        let mut next_hops = BTreeMap::new();
        for (backend, route) in &self.routes {
            match route.clone().and_then(|route| self.next_hop(*backend, &route, &mac)) {
                Ok((hop, None)) => _ = next_hops.insert(*backend, hop),
                Ok((hop, Some(obstacle))) => {
                    next_hops.insert(*backend, hop);
                    state.obstacles.insert(*backend, obstacle);
                }
                Err(obstacle) => _ = state.obstacles.insert(*backend, obstacle),
            }
        }
        state.view.next_hops = Arc::new(next_hops);
        self.attach(wanted, &mut state, offloads);
        self.interfaces(wanted, &mut state.view, &state.attach);
        state
    }

    /// The way to one backend, with what still stands in it.
    fn next_hop(
        &self,
        backend: IpAddr,
        route: &Route,
        mac: impl Fn(&Key) -> Option<[u8; 6]>,
    ) -> Result<(NextHop, Option<Obstacle>), Obstacle> {
        let link = self.links.get(&route.oif).ok_or(Obstacle::NoInterface { index: route.oif })?;
        if !link.ethernet {
            return Err(Obstacle::NotEthernet { interface: link.name.clone() });
        }
        let ifindex = self.carrier(link);
        let vlan = link.vlan.filter(|_| ifindex != link.index).map_or(0, |vlan| vlan.word);
        let address = route.gateway.unwrap_or(backend);
        let mac = mac(&(route.oif, address));
        let obstacle = mac
            .is_none()
            .then(|| Obstacle::Unresolved { next_hop: address, interface: link.name.clone() });
        let hop = NextHop {
            ifindex,
            vlan,
            mac,
            source_mac: link.mac,
            mtu: route.mtu.unwrap_or(link.mtu).min(link.mtu),
            source: route.source,
        };
        Ok((hop, obstacle))
    }

    /// Where frames of an interface pass: of a VLAN device the parent carries them, tagged; a
    /// parent that is a VLAN device itself adds its own tag.
    fn carrier(&self, link: &Link) -> u32 {
        let parent = link.vlan.map(|vlan| vlan.parent);
        parent.filter(|parent| self.links.contains_key(parent)).unwrap_or(link.index)
    }

    /// Fills in where to attach and how.
    fn attach(&self, wanted: &Wanted, state: &mut NetState, offloads: impl Fn(&Link) -> Offloads) {
        let mut points = BTreeMap::new();
        for link in self.configured(&wanted.interfaces, &mut state.unusable) {
            points.insert(link.index, Role::Vip);
        }
        for hop in state.view.next_hops.values() {
            points.entry(hop.ifindex).or_insert(Role::Backend);
        }
        let holders = self.addresses.keys().filter(|(_, address)| wanted.nats.contains(address));
        for link in holders.filter_map(|(index, _)| self.links.get(index)) {
            if link.ethernet && link.kind != LinkKind::Loopback {
                points.entry(self.carrier(link)).or_insert(Role::Backend);
            }
        }
        for (index, role) in points {
            let Some(link) = self.links.get(&index) else { continue };
            let offloads = offloads(link);
            let choice = choose(
                wanted.mode,
                &Facts {
                    name: link.name.clone(),
                    kind: link.kind.clone(),
                    named: role == Role::Vip,
                    strips_vlan: offloads.strips_vlan,
                    merges: offloads.merges,
                    refused: wanted.refused.get(&index).cloned(),
                },
            );
            let point = AttachPoint {
                index,
                name: link.name.clone(),
                role,
                mode: choice.mode,
                also_tc: false,
                reason: choice.reason,
                error: choice.error,
            };
            state.attach.insert(index, point);
        }
        // XDP redirects only to where lb's native XDP is: one interface
        // without it, and some packets need TC on all the others.
        let all_native = state.attach.values().all(|point| point.mode == AttachMode::Native);
        for point in state.attach.values_mut() {
            point.also_tc = point.mode != AttachMode::Tc && !all_native;
        }
    }

    /// The configured interfaces that can be attached to; the others by name with the reason.
    fn configured(
        &self,
        choice: &InterfaceChoice,
        unusable: &mut BTreeMap<String, String>,
    ) -> Vec<&Link> {
        let found: Vec<&Link> = match choice {
            InterfaceChoice::Auto => {
                self.defaults.iter().filter_map(|index| self.links.get(index)).collect()
            }
            InterfaceChoice::Named(names) => names
                .iter()
                .filter_map(|name| {
                    let link = self.links.values().find(|link| link.name == *name);
                    if link.is_none() {
                        unusable.insert(
                            name.clone(),
                            "there is no such interface now; lb attaches when it appears".into(),
                        );
                    }
                    link
                })
                .collect(),
        };
        found
            .into_iter()
            .filter(|link| {
                let reason = match (&link.kind, link.ethernet) {
                    (LinkKind::Loopback, _) => "loopback traffic never reaches XDP or TC of a NIC",
                    (_, false) => "it carries no Ethernet frames",
                    _ => return true,
                };
                unusable.insert(link.name.clone(), reason.to_owned());
                false
            })
            .collect()
    }

    /// Fills in the interfaces, their addresses and the host's ports.
    fn interfaces(&self, wanted: &Wanted, view: &mut NetView, attach: &BTreeMap<u32, AttachPoint>) {
        view.host_ports = self.host_ports;
        for index in attach.keys() {
            let Some(link) = self.links.get(index) else { continue };
            let xdp = wanted.native.contains(index);
            view.ifaces.insert(
                *index,
                IfaceView { name: link.name.clone(), mac: link.mac, mtu: link.mtu, xdp },
            );
        }
        // What lb itself has put there ([`super::addresses::add`]) is no address of the interface's own.
        // A link-local address means another host on each link: no VIP.
        let ambiguous =
            |address: &IpAddr| matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
        let addresses: BTreeSet<IpAddr> = self
            .addresses
            .iter()
            .filter(|((index, address), details)| {
                details.usable
                    && attach.get(index).is_some_and(|point| point.role == Role::Vip)
                    && !ambiguous(address)
                    && !(details.prefix == 128 && wanted.vips.contains(address))
            })
            .map(|((_, address), _)| *address)
            .collect();
        view.addresses = addresses.into_iter().collect();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{kernel::net::Vlan, model::Mode};

    const BACKEND: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 9));

    fn link(index: u32, kind: LinkKind) -> Link {
        Link {
            index,
            name: format!("{kind}{index}"),
            kind,
            mac: [2, 0, 0, 0, 0, index as u8],
            mtu: 1500 - index,
            up: true,
            running: true,
            ethernet: true,
            master: None,
            vlan: None,
        }
    }

    fn vlan(index: u32, parent: u32, word: u16) -> Link {
        Link { vlan: Some(Vlan { parent, word }), ..link(index, LinkKind::Vlan) }
    }

    /// With a route to [`BACKEND`] by the last of these.
    fn tables(links: impl IntoIterator<Item = Link>) -> Tables {
        let links: BTreeMap<_, _> = links.into_iter().map(|link| (link.index, link)).collect();
        let oif = *links.keys().last().unwrap();
        let route = Route { oif, gateway: None, source: None, mtu: None };
        Tables { links, routes: [(BACKEND, Ok(route))].into(), ..Tables::default() }
    }

    fn state(tables: &Tables, wanted: &Wanted) -> NetState {
        tables.state(wanted, |_| Some([9; 6]), |_| Offloads::default())
    }

    fn hop(tables: &Tables) -> NextHop {
        state(tables, &Wanted::default()).view.next_hops[&BACKEND].clone()
    }

    #[test]
    fn a_vlan_device_becomes_its_parent_and_a_tag() {
        let tables = tables([link(2, LinkKind::Device), vlan(5, 2, 0x1064)]);
        let hop = hop(&tables);
        assert_eq!((hop.ifindex, hop.vlan), (2, 0x1064));
        assert_eq!((hop.source_mac, hop.mtu), ([2, 0, 0, 0, 0, 5], 1495));
    }

    #[test]
    fn the_neighbour_is_asked_for_on_the_vlan_device() {
        let tables = tables([link(2, LinkKind::Device), vlan(5, 2, 0x1064)]);
        assert_eq!(tables.next_hops(), [(5, BACKEND)].into());
    }

    #[test]
    fn a_vlan_in_a_vlan_keeps_the_outer_device() {
        let tables = tables([link(2, LinkKind::Device), vlan(5, 2, 0x1064), vlan(6, 5, 0x10c8)]);
        let hop = hop(&tables);
        assert_eq!((hop.ifindex, hop.vlan), (5, 0x10c8));
    }

    #[test]
    fn a_vlan_device_whose_parent_is_elsewhere_stays_itself() {
        let hop = hop(&tables([vlan(5, 2, 0x1064)]));
        assert_eq!((hop.ifindex, hop.vlan), (5, 0));
    }

    #[test]
    fn lb_attaches_to_the_parent_that_a_backends_replies_come_in_by() {
        let tables = tables([link(2, LinkKind::Device), vlan(5, 2, 0x1064)]);
        let state = state(&tables, &Wanted::default());
        assert_eq!(state.attach.keys().collect::<Vec<_>>(), [&2]);
        assert_eq!(state.attach[&2].role, Role::Backend);
    }

    #[test]
    fn lb_stays_attached_where_replies_to_nat_addresses_come_in() {
        let mut tables = tables([link(2, LinkKind::Device), link(3, LinkKind::Device)]);
        let source: IpAddr = [10, 0, 3, 1].into();
        let address = HostAddress { prefix: 24, usable: true };
        tables.addresses.insert((2, source), address);
        let wanted = Wanted { nats: [source].into(), ..Wanted::default() };
        let state = state(&tables, &wanted);
        assert_eq!(state.attach.keys().collect::<Vec<_>>(), [&2, &3]);
        assert_eq!(state.attach[&2].role, Role::Backend);
    }

    #[test]
    fn a_route_by_an_unknown_interface_is_an_obstacle() {
        let mut tables = tables([link(2, LinkKind::Device)]);
        tables.links.clear();
        let state = state(&tables, &Wanted::default());
        assert_eq!(state.obstacles[&BACKEND], Obstacle::NoInterface { index: 2 });
        assert!(state.view.next_hops.is_empty());
    }

    /// VIP traffic by a NIC, the backend by another interface.
    fn two(kind: LinkKind, mode: Mode, native: &[u32]) -> NetState {
        let mut tables = tables([link(2, LinkKind::Device), link(3, kind)]);
        tables.defaults = [2].into();
        let native = native.iter().copied().collect();
        state(&tables, &Wanted { mode, native, ..Wanted::default() })
    }

    #[test]
    fn two_nics_need_xdp_alone() {
        let state = two(LinkKind::Device, Mode::Auto, &[2, 3]);
        assert!(state.attach.values().all(|p| p.mode == AttachMode::Native && !p.also_tc));
        assert!(state.view.ifaces.values().all(|iface| iface.xdp));
    }

    #[test]
    fn a_backend_behind_a_veth_needs_tc_on_the_nic_too() {
        let state = two(LinkKind::Veth, Mode::Auto, &[2]);
        assert_eq!((state.attach[&2].mode, state.attach[&2].also_tc), (AttachMode::Native, true));
        assert_eq!((state.attach[&3].mode, state.attach[&3].also_tc), (AttachMode::Tc, false));
        assert!(state.view.ifaces[&2].xdp && !state.view.ifaces[&3].xdp);
    }

    #[test]
    fn generic_xdp_is_no_place_to_redirect_to() {
        let state = two(LinkKind::Device, Mode::Generic, &[]);
        assert!(state.attach.values().all(|p| p.mode == AttachMode::Generic && p.also_tc));
        assert!(state.view.ifaces.values().all(|iface| !iface.xdp));
    }

    #[test]
    fn xdp_that_is_not_attached_yet_is_no_place_to_redirect_to() {
        let state = two(LinkKind::Device, Mode::Auto, &[2]);
        assert!(!state.view.ifaces[&3].xdp);
    }

    #[test]
    fn an_interface_where_xdp_was_refused_takes_tc() {
        let tables = tables([link(2, LinkKind::Device)]);
        let refused = [(2, "Operation not supported".to_owned())].into();
        let state = state(&tables, &Wanted { refused, ..Wanted::default() });
        assert_eq!(state.attach[&2].mode, AttachMode::Tc);
        assert_eq!(
            state.attach[&2].reason,
            "the kernel refused native XDP: Operation not supported"
        );
    }
}
