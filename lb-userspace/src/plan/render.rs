//! Plans as text: one step a line, the same for the same plan.

use std::{
    fmt::{self, Display, Formatter, Result},
    net::SocketAddr,
};

use lb_common::{
    BackendEntry, IfaceEntry, KernelConfig, VipEntry, addr::to_ip, backend, config, vip,
};

use super::{Op, Plan, RingView};
use crate::model::Algorithm;

/// Members of a ring that are listed one by one.
const LISTED: usize = 16;

impl Display for Plan {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        self.ops.iter().try_for_each(|op| writeln!(f, "{op}"))
    }
}

impl Display for Op {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Config(config) => self::config(f, config),
            Self::Nat(id, [0, 0, 0, 0]) => write!(f, "drop nat {id}"),
            Self::Nat(id, address) => write!(f, "nat {id}: {}", to_ip(address)),
            Self::Iface(slot, entry) if entry.ifindex == 0 => write!(f, "drop iface slot {slot}"),
            Self::Iface(slot, entry) => iface(f, *slot, entry),
            Self::Backend(id, entry) => backend(f, *id, entry),
            Self::Ring(id, view) => ring(f, *id, view),
            Self::Vip(id, entry) => vip(f, *id, entry),
            Self::VipTable(vips) => {
                write!(f, "vip table:")?;
                vips.iter().try_for_each(|(id, vip)| {
                    write!(f, " {}/{}={id}", socket(&vip.addr, vip.port), proto(vip.proto.into()))
                })
            }
            Self::DropVip(id) => write!(f, "drop vip {id}"),
            Self::DropRing(id) => write!(f, "drop ring {id}"),
            Self::DropBackend(id) => write!(f, "drop backend {id}"),
        }
    }
}

/// All but the keys of the hash, which are secret.
fn config(f: &mut Formatter<'_>, config: &KernelConfig) -> Result {
    let KernelConfig { est_buckets, half_buckets, reply_buckets, min_mtu, hz, .. } = config;
    write!(f, "config: buckets {est_buckets} established {half_buckets} half-open")?;
    write!(
        f,
        " {reply_buckets} reply; nat ports {}-{}",
        config.nat_port_first, config.nat_port_last
    )?;
    write!(f, ", host's {}-{}", config.host_port_first, config.host_port_last)?;
    write!(f, ", own {}-{}", config.own_port_first, config.own_port_last)?;
    write!(f, "; min mtu {min_mtu}; return by ")?;
    f.write_str(if config.flags & config::flags::RETURN_ROUTE != 0 { "route" } else { "client" })?;
    write!(f, "; time-outs at {hz} Hz: established {}", config.tcp_established)?;
    write!(f, " half-open {} closing {}", config.half_open, config.tcp_closing)?;
    write!(f, " closed {} udp {}", config.tcp_closed, config.udp)
}

fn iface(f: &mut Formatter<'_>, slot: u32, entry: &IfaceEntry) -> Result {
    write!(f, "iface slot {slot}: if {} {} mtu {}", entry.ifindex, Mac(entry.mac), entry.mtu)?;
    f.write_str(if entry.flags & backend::IFACE_XDP != 0 { " xdp" } else { "" })
}

fn backend(f: &mut Formatter<'_>, id: u32, entry: &BackendEntry) -> Result {
    let BackendEntry { weight, service, ifindex, mtu, nat_first, nat_count, .. } = entry;
    write!(f, "backend {id}: {} {}", proto(entry.proto), socket(&entry.addr, entry.port))?;
    write!(f, " of {service:016x} weight {weight}")?;
    if *ifindex != 0 {
        write!(f, " by if {ifindex}")?;
        if entry.vlan != 0 {
            write!(f, " vlan {:#06x}", entry.vlan)?;
        }
        write!(f, " {} to {} mtu {mtu}", Mac(entry.src_mac), Mac(entry.dst_mac))?;
    }
    if *nat_count != 0 {
        write!(f, " nat {nat_first}+{nat_count}")?;
    }
    let names = [
        (backend::flags::RESOLVED, "resolved"),
        (backend::flags::XDP, "xdp"),
        (backend::flags::DOWN, "down"),
        (backend::flags::RESET, "reset"),
    ];
    let set = names.iter().filter(|(bit, _)| entry.flags & bit != 0);
    set.into_iter().try_for_each(|(_, name)| write!(f, " {name}"))
}

fn ring(f: &mut Formatter<'_>, id: u32, ring: &RingView) -> Result {
    let mut counts = vec![0u32; ring.members.len()];
    for &slot in &ring.slots {
        if let Some(count) = counts.get_mut(usize::from(slot)) {
            *count += 1;
        }
    }
    write!(f, "ring {id}: {} slots:", ring.slots.len())?;
    if counts.len() <= LISTED {
        let shares = ring.members.iter().zip(&counts);
        return shares.into_iter().try_for_each(|(member, n)| write!(f, " backend {member} {n}"));
    }
    let (least, most) = (counts.iter().min(), counts.iter().max());
    let (least, most) = (least.copied().unwrap_or(0), most.copied().unwrap_or(0));
    write!(f, " {} backends, {least} to {most} each", counts.len())
}

fn vip(f: &mut Formatter<'_>, id: u32, entry: &VipEntry) -> Result {
    let proto = proto(entry.proto.into());
    write!(f, "vip {id}: {proto} {}", socket(&entry.addr, entry.port))?;
    write!(f, " of {:016x} {}", entry.service, algorithm(entry.algorithm))?;
    if entry.ring == vip::NO_RING {
        let drops = entry.flags & vip::flags::EMPTY_DROP != 0;
        write!(f, " without backend: {}", if drops { "drop" } else { "reset" })
    } else {
        write!(f, " by ring {} of {}", entry.ring, entry.ring_len)
    }
}

fn algorithm(number: u32) -> &'static str {
    match number {
        vip::algorithm::MAGLEV => Algorithm::Maglev.name(),
        vip::algorithm::ROUND_ROBIN => Algorithm::RoundRobin.name(),
        vip::algorithm::LEAST_CONN => Algorithm::LeastConn.name(),
        vip::algorithm::SOURCE_HASH => Algorithm::SourceHash.name(),
        vip::algorithm::RANDOM => Algorithm::Random.name(),
        _ => "unknown algorithm",
    }
}

fn socket(address: &lb_common::Addr, port: u16) -> SocketAddr {
    SocketAddr::new(to_ip(address), u16::from_be(port))
}

fn proto(number: u32) -> &'static str {
    match number {
        6 => "tcp",
        17 => "udp",
        _ => "unknown protocol",
    }
}

struct Mac([u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use lb_common::addr::from_ip;

    use super::*;

    fn lines(ops: Vec<Op>) -> String {
        Plan { ops }.to_string()
    }

    fn address(text: &str) -> lb_common::Addr {
        from_ip(text.parse().unwrap())
    }

    #[test]
    fn settings_are_told_without_the_keys() {
        let config = KernelConfig {
            hash_key: [0x5ec2e7; 12],
            choice_key: [0x5ec2e7; 12],
            est_buckets: 8,
            half_buckets: 2,
            reply_buckets: 16,
            flags: config::flags::RETURN_ROUTE,
            nat_port_first: 1024,
            nat_port_last: 32_767,
            host_port_first: 32_768,
            host_port_last: 60_999,
            own_port_first: 32_256,
            own_port_last: 32_767,
            min_mtu: 1400,
            hz: 250,
            nat_filter: 0x5ec2e7,
            tcp_established: 5,
            half_open: 4,
            tcp_closing: 3,
            tcp_closed: 2,
            udp: 1,
        };
        let text = "config: buckets 8 established 2 half-open 16 reply; nat ports 1024-32767, host's \
                    32768-60999, own 32256-32767; min mtu 1400; return by route; time-outs at 250 \
                    Hz: established 5 half-open 4 closing 3 closed 2 udp 1\n";
        assert_eq!(lines(vec![Op::Config(config)]), text);
    }

    #[test]
    fn nat_addresses_and_interfaces_are_named() {
        let entry = IfaceEntry { ifindex: 2, mtu: 1500, mac: [0, 1, 2, 3, 4, 0xff], flags: 1 };
        let ops = vec![
            Op::Nat(0, address("10.0.0.1")),
            Op::Iface(2, entry),
            Op::Iface(3, IfaceEntry::default()),
            Op::Nat(1, [0; 4]),
        ];
        let text = "nat 0: 10.0.0.1\niface slot 2: if 2 00:01:02:03:04:ff mtu 1500 xdp\n\
                    drop iface slot 3\ndrop nat 1\n";
        assert_eq!(lines(ops), text);
    }

    #[test]
    fn a_backend_is_told_with_its_way() {
        let entry = BackendEntry {
            addr: address("2001:db8::5"),
            port: 5432u16.to_be(),
            vlan: 0x1007,
            flags: 31,
            ifindex: 2,
            dst_mac: [1; 6],
            src_mac: [2; 6],
            mtu: 1400,
            nat_first: 3,
            nat_count: 2,
            service: 0xab,
            weight: 7,
            proto: 6,
        };
        let text = "backend 4: tcp [2001:db8::5]:5432 of 00000000000000ab weight 7 by if 2 vlan \
                    0x1007 02:02:02:02:02:02 to 01:01:01:01:01:01 mtu 1400 nat 3+2 resolved xdp \
                    down reset\n";
        assert_eq!(lines(vec![Op::Backend(4, entry)]), text);
    }

    #[test]
    fn a_backend_without_a_way_is_short() {
        let entry = BackendEntry {
            addr: address("10.0.0.5"),
            port: 53u16.to_be(),
            proto: 17,
            ..BackendEntry::default()
        };
        let text = "backend 0: udp 10.0.0.5:53 of 0000000000000000 weight 0\n";
        assert_eq!(lines(vec![Op::Backend(0, entry)]), text);
    }

    #[test]
    fn a_ring_is_told_by_shares() {
        let few = RingView { members: vec![4, 9], slots: vec![0, 1, 0], recipe: 0 };
        let many = RingView {
            members: (0..17).collect(),
            slots: (0..18).map(|slot| slot % 17).collect(),
            recipe: 0,
        };
        let ops = vec![Op::Ring(0, Arc::new(few)), Op::Ring(1, Arc::new(many))];
        let text = "ring 0: 3 slots: backend 4 2 backend 9 1\n\
                    ring 1: 18 slots: 17 backends, 1 to 2 each\n";
        assert_eq!(lines(ops), text);
    }

    #[test]
    fn a_vip_is_told_with_what_it_selects_from() {
        let entry = VipEntry {
            addr: address("198.51.100.1"),
            port: 80u16.to_be(),
            proto: 6,
            algorithm: vip::algorithm::LEAST_CONN,
            ring: 2,
            ring_len: 3,
            ..VipEntry::default()
        };
        let reset = VipEntry { ring: vip::NO_RING, ..entry };
        let drop = VipEntry { flags: vip::flags::EMPTY_DROP, ..reset };
        let ops = vec![
            Op::Vip(0, entry),
            Op::Vip(1, reset),
            Op::Vip(2, drop),
            Op::VipTable([(0, entry), (5, VipEntry { proto: 17, ..entry })].into()),
        ];
        let text = "vip 0: tcp 198.51.100.1:80 of 0000000000000000 leastConn by ring 2 of 3\n\
                    vip 1: tcp 198.51.100.1:80 of 0000000000000000 leastConn without backend: reset\n\
                    vip 2: tcp 198.51.100.1:80 of 0000000000000000 leastConn without backend: drop\n\
                    vip table: 198.51.100.1:80/tcp=0 198.51.100.1:80/udp=5\n";
        assert_eq!(lines(ops), text);
    }

    #[test]
    fn deletions_are_one_line_each() {
        let ops = vec![Op::DropVip(1), Op::DropRing(2), Op::DropBackend(3)];
        assert_eq!(lines(ops), "drop vip 1\ndrop ring 2\ndrop backend 3\n");
    }
}
