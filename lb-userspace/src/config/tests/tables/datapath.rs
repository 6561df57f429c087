//! `datapath`.

use super::*;
use crate::model::Datapath;

fn datapath(inner: &str) -> Datapath {
    sound(&format!("datapath: {{ {inner} }}")).settings.datapath
}

fn named(names: &[&str]) -> InterfaceChoice {
    InterfaceChoice::Named(names.iter().map(|name| (*name).to_owned()).collect())
}

rows! {
    all_by_default: datapath("") => Datapath::default();
    interfaces_auto: datapath("interfaces: auto").interfaces => InterfaceChoice::Auto;
    interfaces_one: datapath("interfaces: eth0").interfaces => named(&["eth0"]);
    interfaces_list: datapath("interfaces: [eth0, bond0.100]").interfaces => named(&["eth0", "bond0.100"]);
    mode_auto: datapath("mode: auto").mode => Mode::Auto;
    mode_native: datapath("mode: native").mode => Mode::Native;
    mode_generic: datapath("mode: generic").mode => Mode::Generic;
    mode_tc: datapath("mode: tc").mode => Mode::Tc;
    connections_fewest: datapath("connections: 1024").connections => 1024;
    connections_most: datapath("connections: 64000000").connections => 64_000_000;
    connections_with_underscores: datapath("connections: 1_000_000").connections => 1_000_000;
    backends: datapath("backends: 100").backends => 100;
    ring_small: datapath("ringSize: 251").ring_size => 251;
    ring_of_two: datapath("ringSize: 2").ring_size => 2;
    ring_largest: datapath("ringSize: 65537").ring_size => 65_537;
    return_path_client: datapath("returnPath: client").return_path => ReturnPath::Client;
    return_path_route: datapath("returnPath: route").return_path => ReturnPath::Route;
    trace: datapath("trace: true").trace => true;
    nat_ports: datapath("nat: { ports: 2000-3000 }").nat.ports => (2000, 3000);
    nat_ports_with_spaces: datapath("nat: { ports: '2000 - 3000' }").nat.ports => (2000, 3000);
    nat_ports_one: datapath("nat: { ports: 2000-2000 }").nat.ports => (2000, 2000);
    nat_addresses: datapath("nat: { addresses: [10.0.1.1, '2001:db8::1'] }").nat.addresses.len() => 2;
    timeout: datapath("timeouts: { udp: 10s }").timeouts.udp => Duration::from_secs(10);
    timeout_longest: datapath("timeouts: { tcpEstablished: 576h }").timeouts.tcp_established => Duration::from_secs(576 * 3600);
}
