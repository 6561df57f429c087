//! Which packets are a VIP's.

use lb_common::{DropReason, vip};

use super::{
    kit::{self, Action, CLIENT_IF, Way, World, both, xdp},
    wire::{Packet, flag},
};

/// Packets that miss every VIP by one thing.
macro_rules! missed {
    ($($name:ident: $way:ident, $dst:expr;)+) => {
        both! { $(fn $name(w) {
            let dst = $dst.parse().unwrap();
            let frame = Packet { dst, ..Way::$way.up(flag::SYN) }.build();
            w.run(CLIENT_IF, &frame).passes(&frame);
            assert_eq!(w.flows(), []);
        })+ }
    };
}

missed! {
    another_port_passes: Tcp4, "198.51.100.10:81";
    a_port_with_its_bytes_swapped_passes: Tcp4, "198.51.100.10:20480";
    another_address_passes: Tcp4, "198.51.100.11:80";
    the_port_of_the_other_protocol_passes: Tcp4, "198.51.100.10:53";
    the_udp_port_of_the_other_protocol_passes: Udp4, "198.51.100.10:80";
    another_ipv6_port_passes: Tcp6, "[2001:db8:100::10]:81";
    another_ipv6_address_passes: Tcp6, "[2001:db8:101::10]:80";
    an_ipv6_address_with_other_low_bits_passes: Tcp6, "[2001:db8:100::11]:80";
    the_ipv6_port_of_the_other_protocol_passes: Udp6, "[2001:db8:100::10]:80";
    the_address_of_a_backend_passes: Tcp4, "10.0.1.11:8080";
    the_nat_address_without_a_flow_passes: Tcp4, "10.0.1.1:4000";
}

both! {
    fn a_vip_that_is_gone_passes(w) {
        w.change(|view| { view.vips.remove(&Way::Tcp4.id()); });
        let frame = Way::Tcp4.up(flag::SYN).build();
        w.run(CLIENT_IF, &frame).passes(&frame);
    }
    fn a_vip_that_comes_back_is_found(w) {
        let vip = w.lane.vip(Way::Tcp4);
        w.change(|view| { view.vips.remove(&0); });
        w.change(|view| { view.vips.insert(0, vip); });
        w.goes_up(Way::Tcp4, &Way::Tcp4.up(flag::SYN), &[]);
    }
    fn a_second_port_of_the_same_address_is_a_vip_of_its_own(w) {
        let second = "198.51.100.10:443".parse().unwrap();
        w.change(|view| { view.vips.insert(9, kit::vip(second, 6, 0, 1)); });
        let packet = Packet { dst: second, ..Way::Tcp4.up(flag::SYN) };
        w.goes_up(Way::Tcp4, &packet, &[]);
        assert_eq!(w.flow(Way::Tcp4.client()).vip, second);
    }
    fn a_table_rebuilt_many_times_still_finds_all(w) {
        for id in 10..30u16 {
            let at = ([198, 51, 100, 10], 1000 + id).into();
            w.change(|view| { view.vips.insert(id.into(), kit::vip(at, 6, 0, 1)); });
            let packet = Packet { dst: at, ..Way::Tcp4.from(Way::Tcp4.client_at(id), flag::SYN) };
            w.goes_up(Way::Tcp4, &packet, &[]);
        }
        assert_eq!(w.flow_count(), 20);
    }
    fn a_ring_that_names_no_backend_is_a_fault_that_is_counted(w) {
        w.change(|view| { view.rings.insert(40, kit::ring(&[100_000])); });
        w.set_vip(Way::Tcp4, |vip| vip.ring = 40);
        w.up(&Way::Tcp4.up(flag::SYN)).drops(DropReason::Internal);
        assert_eq!(w.flows(), []);
    }
}

xdp! {
    fn as_many_vips_as_there_may_be_are_found_and_none_else(w) {
        fill(w);
        for at in 0..vip::MAX_VIPS {
            let seen = w.syn_to(address(at));
            assert_eq!(seen, Action::Redirect, "VIP {at}");
            if at % 200 == 199 {
                w.lane.forget_flows().expect("emptying the table");
            }
        }
        for at in vip::MAX_VIPS..vip::MAX_VIPS + 4096 {
            assert_eq!(w.syn_to(address(at)), Action::Pass, "VIP {at}");
        }
    }
}

impl World {
    /// What becomes of a SYN, whose counts are not looked at.
    fn syn_to(&self, dst: std::net::SocketAddr) -> Action {
        let packet = Packet { dst, ..Way::Tcp4.up(flag::SYN) };
        self.act(CLIENT_IF, &packet.build())
    }
}

/// The most VIPs there may be, in place of the standard ones.
fn fill(w: &mut World) {
    w.change(|view| {
        let ids = 0..vip::MAX_VIPS;
        view.vips = ids.map(|id| (id, kit::vip(address(id), 6, 0, 1))).collect();
    });
}

/// The address of a number: 256 ports of each host.
fn address(number: u32) -> std::net::SocketAddr {
    let [_, net, host, port] = number.to_be_bytes();
    ([100, 64 + net, host, 7], 1000 + u16::from(port)).into()
}
