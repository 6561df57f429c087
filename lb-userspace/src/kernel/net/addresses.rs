//! Addresses of the host: reading, adding and removing them.

use std::{collections::BTreeMap, net::IpAddr};

use nix::libc;
use rtnetlink::packet_route::{
    RouteNetlinkMessage,
    address::{AddressAttribute, AddressFlags, AddressMessage, AddressScope, CacheInfo},
};

use super::{
    HostAddress,
    routes::family,
    socket::{NetError, Netlink},
};

/// Interface and address.
pub(crate) type Key = (u32, IpAddr);

/// Every address of the host.
pub(crate) async fn all(netlink: &Netlink) -> Result<BTreeMap<Key, HostAddress>, NetError> {
    let request = RouteNetlinkMessage::GetAddress(AddressMessage::default());
    let answers = netlink.dump("addresses", request).await?;
    Ok(answers
        .into_iter()
        .filter_map(|answer| match answer {
            RouteNetlinkMessage::NewAddress(message) => read(&message),
            _ => None,
        })
        .collect())
}

/// Adds a VIP to an interface; `false` when it was there.
///
/// IPv4 has the scope of the host, so that it isn't chosen as a source.
/// IPv6 comes without duplicate address detection, since several balancers may
/// hold it, and deprecated, for the same reason as above.
pub(crate) async fn add(netlink: &Netlink, (interface, vip): Key) -> Result<bool, NetError> {
    let mut message = message((interface, vip));
    if vip.is_ipv4() {
        message.header.scope = AddressScope::Host;
    } else {
        let mut lifetimes = CacheInfo::default();
        lifetimes.ifa_preferred = 0;
        lifetimes.ifa_valid = u32::MAX;
        message.attributes.push(AddressAttribute::CacheInfo(lifetimes));
        message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
    }
    let what = format!("adding {vip} to interface {interface}");
    match netlink.create(&what, RouteNetlinkMessage::NewAddress(message)).await {
        Ok(()) => Ok(true),
        Err(error) if error.errno() == Some(libc::EEXIST) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Removes a VIP from an interface. That it is gone is no error.
pub(crate) async fn remove(netlink: &Netlink, (interface, vip): Key) -> Result<(), NetError> {
    let what = format!("removing {vip} from interface {interface}");
    let request = RouteNetlinkMessage::DelAddress(message((interface, vip)));
    match netlink.set(&what, request).await {
        Err(error) if !matches!(error.errno(), Some(libc::EADDRNOTAVAIL | libc::ENODEV)) => {
            Err(error)
        }
        _ => Ok(()),
    }
}

fn message((interface, vip): Key) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = family(vip);
    message.header.prefix_len = if vip.is_ipv4() { 32 } else { 128 };
    message.header.index = interface;
    message.attributes.push(AddressAttribute::Local(vip));
    message.attributes.push(AddressAttribute::Address(vip));
    message
}

/// Reads a message about an address: interface and address, and the rest.
pub(crate) fn read(message: &AddressMessage) -> Option<(Key, HostAddress)> {
    let mut flags = AddressFlags::from_bits_retain(u32::from(message.header.flags.bits()));
    let (mut local, mut address) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            // On point-to-point links `Address` is the peer's.
            AddressAttribute::Local(ip) => local = Some(*ip),
            AddressAttribute::Address(ip) => address = Some(*ip),
            AddressAttribute::Flags(all) => flags = *all,
            _ => {}
        }
    }
    let optimistic = flags.contains(AddressFlags::Optimistic);
    let usable = (!flags.contains(AddressFlags::Tentative) || optimistic)
        && !flags.contains(AddressFlags::Dadfailed);
    let key = (message.header.index, local.or(address)?);
    Some((key, HostAddress { prefix: message.header.prefix_len, usable }))
}
