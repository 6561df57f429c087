//! `ipAllowList`, `ipWhiteList` in Traefik's v2: only clients of some networks.

use std::sync::Arc;

use ipnet::IpNet;

use super::{
    Kind, Surroundings,
    parts::{self, Network},
    reasons,
    source::{RawStrategy, Strategy},
};
use crate::{
    config::{
        decode::{At, object},
        values::Whole,
    },
    model::Fault,
    proxy::{Exchange, Filter, Reply, Step},
};

object! {
    /// Its keys.
    pub(crate) struct Raw {
        source_range: Vec<At<Network>> = "sourceRange",
        ip_strategy: RawStrategy = "ipStrategy",
        reject_status: Whole<400, 599> = "rejectStatusCode",
    }
}

/// Its settings, and the filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IpAllowList {
    networks: Vec<IpNet>,
    strategy: Strategy,
    reject_status: u16,
}

impl Kind for IpAllowList {
    type Raw = Raw;

    fn check(raw: &At<Raw>, faults: &mut Vec<Fault>) -> Option<Self> {
        let range = raw.value.source_range.required("sourceRange", &raw.spot, faults)?;
        if range.value.is_empty() {
            faults.push(range.spot.fault("no network at all would shut everybody out; name some"));
        }
        Some(Self {
            networks: parts::networks(&raw.value.source_range),
            strategy: raw.value.ip_strategy.get().map(Strategy::new).unwrap_or_default(),
            reject_status: raw.value.reject_status.get().map_or(403, |status| status.u16()),
        })
    }

    fn filter(&self, _: &Surroundings<'_>) -> Result<Arc<dyn Filter>, String> {
        Ok(Arc::new(self.clone()))
    }
}

impl Filter for IpAllowList {
    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Step<'a> {
        let ip = self.strategy.ip(exchange);
        if ip.is_some_and(|ip| parts::holds(&self.networks, ip)) {
            return Step::Next;
        }
        Step::Reply(Reply::text(self.reject_status, reasons::IP_NOT_ALLOWED, "Forbidden"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fault, filter, read, request, told};
    use crate::proxy::Exchange;

    #[test]
    fn only_the_networks_come_in() {
        let depth = "sourceRange: [10.0.0.0/8], ipStrategy: { depth: 1 }";
        let excluded = "sourceRange: [10.0.0.0/8], ipStrategy: { excludedIPs: [11.0.0.1] }";
        for (keys, forwarded, status) in [
            ("sourceRange: [192.0.2.0/24]", "", None),
            ("sourceRange: [192.0.2.1]", "", None),
            ("sourceRange: [192.0.2.77/24]", "", None),
            ("sourceRange: ['2001:db8::/32', 10.0.0.0/8]", "", Some(403)),
            ("sourceRange: [10.0.0.0/8]", "10.0.0.1", Some(403)),
            ("sourceRange: [10.0.0.0/8], rejectStatusCode: 404", "", Some(404)),
            (depth, "11.0.0.1, 10.0.0.1", None),
            (depth, "10.0.0.1, 11.0.0.1", Some(403)),
            (depth, "", Some(403)),
            (depth, "nonsense", Some(403)),
            (excluded, "10.0.0.1, 11.0.0.1", None),
            (excluded, "10.0.0.1, 12.0.0.1, 11.0.0.1", Some(403)),
            (excluded, "", Some(403)),
        ] {
            let mut exchange = Exchange::made_up(&format!("GET /\nX-Forwarded-For: {forwarded}"));
            let reply = request(&*filter(&format!("ipAllowList: {{ {keys} }}")), &mut exchange);
            let expected = status.map(|status| (status, "ip_not_allowed"));
            assert_eq!(told(reply.as_ref()), expected, "{keys} {forwarded}");
        }
    }

    #[test]
    fn the_old_name_is_as_good() {
        let old = read("ipwhitelist: { sourcerange: [192.168.1.0/24, 10.0.0.0/8] }");
        assert_eq!(old, read("ipAllowList: { sourceRange: [192.168.1.0/24, 10.0.0.0/8] }"));
    }

    #[test]
    fn nobody_is_not_a_list() {
        assert_eq!(fault("ipAllowList: {}"), "ipAllowList: \"sourceRange\" is missing");
        assert!(fault("ipAllowList: { sourceRange: [] }").contains("shut everybody out"));
        assert!(
            fault("ipAllowList: { sourceRange: [10.0.0.0/33, 10.0.0.0/8] }")
                .contains("network such as")
        );
    }
}
