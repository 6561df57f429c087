//! NAT ports beside the host's own.

use crate::config::HostPorts;

fn overlap(range: &str, reserved: &str) -> Option<(u16, u16)> {
    HostPorts::parse(range, reserved).overlap(1024, 32_767)
}

rows! {
    the_usual_range: overlap("32768\t60999\n", "\n") => None;
    a_wide_range: overlap("1024 65000", "") => Some((1024, 32_767));
    a_range_that_begins_below: overlap("32000 60999", "") => Some((32_000, 32_767));
    a_range_wholly_reserved: overlap("32000 60999", "32000-32767") => None;
    a_range_reserved_in_parts: overlap("32000 60999", "32000-32499,32500-32767\n") => None;
    a_range_half_reserved: overlap("32000 60999", "32000-32099") => Some((32_100, 32_767));
    a_hole: overlap("32000 60999", "32000-32099,32200-32767") => Some((32_100, 32_199));
    single_ports_reserved: overlap("32766 60999", "32766,32767") => None;
    unreadable: overlap("", "") => None;
    nonsense: overlap("a b", "c-d,,") => None;
}

#[test]
fn the_default_ports_are_refused_too_where_they_overlap() {
    let host = HostPorts::parse("10000 60999", "");
    let faults = crate::config::load_bytes("lb.yaml".as_ref(), b"{}", &host).expect_err("a fault");
    assert_eq!(
        faults[0].to_string(),
        "lb.yaml: datapath.nat.ports: ports 1024-32767 overlap those that the host's own \
         sockets choose from (10000-60999, net.ipv4.ip_local_port_range): choose others, or \
         reserve 10000-32767 in net.ipv4.ip_local_reserved_ports"
    );
}
