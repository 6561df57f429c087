//! A client, a balancer and backends, each in a namespace of its own, in the
//! shapes that networks have.
//!
//! The balancer has no forwarding, no default route and no sysctl set: whatever
//! reaches a backend got there through lb.

mod build;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::Result;

use crate::{Namespace, bytecode::Attached};

/// The IPv4 VIP that clients have a route to.
pub const VIP4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 10);
/// The IPv6 VIP that clients have a route to.
pub const VIP6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x100, 0, 0, 0, 0, 0x10);

/// What lies between client and balancer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Front {
    /// A link.
    #[default]
    Direct,
    /// A link on which VIP traffic is tagged (802.1Q).
    Vlan(u16),
    /// A router whose path has this MTU in both directions.
    Router(u32),
}

/// What lies between balancer and backends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Back {
    /// A switch on a second interface.
    #[default]
    Switch,
    /// A gateway whose path has this MTU, and the switch behind it.
    Gateway(u32),
    /// A bridge on the balancer's own host, as containers have it.
    Bridge,
    /// A veth for each backend and a host route to it, as some container networks have it.
    Routed,
    /// The very link that the client is on.
    OneArm,
}

/// What to build.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// How many backends, 1 to 200: `10.0.1.11`, `10.0.1.12`, ….
    pub backends: usize,
    /// Towards the client.
    pub front: Front,
    /// Towards the backends.
    pub back: Back,
    /// MTU of the backends' link.
    pub back_mtu: u32,
    /// Whether the balancer's links behave like wires rather than like veths.
    pub wires: bool,
}

impl Default for Shape {
    fn default() -> Self {
        Self { backends: 3, front: Front::Direct, back: Back::Switch, back_mtu: 1500, wires: false }
    }
}

/// One backend's namespace.
pub struct Host {
    /// `b1`, `b2`, …: what its servers call themselves.
    pub name: String,
    /// Its namespace; the interface is `eth0`.
    pub ns: Namespace,
    /// Its address.
    pub v4: Ipv4Addr,
    /// Its IPv6 address.
    pub v6: Ipv6Addr,
}

impl Host {
    /// IPv4 address and port.
    pub fn at(&self, port: u16) -> SocketAddr {
        (self.v4, port).into()
    }

    /// IPv6 address and port.
    pub fn at6(&self, port: u16) -> SocketAddr {
        (self.v6, port).into()
    }

    /// The host dies: its link goes down, nothing answers.
    pub fn cut(&self) -> Result<()> {
        self.ns.ip("link set eth0 down").map(|_| ())
    }

    /// The link comes back with its addresses.
    pub fn restore(&self) -> Result<()> {
        self.ns.ip_batch(&format!("link set eth0 up\naddr replace {}/64 dev eth0 nodad\n", self.v6))
    }
}

/// All of it; taken down on drop.
pub struct Lab {
    /// The client: `192.0.2.2`, `2001:db8:1::2`.
    pub client: Namespace,
    /// The balancer: `eth0` towards the client.
    pub lb: Namespace,
    /// The backends.
    pub backends: Vec<Host>,
    /// Router, gateway and switch, where there are any.
    pub between: Vec<Namespace>,
    /// What it was made from.
    pub shape: Shape,
    attached: Vec<Attached>,
}

impl Lab {
    /// Builds a shape.
    pub fn new(shape: Shape) -> Result<Self> {
        let mut lab = Self {
            client: Namespace::new("client")?,
            lb: Namespace::new("lb")?,
            backends: Vec::new(),
            between: Vec::new(),
            shape,
            attached: Vec::new(),
        };
        for n in 1..=shape.backends {
            lab.backends.push(Host {
                name: format!("b{n}"),
                ns: Namespace::new(&format!("b{n}"))?,
                v4: Ipv4Addr::new(10, 0, 1, 10 + u8::try_from(n)?),
                v6: Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 0x10 + u16::try_from(n)?),
            });
        }
        lab.build()?;
        Ok(lab)
    }

    /// `(VIP4, port)`.
    pub fn vip(&self, port: u16) -> SocketAddr {
        (VIP4, port).into()
    }

    /// `(VIP6, port)`.
    pub fn vip6(&self, port: u16) -> SocketAddr {
        (VIP6, port).into()
    }

    /// The address of the balancer towards the backends.
    pub fn source(&self) -> IpAddr {
        match self.shape.back {
            Back::Gateway(_) => Ipv4Addr::new(10, 0, 3, 1).into(),
            _ => Ipv4Addr::new(10, 0, 1, 1).into(),
        }
    }
}
