//! What `datapath.returnPath: route` needs of the host: the kernel's routing table answers the
//! programs only for packets of an interface that the host forwards from.

use std::{fs, net::IpAddr};

use crate::kernel::net::NetState;

/// Interfaces that backends' replies come in by and that the host doesn't forward from.
pub(super) fn faults(state: &NetState) -> Vec<String> {
    let mut faults = Vec::new();
    for point in state.attach.values() {
        let here = state.view.next_hops.iter().filter(|(_, hop)| hop.ifindex == point.index);
        for family in families(here.map(|(ip, _)| *ip)) {
            let name = format!("net/{family}/conf/{}/forwarding", point.name);
            if fs::read_to_string(format!("/proc/sys/{name}")).is_ok_and(|on| on.trim() == "0") {
                faults.push(format!(
                    "interface {}: returnPath: route finds no way back for replies that come in \
                     here while {} is 0",
                    point.name,
                    name.replace('/', ".")
                ));
            }
        }
    }
    faults
}

/// Of which IP versions these are, by their names in `/proc/sys/net`.
fn families(addresses: impl Iterator<Item = IpAddr>) -> Vec<&'static str> {
    let mut found = [false; 2];
    addresses.for_each(|ip| found[usize::from(ip.is_ipv6())] = true);
    ["ipv4", "ipv6"].into_iter().zip(found).filter(|(_, f)| *f).map(|(name, _)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::families;

    #[test]
    fn only_the_versions_that_backends_have_are_asked_about() {
        let of = |texts: &[&str]| families(texts.iter().map(|text| text.parse().unwrap()));
        assert_eq!(of(&[]), Vec::<&str>::new());
        assert_eq!(of(&["10.0.0.1", "10.0.0.2"]), ["ipv4"]);
        assert_eq!(of(&["2001:db8::1", "10.0.0.2"]), ["ipv4", "ipv6"]);
    }
}
