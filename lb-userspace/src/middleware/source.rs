//! Who a request counts for: `sourceCriterion` and `ipStrategy`.

use std::{
    hash::{BuildHasher, RandomState},
    net::{IpAddr, Ipv6Addr, SocketAddr},
};

use ipnet::IpNet;

use super::parts::{self, Network};
use crate::{
    config::{
        decode::{At, Field, object},
        values::Whole,
    },
    model::Fault,
    proxy::Exchange,
};

object! {
    /// `sourceCriterion`.
    pub(crate) struct RawCriterion {
        ip_strategy: RawStrategy = "ipStrategy",
        header: String = "requestHeaderName",
        host: bool = "requestHost",
    }
}

object! {
    /// `ipStrategy`.
    pub(crate) struct RawStrategy {
        depth: Whole<{ i64::MIN }, { i64::MAX }> = "depth",
        excluded: Vec<At<Network>> = "excludedIPs",
        ipv6_subnet: Whole<{ i64::MIN }, { i64::MAX }> = "ipv6Subnet",
    }
}

/// What requests are told apart by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Criterion {
    /// The client's address.
    Ip(Strategy),
    /// A header's value.
    Header(String),
    /// The host, without its port.
    Host,
}

/// Which address is the client's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Strategy {
    /// Position in `X-Forwarded-For` from the right, from 1; 0: not used.
    depth: usize,
    /// The rightmost address of `X-Forwarded-For` outside of these.
    excluded: Vec<IpNet>,
    /// Bits of an IPv6 address that count.
    ipv6_bits: Option<u8>,
}

impl Criterion {
    /// From raw to validated; `default` where nothing is said.
    pub(crate) fn check(
        raw: &Field<RawCriterion>,
        default: Self,
        faults: &mut Vec<Fault>,
    ) -> Option<Self> {
        let Some(at) = raw.at() else { return (!raw.is_faulty()).then_some(default) };
        let RawCriterion { ip_strategy, header, host } = &at.value;
        let header = parts::header_name(header, faults);
        let host = host.or_default();
        let given = [ip_strategy.get().is_some(), header.is_some(), host];
        if given.iter().filter(|given| **given).count() > 1 {
            let message = "requests are told apart by one thing: keep one of `ipStrategy`, \
                           `requestHeaderName` and `requestHost`";
            faults.push(at.spot.fault(message));
            return None;
        }
        Some(match (ip_strategy.get(), header) {
            (Some(raw), _) => Self::Ip(Strategy::new(raw)),
            (None, Some(header)) => Self::Header(header),
            (None, None) if host => Self::Host,
            (None, None) => default,
        })
    }

    /// A hash of what the request counts for, keyed so that nobody outside can aim at another's.
    pub(crate) fn key(&self, exchange: &Exchange, keys: &RandomState) -> u64 {
        match self {
            Self::Ip(strategy) => keys.hash_one(strategy.ip(exchange)),
            Self::Header(name) => keys.hash_one(exchange.request.get(name).unwrap_or_default()),
            Self::Host => {
                let host = exchange.request.host().unwrap_or_default();
                if host.bytes().any(|b| b.is_ascii_uppercase()) {
                    return keys.hash_one(host.to_ascii_lowercase());
                }
                keys.hash_one(host)
            }
        }
    }
}

impl Strategy {
    /// From raw to validated; numbers out of bounds count as not given, as Traefik has it.
    pub(crate) fn new(raw: &RawStrategy) -> Self {
        let whole = |field: &Field<Whole<{ i64::MIN }, { i64::MAX }>>| field.get().map(|n| n.0);
        Self {
            depth: whole(&raw.depth).and_then(|n| usize::try_from(n).ok()).unwrap_or(0),
            excluded: parts::networks(&raw.excluded),
            ipv6_bits: whole(&raw.ipv6_subnet)
                .and_then(|n| u8::try_from(n).ok())
                .filter(|bits| *bits <= 128),
        }
    }

    /// The client's address; `None` where the headers don't tell.
    pub(crate) fn ip(&self, exchange: &Exchange) -> Option<IpAddr> {
        if self.depth > 0 {
            return forwarded_for(exchange).nth(self.depth - 1)?.map(|ip| self.subnet(ip));
        }
        if self.excluded.is_empty() {
            return Some(self.subnet(exchange.ip()));
        }
        let outside = |ip: &Option<IpAddr>| ip.is_none_or(|ip| !parts::holds(&self.excluded, ip));
        forwarded_for(exchange).find(outside)?
    }

    fn subnet(&self, ip: IpAddr) -> IpAddr {
        match (ip, self.ipv6_bits) {
            (IpAddr::V6(v6), Some(bits)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
                Ipv6Addr::from_bits(v6.to_bits() & mask).into()
            }
            _ => ip,
        }
    }
}

/// The members of `X-Forwarded-For` from the last; `None` for what is no address.
fn forwarded_for(exchange: &Exchange) -> impl Iterator<Item = Option<IpAddr>> {
    let lines: Vec<&[u8]> = exchange.request.values("X-Forwarded-For").collect();
    lines
        .into_iter()
        .rev()
        .flat_map(|line| line.rsplit(|&byte| byte == b',').map(<[u8]>::trim_ascii))
        .filter(|member| !member.is_empty())
        .map(address)
}

/// An address, some senders add the port to it.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    let ip = bare.parse().or_else(|_| text.parse::<SocketAddr>().map(|socket| socket.ip()));
    ip.ok().map(|ip: IpAddr| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAIN: &str =
        "GET /\nX-Forwarded-For: 10.0.0.1,11.0.0.1\nX-Forwarded-For: 12.0.0.1, 13.0.0.1";

    fn strategy(depth: usize, excluded: &[&str], ipv6_bits: Option<u8>) -> Strategy {
        let excluded = excluded.iter().map(|text| text.parse::<IpAddr>().unwrap().into());
        Strategy { depth, excluded: excluded.collect(), ipv6_bits }
    }

    #[test]
    fn the_client_is_found_by_depth() {
        for (depth, ip) in [
            (0, Some("192.0.2.1")),
            (1, Some("13.0.0.1")),
            (2, Some("12.0.0.1")),
            (3, Some("11.0.0.1")),
            (4, Some("10.0.0.1")),
            (5, None),
        ] {
            let found = strategy(depth, &[], None).ip(&Exchange::made_up(CHAIN));
            assert_eq!(found, ip.map(|ip| ip.parse().unwrap()), "{depth}");
        }
    }

    #[test]
    fn the_client_is_the_last_one_outside_of_the_excluded() {
        for (excluded, ip) in [
            (&["12.0.0.1", "13.0.0.1"][..], Some("11.0.0.1")),
            (&["15.0.0.1", "13.0.0.1"], Some("12.0.0.1")),
            (&["15.0.0.1", "16.0.0.1"], Some("13.0.0.1")),
            (&["10.0.0.1", "11.0.0.1", "12.0.0.1", "13.0.0.1"], None),
        ] {
            let found = strategy(0, excluded, None).ip(&Exchange::made_up(CHAIN));
            assert_eq!(found, ip.map(|ip| ip.parse().unwrap()), "{excluded:?}");
        }
    }

    #[test]
    fn what_is_no_address_is_nobody() {
        for (header, ip) in [
            ("unknown", None),
            ("192.0.2.9:5000", Some("192.0.2.9")),
            ("[2001:db8::9]:5000", Some("2001:db8::9")),
            ("[2001:db8::9]", Some("2001:db8::9")),
            ("", None),
        ] {
            let exchange = Exchange::made_up(&format!("GET /\nX-Forwarded-For: {header}"));
            let found = strategy(1, &[], None).ip(&exchange);
            assert_eq!(found, ip.map(|ip| ip.parse().unwrap()), "{header}");
        }
    }

    #[test]
    fn ipv6_addresses_count_as_their_subnet() {
        let header = "GET /\nX-Forwarded-For: ::abcd:1111:2222:3333";
        for (bits, ip) in [
            (Some(64), "::"),
            (Some(80), "::abcd:0:0:0"),
            (Some(96), "::abcd:1111:0:0"),
            (Some(128), "::abcd:1111:2222:3333"),
            (Some(0), "::"),
            (None, "::abcd:1111:2222:3333"),
        ] {
            let found = strategy(1, &[], bits).ip(&Exchange::made_up(header));
            assert_eq!(found, Some(ip.parse().unwrap()), "{bits:?}");
        }
    }

    #[test]
    fn requests_are_told_apart_by_the_criterion() {
        let keys = RandomState::new();
        let key =
            |criterion: &Criterion, lines: &str| criterion.key(&Exchange::made_up(lines), &keys);
        let header = Criterion::Header("X-Tenant".into());
        assert_eq!(key(&header, "GET /\nx-tenant: a"), key(&header, "GET /b\nX-Tenant: a"));
        assert_ne!(key(&header, "GET /\nX-Tenant: a"), key(&header, "GET /\nX-Tenant: b"));
        assert_eq!(key(&header, "GET /"), key(&header, "POST /"));
        let host = "GET /\nHost: A.example:80";
        assert_eq!(key(&Criterion::Host, host), key(&Criterion::Host, "GET /\nHost: a.example"));
        assert_ne!(key(&Criterion::Host, host), key(&Criterion::Host, "GET /\nHost: b.example"));
    }
}
