//! ``ClientIP(`192.0.2.0/24`)``: who asks, as an address or a network.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{Arguments, Kind};
use crate::rule::facts::Facts;

/// Any of some networks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::rule) struct ClientIp(Vec<IpNet>);

impl Kind for ClientIp {
    fn build(arguments: &Arguments<'_>) -> Result<Self, String> {
        let make = |text: &str| {
            let network = match text.parse::<IpAddr>() {
                Ok(ip) => Ok(IpNet::from(ip.to_canonical())),
                Err(_) => text.parse::<IpNet>(),
            };
            network.map_err(|_| {
                format!("{text:?} is neither an address nor a network such as 192.0.2.0/24")
            })
        };
        arguments.each(make).map(Self)
    }

    fn matches(&self, facts: &Facts<'_>) -> bool {
        let ip = facts.subject.client();
        self.0.iter().any(|network| network.contains(&ip))
    }
}
