//! Addresses: of entry points, of servers, and to listen on.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::{
    decode::{Cx, Decode},
    tree::{Node, quoted},
    values::text,
};
use crate::model::Protocol;

/// `entryPoints.NAME.address`: `:80`, `198.51.100.10:53/udp`, `[2001:db8::1]:80`, each with
/// `/tcp` or `/udp` behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EntryAddress {
    pub(crate) ip: Option<IpAddr>,
    pub(crate) port: u16,
    pub(crate) protocol: Protocol,
}

/// `servers[].address`: an IP address or a host name, and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerAddress {
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// Where to listen: `127.0.0.1:8080`, or `:8080` for every address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ListenAddress(pub(crate) SocketAddr);

/// Ports from first to last, as `1024-32767`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PortRange(pub(crate) u16, pub(crate) u16);

impl Decode for EntryAddress {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        const WHAT: &str = "an address such as \":80\" or \"198.51.100.10:53/udp\"";
        let text = text(node, WHAT, cx)?;
        entry(text).map_err(|why| cx.fault(node, why.unwrap_or_else(|| expected(WHAT, text)))).ok()
    }
}

impl Decode for ServerAddress {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        const WHAT: &str =
            "a server's address such as \"10.0.1.5:5432\" or \"db.example.com:5432\"";
        let text = text(node, WHAT, cx)?;
        server(text).map_err(|why| cx.fault(node, why.unwrap_or_else(|| expected(WHAT, text)))).ok()
    }
}

impl Decode for ListenAddress {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        const WHAT: &str = "an address to listen on such as \"127.0.0.1:8080\" or \":8080\"";
        let text = text(node, WHAT, cx)?;
        listen(text).map_err(|why| cx.fault(node, why.unwrap_or_else(|| expected(WHAT, text)))).ok()
    }
}

impl Decode for PortRange {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        const WHAT: &str = "ports from first to last such as \"1024-32767\"";
        let text = text(node, WHAT, cx)?;
        let ports = text.split_once('-').and_then(|(first, last)| {
            Some((first.trim().parse::<u16>().ok()?, last.trim().parse::<u16>().ok()?))
        });
        match ports {
            Some((first, last)) if first > 0 && first <= last => Some(Self(first, last)),
            Some((0, _)) => {
                cx.fault(node, "port 0 can't be used; ports are 1 to 65535");
                None
            }
            Some((first, last)) => {
                cx.fault(node, format!("the first port {first} is above the last, {last}"));
                None
            }
            None => {
                cx.expected(node, WHAT);
                None
            }
        }
    }
}

pub(super) fn expected(what: &str, text: &str) -> String {
    format!("expected {what}, found {}", quoted(text))
}

/// `None`: not an address at all.
pub(super) type Why = Option<String>;

fn entry(text: &str) -> Result<EntryAddress, Why> {
    let (address, protocol) = match text.rsplit_once('/') {
        None => (text, Protocol::Tcp),
        Some((address, "tcp")) => (address, Protocol::Tcp),
        Some((address, "udp")) => (address, Protocol::Udp),
        Some((_, other)) => {
            return Err(Some(format!(
                "expected \"/tcp\" or \"/udp\" behind the port, found \"/{other}\""
            )));
        }
    };
    let (host, port) = split(address)?;
    let port = port_number(port)?;
    if host.is_empty() {
        return Ok(EntryAddress { ip: None, port, protocol });
    }
    let ip: IpAddr = host.parse().map_err(|_| {
        Some(match is_host_name(host) {
            true => format!("an entry point's address is an IP address, not a name ({host})"),
            false => format!("{} is no IP address", quoted(host)),
        })
    })?;
    vip(ip, port)?;
    Ok(EntryAddress { ip: Some(ip), port, protocol })
}

/// What can't be a VIP.
fn vip(ip: IpAddr, port: u16) -> Result<(), Why> {
    let why = match ip {
        _ if ip.is_unspecified() => {
            format!(
                "{ip} is no address of its own; write \":{port}\" for every address of the interfaces"
            )
        }
        _ if ip.is_multicast() => format!("{ip} is a multicast address; a VIP is unicast"),
        IpAddr::V4(v4) if v4.is_broadcast() => {
            format!("{ip} is the broadcast address; a VIP is unicast")
        }
        IpAddr::V6(v6) if v6.is_unicast_link_local() => {
            format!("{ip} is link-local; a VIP needs an address that clients can reach")
        }
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => format!("{ip} is an IPv4 address in IPv6 clothes; write \"{v4}:{port}\""),
            None => return Ok(()),
        },
        IpAddr::V4(_) => return Ok(()),
    };
    Err(Some(why))
}

fn server(text: &str) -> Result<ServerAddress, Why> {
    if let Some((scheme, _)) = text.split_once("://") {
        let message =
            format!("a TCP or UDP server has an address `host:port`, not a URL ({scheme}://)");
        return Err(Some(message));
    }
    let (host, port) = host_and_port(text)?;
    Ok(ServerAddress { host, port })
}

/// Of a server.
pub(super) fn host_and_port(text: &str) -> Result<(String, u16), Why> {
    let (host, port) = split(text)?;
    let port = port_number(port)?;
    if host.is_empty() {
        return Err(Some("the host is missing in front of the port".to_owned()));
    }
    if let Ok(ip) = host.parse::<IpAddr>() {
        let ip = ip.to_canonical();
        if ip.is_unspecified() || ip.is_multicast() {
            return Err(Some(format!("{ip} is no address of a server")));
        }
        return Ok((ip.to_string(), port));
    }
    if !is_host_name(host) {
        return Err(Some(format!("{} is neither an IP address nor a host name", quoted(host))));
    }
    Ok((host.to_owned(), port))
}

fn listen(text: &str) -> Result<ListenAddress, Why> {
    let (host, port) = split(text)?;
    let port = port_number(port)?;
    let ip = match host {
        "" => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        "localhost" => IpAddr::from([127, 0, 0, 1]),
        host => host.parse().map_err(|_| None)?,
    };
    Ok(ListenAddress(SocketAddr::new(ip, port)))
}

/// Host and port of `host:port`, an IPv6 address in brackets.
fn split(text: &str) -> Result<(&str, &str), Why> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or(None)?;
        if host.parse::<Ipv6Addr>().is_err() {
            return Err(Some(format!("{} is no IPv6 address", quoted(host))));
        }
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, port)),
            None => Err(Some(format!("the port is missing behind [{host}]"))),
        };
    }
    if text.parse::<Ipv6Addr>().is_ok() {
        return Err(Some(format!(
            "an IPv6 address stands in brackets before its port: \"[{text}]:80\""
        )));
    }
    match text.split_once(':') {
        Some((_, rest)) if rest.contains(':') => Err(None),
        Some((host, port)) => Ok((host, port)),
        None if text.parse::<IpAddr>().is_ok() || is_host_name(text) && text.contains('.') => {
            Err(Some(format!("the port is missing behind {text}")))
        }
        None => Err(None),
    }
}

fn port_number(text: &str) -> Result<u16, Why> {
    match text.parse::<u16>() {
        Ok(port) if port > 0 && text.bytes().all(|b| b.is_ascii_digit()) => Ok(port),
        _ => Err(Some(format!("expected a port from 1 to 65535, found {}", quoted(text)))),
    }
}

/// RFC 1123 §2.1, with the underscore that container names have.
pub(crate) fn is_host_name(text: &str) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let numeric =
        text.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    !text.is_empty() && text.len() <= 253 && text.split('.').all(label) && !numeric
}
