//! Telling the link who holds an address now: ARP announcements (RFC 5227 §3)
//! and unsolicited neighbour advertisements (RFC 4861 §7.2.6).

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use lb_common::csum;
use nix::libc;
use socket2::{Domain, SockAddr, Socket, Type};

/// Says on the interface that `mac` holds `address`.
pub(crate) fn announce(interface: u32, mac: [u8; 6], address: IpAddr) -> io::Result<()> {
    let frame = match address {
        IpAddr::V4(v4) => arp(mac, v4),
        IpAddr::V6(v6) => advertisement(mac, v6),
    };
    // Protocol 0: nothing is received.
    let socket = Socket::new(Domain::PACKET, Type::RAW, None)?;
    socket.send_to(&frame, &link_address(interface)?)?;
    Ok(())
}

fn link_address(interface: u32) -> io::Result<SockAddr> {
    // SAFETY: the storage is at least as large and as aligned as a sockaddr_ll,
    // all zero, and the length told is that of the sockaddr_ll written.
    let ((), address) = unsafe {
        SockAddr::try_init(|storage, length| {
            let link = storage.cast::<libc::sockaddr_ll>();
            (*link).sll_family = libc::AF_PACKET as u16;
            (*link).sll_ifindex = interface.cast_signed();
            *length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
            Ok(())
        })?
    };
    Ok(address)
}

const BROADCAST: [u8; 6] = [0xff; 6];
/// Ethernet group of ff02::1 (RFC 2464 §7).
const ALL_NODES_MAC: [u8; 6] = [0x33, 0x33, 0, 0, 0, 1];
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

fn arp(mac: [u8; 6], address: Ipv4Addr) -> Vec<u8> {
    let mut frame = ethernet(BROADCAST, mac, 0x0806);
    // Ethernet, IPv4, address lengths 6 and 4, request.
    frame.extend([0, 1, 8, 0, 6, 4, 0, 1]);
    frame.extend(mac);
    frame.extend(address.octets());
    frame.extend([0; 6]);
    frame.extend(address.octets());
    frame
}

fn advertisement(mac: [u8; 6], address: Ipv6Addr) -> Vec<u8> {
    // Type 136, code 0, checksum, flags: override; the target and its MAC (option 2).
    let mut icmp = vec![136, 0, 0, 0, 0x20, 0, 0, 0];
    icmp.extend(address.octets());
    icmp.extend([2, 1]);
    icmp.extend(mac);
    let length = icmp.len() as u16;
    // The pseudo-header: RFC 8200 §8.1.
    let addresses = [address.octets(), ALL_NODES.octets()].concat();
    let sum = csum::of(&[&addresses, &u32::from(length).to_be_bytes(), &[0, 0, 0, 58], &icmp]);
    icmp[2..4].copy_from_slice(&sum.to_ne_bytes());

    let mut frame = ethernet(ALL_NODES_MAC, mac, 0x86dd);
    frame.extend([0x60, 0, 0, 0]);
    frame.extend(length.to_be_bytes());
    // ICMPv6, hop limit 255: receivers refuse less.
    frame.extend([58, 255]);
    frame.extend(address.octets());
    frame.extend(ALL_NODES.octets());
    frame.extend(icmp);
    frame
}

fn ethernet(to: [u8; 6], from: [u8; 6], kind: u16) -> Vec<u8> {
    [&to[..], &from[..], &kind.to_be_bytes()[..]].concat()
}
