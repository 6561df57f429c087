//! The PROXY protocol, versions 1 and 2: who a connection comes from, where a balancer in front
//! knows and the socket doesn't (haproxy.org, "The PROXY protocol").

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use bytes::{Buf, BytesMut};
use tokio::{io::AsyncReadExt, net::TcpStream};

use super::io::Plain;

const V1: &[u8] = b"PROXY ";
const V2: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The longest line of version 1, with its end.
const MAX_V1: usize = 107;
/// What version 2 may bring of addresses and TLVs. The standard has no bound; no sender of TLVs
/// comes near this one.
const MAX_V2: usize = 4096;

/// Both ends of the connection that was made to the balancer in front.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// Who connected.
    pub source: SocketAddr,
    /// To where.
    pub destination: SocketAddr,
}

/// What the first bytes of a connection are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// The beginning of a header: the rest is to come.
    More,
    /// None.
    Absent,
    /// A header that is wrong: why.
    Malformed(&'static str),
    /// A header.
    Whole {
        /// Its length.
        length: usize,
        /// `None` where the sender speaks for itself (`LOCAL`) or doesn't say (`UNKNOWN`).
        ends: Option<Ends>,
    },
}

/// Takes the header off a connection from a sender that is trusted; one without a header stays
/// as it is.
///
/// # Errors
/// A header that is wrong, or not whole within `limit`; those of the socket.
pub async fn accept(mut tcp: TcpStream, limit: Duration) -> io::Result<(Plain, Option<Ends>)> {
    let mut bytes = BytesMut::new();
    let reading = async {
        loop {
            match parse(&bytes) {
                Header::More => {}
                Header::Absent => return Ok(None),
                Header::Malformed(why) => {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, why));
                }
                Header::Whole { length, ends } => {
                    bytes.advance(length);
                    return Ok(ends);
                }
            }
            // No buffer is held for a connection that is silent.
            tcp.readable().await?;
            bytes.reserve(256);
            if tcp.read_buf(&mut bytes).await? == 0 {
                return if bytes.is_empty() { Ok(None) } else { Err(ended()) };
            }
        }
    };
    match tokio::time::timeout(limit, reading).await {
        Ok(ends) => Ok((Plain::with_prefix(tcp, bytes.freeze()), ends?)),
        Err(_elapsed) => Err(io::ErrorKind::TimedOut.into()),
    }
}

fn ended() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "it ended within the PROXY header")
}

/// Reads the first bytes of a connection.
pub fn parse(bytes: &[u8]) -> Header {
    if bytes.len() < V1.len() && V1.starts_with(bytes) || bytes.len() < 12 && V2.starts_with(bytes)
    {
        Header::More
    } else if bytes.starts_with(V1) {
        v1(bytes)
    } else if let Some(rest) = bytes.strip_prefix(V2) {
        v2(rest)
    } else {
        Header::Absent
    }
}

fn v1(bytes: &[u8]) -> Header {
    let within = &bytes[..bytes.len().min(MAX_V1)];
    let Some(end) = within.windows(2).position(|pair| pair == b"\r\n") else {
        return match within.len() {
            MAX_V1 => Header::Malformed("the line is too long"),
            _ => Header::More,
        };
    };
    let length = end + 2;
    let Ok(line) = std::str::from_utf8(&within[V1.len()..end]) else {
        return Header::Malformed("the line is no text");
    };
    if line == "UNKNOWN" || line.starts_with("UNKNOWN ") {
        return Header::Whole { length, ends: None };
    }
    match line_ends(line) {
        Some(ends) => Header::Whole { length, ends: Some(ends) },
        None => Header::Malformed("the line is wrong"),
    }
}

fn line_ends(line: &str) -> Option<Ends> {
    let fields: Vec<&str> = line.split(' ').collect();
    let [family, source, destination, source_port, destination_port] = fields[..] else {
        return None;
    };
    let ip = |text: &str| -> Option<IpAddr> {
        match family {
            "TCP4" => text.parse::<Ipv4Addr>().ok().map(IpAddr::from),
            "TCP6" => text.parse::<Ipv6Addr>().ok().map(IpAddr::from),
            _ => None,
        }
    };
    let port = |text: &str| -> Option<u16> {
        let plain = text.bytes().all(|byte| byte.is_ascii_digit());
        let canonical = plain && (text == "0" || !text.starts_with('0'));
        canonical.then(|| text.parse().ok())?
    };
    Some(Ends {
        source: SocketAddr::new(ip(source)?, port(source_port)?),
        destination: SocketAddr::new(ip(destination)?, port(destination_port)?),
    })
}

/// Behind the signature.
fn v2(rest: &[u8]) -> Header {
    let Some((&[command, family, high, low], body)) = rest.split_first_chunk::<4>() else {
        return Header::More;
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    let is_local = match command {
        0x20 => true,
        0x21 => false,
        0x22..=0x2f => return Header::Malformed("there is no such command"),
        _ => return Header::Malformed("there is no such version"),
    };
    if length > MAX_V2 {
        return Header::Malformed("the header is too long");
    }
    // Of a stream over IP the ends; what comes over a socket of the host has none.
    let (size, of_ip) = match family {
        0x11 => (12, true),
        0x21 => (36, true),
        0x12 => (12, false),
        0x22 => (36, false),
        0x31 | 0x32 => (216, false),
        0x00 => (0, false),
        _ => return Header::Malformed("there is no such family"),
    };
    if !is_local && length < size {
        return Header::Malformed("the addresses are cut off");
    }
    let Some(body) = body.get(..length) else { return Header::More };
    let ends = if is_local || !of_ip { None } else { body_ends(&body[..size]) };
    Header::Whole { length: V2.len() + 4 + length, ends }
}

fn body_ends(body: &[u8]) -> Option<Ends> {
    let of = |ips: [IpAddr; 2], ports: &[u8]| {
        let port = |at: usize| u16::from_be_bytes([ports[at], ports[at + 1]]);
        Ends {
            source: SocketAddr::new(ips[0], port(0)),
            destination: SocketAddr::new(ips[1], port(2)),
        }
    };
    if let Ok(body) = <&[u8; 12]>::try_from(body) {
        let ip = |at: usize| Ipv4Addr::new(body[at], body[at + 1], body[at + 2], body[at + 3]);
        return Some(of([ip(0).into(), ip(4).into()], &body[8..]));
    }
    let (source, rest) = body.split_first_chunk::<16>()?;
    let (destination, ports) = rest.split_first_chunk::<16>()?;
    Some(of([Ipv6Addr::from(*source).into(), Ipv6Addr::from(*destination).into()], ports))
}

/// The header for a server; of version 2 unless `version` is 1.
pub fn header(version: u8, ends: Ends) -> Vec<u8> {
    let Ends { source, destination } = ends;
    let ips = match (source.ip().to_canonical(), destination.ip().to_canonical()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => Ok((source, destination)),
        (source, destination) => Err((mapped(source), mapped(destination))),
    };
    let (from, to) = (source.port(), destination.port());
    if version == 1 {
        return match ips {
            Ok((a, b)) => format!("PROXY TCP4 {a} {b} {from} {to}\r\n"),
            Err((a, b)) => format!("PROXY TCP6 {a} {b} {from} {to}\r\n"),
        }
        .into_bytes();
    }
    let mut bytes = V2.to_vec();
    match ips {
        Ok((a, b)) => {
            bytes.extend([0x21, 0x11, 0, 12]);
            bytes.extend(a.octets());
            bytes.extend(b.octets());
        }
        Err((a, b)) => {
            bytes.extend([0x21, 0x21, 0, 36]);
            bytes.extend(a.octets());
            bytes.extend(b.octets());
        }
    }
    bytes.extend(from.to_be_bytes());
    bytes.extend(to.to_be_bytes());
    bytes
}

fn mapped(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}

#[cfg(test)]
mod tests;
