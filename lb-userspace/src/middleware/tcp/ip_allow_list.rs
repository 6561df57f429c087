//! `ipAllowList`, `ipWhiteList` in Traefik's v2: only clients of some networks.

use std::{net::IpAddr, sync::Arc};

use ipnet::IpNet;

use super::{Admission, Gate, Kind};
use crate::{
    config::decode::{At, object},
    middleware::{
        parts::{self, Network},
        reasons,
    },
    model::Fault,
};

object! {
    /// Its keys.
    pub(crate) struct Raw {
        source_range: Vec<At<Network>> = "sourceRange",
    }
}

/// Its settings, and the gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpIpAllowList {
    networks: Vec<IpNet>,
}

impl Kind for TcpIpAllowList {
    type Raw = Raw;

    fn check(raw: &At<Raw>, faults: &mut Vec<Fault>) -> Option<Self> {
        let range = raw.value.source_range.required("sourceRange", &raw.spot, faults)?;
        if range.value.is_empty() {
            faults.push(range.spot.fault("no network at all would shut everybody out; name some"));
        }
        Some(Self { networks: parts::networks(&raw.value.source_range) })
    }

    fn gate(&self) -> Arc<dyn Gate> {
        Arc::new(self.clone())
    }
}

impl Gate for TcpIpAllowList {
    fn admit(&self, client: IpAddr) -> Admission {
        if parts::holds(&self.networks, client) {
            Admission::Allow(None)
        } else {
            Admission::Refuse(reasons::IP_NOT_ALLOWED)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Admission, tests::read};

    #[test]
    fn only_the_networks_come_in() {
        let gate =
            read("ipAllowList: { sourceRange: [10.0.0.0/8, '2001:db8::1'] }").unwrap().gate();
        for (ip, allowed) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("11.1.2.3", false),
            ("2001:db8::1", true),
            ("2001:db8::2", false),
        ] {
            match gate.admit(ip.parse().unwrap()) {
                Admission::Allow(_) => assert!(allowed, "{ip}"),
                Admission::Refuse(reason) => {
                    assert_eq!((allowed, reason), (false, "ip_not_allowed"), "{ip}");
                }
            }
        }
    }
}
