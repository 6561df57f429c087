//! Whom the host itself talks to: the programs see who answers it from the time they are attached
//! on; the connections from before are read here. See `lb_common::peers`.

use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::atomic::{AtomicU8, Ordering::*},
};

use lb_common::{HostPeers, addr, maps, peers};

use super::{
    error::{KernelError as E, Result},
    flows::Reader,
    mmap::Mapped,
    paths::LayoutPaths,
    pins,
};

/// Bytes before [`HostPeers::seen`].
const SEEN: usize = std::mem::offset_of!(HostPeers, seen);
/// The host's TCP sockets, of the thread's own network namespace (`proc_net_tcp.rst`).
const SOCKETS: [&str; 2] = ["/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"];
/// `TCP_LISTEN` of `tcp_states.h`, as it is printed.
const LISTEN: &str = "0A";

/// The filter, in place.
#[derive(Debug)]
pub(super) struct Peers {
    value: Mapped<[AtomicU8; size_of::<HostPeers>()]>,
}

impl Peers {
    /// Maps the one pinned under `paths`.
    pub(super) fn open(paths: &LayoutPaths) -> Result<Self> {
        let data = pins::data(paths, maps::HOST_PEERS)?;
        let value = Mapped::new(data.fd(), 1)
            .map_err(E::map(maps::HOST_PEERS, "mapping it into memory"))?;
        Ok(Self { value })
    }

    /// Whether the programs go by the filter.
    pub(super) fn is_complete(&self) -> bool {
        self.value[0][0].load(Acquire) == 1
    }

    /// From here on every new flow asks for sockets: to be called before the programs come to
    /// one more interface, by which the host may talk to somebody already.
    pub(super) fn suspend(&self) {
        self.value[0][0].store(0, SeqCst);
    }

    /// Makes the filter complete: of those who answered before, whoever still has a connection
    /// stays in it. Answers that come meanwhile are kept.
    ///
    /// # Errors
    /// The settings or the host's sockets can't be read; new flows go on asking for them.
    pub(super) fn learn(&self, reader: &Reader) -> io::Result<()> {
        self.suspend();
        let config = reader.config().map_err(io::Error::other)?;
        let [value] = &*self.value else { return Ok(()) };
        value[SEEN..].iter().for_each(|seen| seen.store(0, SeqCst));
        for path in SOCKETS {
            let text = match fs::read_to_string(path) {
                Ok(text) => text,
                // IPv6 is off.
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(e) => return Err(io::Error::new(e.kind(), format!("{path}: {e}"))),
            };
            for socket in text.lines().skip(1).filter_map(socket) {
                if (config.own_port_first..=config.own_port_last).contains(&socket.port) {
                    continue;
                }
                let (ip, port) = (addr::from_ip(socket.peer.ip()), socket.peer.port().to_be());
                let slot = peers::slot(&config.hash_key, &ip, u32::from(port));
                value[SEEN + slot].store(1, SeqCst);
            }
        }
        value[0].store(1, SeqCst);
        Ok(())
    }
}

/// A socket that has a far end.
#[derive(Debug, PartialEq, Eq)]
struct Connected {
    /// Its own port.
    port: u16,
    peer: SocketAddr,
}

/// What a line tells: `sl local_address rem_address st …`, addresses as words in the host's order.
/// `None` for a socket that listens.
fn socket(line: &str) -> Option<Connected> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let (own, peer) = (end(fields.next()?)?, end(fields.next()?)?);
    (fields.next()? != LISTEN).then_some(Connected { port: own.port(), peer })
}

fn end(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let word = |at: usize| {
        let word = u32::from_str_radix(address.get(at * 8..at * 8 + 8)?, 16).ok()?;
        Some(word.to_ne_bytes())
    };
    let ip: IpAddr = match address.len() {
        8 => Ipv4Addr::from(word(0)?).into(),
        _ => {
            let words = [word(0)?, word(1)?, word(2)?, word(3)?];
            Ipv6Addr::from(<[u8; 16]>::try_from(words.as_flattened()).ok()?).to_canonical()
        }
    };
    Some((ip, u16::from_str_radix(port, 16).ok()?).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    macro_rules! lines {
        ($($test:ident: $line:literal => $peer:expr;)+) => {
            $(#[test]
            fn $test() {
                let peer: Option<&str> = $peer;
                let wanted =
                    peer.map(|peer| Connected { port: 40_000, peer: peer.parse().unwrap() });
                assert_eq!(socket($line), wanted);
            })+
        };
    }

    lines! {
        an_established_connection:
            "   1: 0100000A:9C40 0200000A:0050 01 00000000:00000000 00:00000000 0 0 1 1 0"
            => Some("10.0.0.2:80");
        one_that_waits_for_its_answer:
            "   1: 0100000A:9C40 0200000A:01BB 02 00000001:00000000 01:00000064 1 0 1 1 0"
            => Some("10.0.0.2:443");
        one_in_time_wait:
            "   1: 0100000A:9C40 0200000A:0050 06 00000000:00000000 03:00001770 0 0 0 3 0"
            => Some("10.0.0.2:80");
        one_that_listens: "   0: 00000000:1F90 00000000:0000 0A 00000000:00000000" => None;
        one_of_ipv6:
            "   0: B80D0120000000000000000001000000:9C40 B80D0120000000000000000002000000:0050 01 0"
            => Some("[2001:db8::2]:80");
        one_of_ipv4_by_a_socket_of_ipv6:
            "   0: 0000000000000000FFFF00000100000A:9C40 0000000000000000FFFF00000200000A:0050 01 0"
            => Some("10.0.0.2:80");
        a_line_cut_off: "   0: 0100000A:9C40 0200000A" => None;
        no_line: "" => None;
    }
}
