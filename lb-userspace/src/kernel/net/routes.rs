//! Routes, by asking the kernel: whatever rules, tables, metrics and next-hop
//! groups there are, its answer is the way the host itself would send.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::IpNet;
use nix::libc;
use rtnetlink::packet_route::{
    AddressFamily, RouteNetlinkMessage,
    route::{
        RouteAddress, RouteAttribute, RouteHeader, RouteLwEnCapType, RouteMessage, RouteMetric,
        RouteType, RouteVia,
    },
};

use super::{
    Obstacle,
    socket::{NetError, Netlink},
};

/// The way to one address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    /// Interface, VLAN devices unresolved.
    pub(crate) oif: u32,
    /// `None`: the address itself is on the link.
    pub(crate) gateway: Option<IpAddr>,
    /// Address the host would send from.
    pub(crate) source: Option<IpAddr>,
    /// The route's own MTU, where it has one.
    pub(crate) mtu: Option<u32>,
}

/// Asks for the way to an address. The inner error: there is none.
pub(crate) async fn ask(
    netlink: &Netlink,
    address: IpAddr,
) -> Result<Result<Route, Obstacle>, NetError> {
    let mut message = RouteMessage::default();
    message.header.address_family = family(address);
    message.header.destination_prefix_length = IpNet::from(address).prefix_len();
    message.attributes.push(RouteAttribute::Destination(address.into()));
    let what = format!("the route to {address}");
    let answers = match netlink.get(&what, RouteNetlinkMessage::GetRoute(message)).await {
        Ok(answers) => answers,
        Err(error) => return rejection(error).map(Err),
    };
    let found = answers.into_iter().find_map(|answer| match answer {
        RouteNetlinkMessage::NewRoute(route) => Some(route),
        _ => None,
    });
    Ok(found.map_or(Err(Obstacle::NoRoute), |route| read(&route)))
}

/// Interfaces of the default routes of both families, in the main table.
pub(crate) async fn defaults(netlink: &Netlink) -> Result<BTreeSet<u32>, NetError> {
    let mut interfaces = BTreeSet::new();
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let mut message = RouteMessage::default();
        message.header.address_family = family;
        let request = RouteNetlinkMessage::GetRoute(message);
        for answer in netlink.dump_family("routes", request, family).await? {
            if let RouteNetlinkMessage::NewRoute(route) = answer
                && is_default(&route)
            {
                interfaces.extend(outgoing(&route));
            }
        }
    }
    Ok(interfaces)
}

/// Whether a message is about a default route of the main table.
pub(crate) fn is_default(route: &RouteMessage) -> bool {
    let table = route
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            RouteAttribute::Table(table) => Some(*table),
            _ => None,
        })
        .unwrap_or(u32::from(route.header.table));
    route.header.destination_prefix_length == 0
        && route.header.kind == RouteType::Unicast
        && table == u32::from(RouteHeader::RT_TABLE_MAIN)
}

/// The prefix that a message about a route is about; `None` for other families.
pub(crate) fn prefix(route: &RouteMessage) -> Option<IpNet> {
    let address = route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Destination(address) => ip(address),
        _ => None,
    });
    let address = address.or(match route.header.address_family {
        AddressFamily::Inet => Some(Ipv4Addr::UNSPECIFIED.into()),
        AddressFamily::Inet6 => Some(Ipv6Addr::UNSPECIFIED.into()),
        _ => None,
    })?;
    IpNet::new(address, route.header.destination_prefix_length).ok()
}

pub(crate) fn family(address: IpAddr) -> AddressFamily {
    match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}

fn read(message: &RouteMessage) -> Result<Route, Obstacle> {
    match message.header.kind {
        RouteType::Unicast => {}
        RouteType::Local | RouteType::Anycast => return Err(Obstacle::Local),
        kind => return Err(Obstacle::Rejected { kind: format!("{kind:?}").to_lowercase() }),
    }
    let mut route = Route { oif: 0, gateway: None, source: None, mtu: None };
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Oif(index) => route.oif = *index,
            RouteAttribute::Gateway(address) => route.gateway = ip(address),
            RouteAttribute::Via(RouteVia::Inet(address)) => route.gateway = Some((*address).into()),
            RouteAttribute::Via(RouteVia::Inet6(address)) => {
                route.gateway = Some((*address).into())
            }
            RouteAttribute::PrefSource(address) => route.source = ip(address),
            RouteAttribute::Metrics(metrics) => route.mtu = mtu(metrics),
            RouteAttribute::EncapType(kind) if *kind != RouteLwEnCapType::None => {
                return Err(Obstacle::Encapsulated);
            }
            _ => {}
        }
    }
    // A group of next hops: the kernel has chosen one, unless it only lists them.
    match (route.oif, outgoing(message).next()) {
        (0, None) => Err(Obstacle::NoRoute),
        (0, Some(oif)) => Ok(Route { oif, ..route }),
        _ => Ok(route),
    }
}

/// Interfaces that a route leaves by.
fn outgoing(route: &RouteMessage) -> impl Iterator<Item = u32> {
    route.attributes.iter().flat_map(|attribute| match attribute {
        RouteAttribute::Oif(index) => vec![*index],
        RouteAttribute::MultiPath(hops) => hops.iter().map(|hop| hop.interface_index).collect(),
        _ => Vec::new(),
    })
}

fn mtu(metrics: &[RouteMetric]) -> Option<u32> {
    metrics.iter().find_map(|metric| match metric {
        RouteMetric::Mtu(bytes) if *bytes > 0 => Some(*bytes),
        _ => None,
    })
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(v4) => Some((*v4).into()),
        RouteAddress::Inet6(v6) => Some((*v6).into()),
        _ => None,
    }
}

/// What an errno says of the route: the kernel answers so for the rejecting types.
fn rejection(error: NetError) -> Result<Obstacle, NetError> {
    let rejected = |kind: &str| Ok(Obstacle::Rejected { kind: kind.to_owned() });
    match error.errno() {
        Some(libc::ENETUNREACH) => Ok(Obstacle::NoRoute),
        Some(libc::EHOSTUNREACH) => rejected("unreachable"),
        Some(libc::EACCES) => rejected("prohibit"),
        Some(libc::EINVAL) => rejected("blackhole"),
        // A kernel without IPv6, for one.
        Some(_) => Ok(Obstacle::Unasked { error: error.to_string() }),
        None => Err(error),
    }
}
