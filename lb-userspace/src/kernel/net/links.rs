//! Interfaces, as netlink tells of them.

use std::{collections::BTreeMap, fmt};

use lb_common::flow::{VLAN_AD, VLAN_TAGGED};
use rtnetlink::packet_route::{
    RouteNetlinkMessage,
    link::{
        InfoData, InfoKind, InfoVlan, LinkAttribute, LinkFlags, LinkInfo, LinkLayerType,
        LinkMessage, VlanProtocol,
    },
};

use super::socket::{NetError, Netlink};

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its index in this network namespace.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: LinkKind,
    /// Its MAC; zero where it has none.
    pub mac: [u8; 6],
    /// Longest IP packet in bytes.
    pub mtu: u32,
    /// Whether it is administratively up.
    pub up: bool,
    /// Whether it has a carrier.
    pub running: bool,
    /// Whether frames on it begin with an Ethernet header.
    pub ethernet: bool,
    /// Bridge, bond or VRF it belongs to, by index.
    pub master: Option<u32>,
    /// Of a VLAN device: its parent and tag.
    pub vlan: Option<Vlan>,
}

/// What a VLAN device adds to frames of its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vlan {
    /// Index of the parent, in the same network namespace.
    pub parent: u32,
    /// The tag as `lb_common::Flow::vlan` has it.
    pub word: u16,
}

/// What an interface is: `IFLA_INFO_KIND`, which devices of hardware drivers don't have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkKind {
    /// A device of a hardware (or virtio, Xen, Hyper-V) driver.
    Device,
    /// `lo`.
    Loopback,
    /// One end of a veth pair.
    Veth,
    /// A bridge.
    Bridge,
    /// A VLAN device.
    Vlan,
    /// A bond.
    Bond,
    /// Any other, by the kernel's name: `macvlan`, `tun`, `vxlan`, ….
    Other(String),
}

/// Every interface of the network namespace, by index.
pub(crate) async fn all(netlink: &Netlink) -> Result<BTreeMap<u32, Link>, NetError> {
    let request = RouteNetlinkMessage::GetLink(LinkMessage::default());
    let answers = netlink.dump("interfaces", request).await?;
    Ok(answers
        .into_iter()
        .filter_map(|answer| match answer {
            RouteNetlinkMessage::NewLink(message) => Some(Link::from_message(&message)),
            _ => None,
        })
        .map(|link| (link.index, link))
        .collect())
}

impl LinkKind {
    /// The kernel's name; `device` for hardware.
    pub fn name(&self) -> &str {
        match self {
            Self::Device => "device",
            Self::Loopback => "loopback",
            Self::Veth => "veth",
            Self::Bridge => "bridge",
            Self::Vlan => "vlan",
            Self::Bond => "bond",
            Self::Other(name) => name,
        }
    }
}

impl fmt::Display for LinkKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Link {
    /// Reads a message about a link.
    pub(crate) fn from_message(message: &LinkMessage) -> Self {
        let header = &message.header;
        let mut link = Self {
            index: header.index,
            name: String::new(),
            kind: LinkKind::Device,
            mac: [0; 6],
            mtu: 0,
            up: header.flags.contains(LinkFlags::Up),
            running: header.flags.contains(LinkFlags::LowerUp),
            ethernet: header.link_layer_type == LinkLayerType::Ether,
            master: None,
            vlan: None,
        };
        let mut parent = Parent::default();
        for attribute in &message.attributes {
            link.read(attribute, &mut parent);
        }
        if header.flags.contains(LinkFlags::Loopback) {
            link.kind = LinkKind::Loopback;
        }
        if let (Some(index), Some(id), false) = (parent.index, parent.id, parent.elsewhere) {
            let protocol = if parent.service_tag { VLAN_AD } else { 0 };
            link.vlan = Some(Vlan { parent: index, word: VLAN_TAGGED | protocol | (id & 0x0fff) });
        }
        link
    }

    fn read(&mut self, attribute: &LinkAttribute, parent: &mut Parent) {
        match attribute {
            LinkAttribute::IfName(name) => self.name.clone_from(name),
            LinkAttribute::Mtu(mtu) => self.mtu = *mtu,
            LinkAttribute::Address(bytes) => {
                self.mac = <[u8; 6]>::try_from(bytes.as_slice()).unwrap_or_default();
            }
            LinkAttribute::Controller(index) => self.master = Some(*index),
            LinkAttribute::Link(index) => parent.index = Some(*index),
            LinkAttribute::LinkNetNsId(_) => parent.elsewhere = true,
            LinkAttribute::LinkInfo(infos) => {
                for info in infos {
                    match info {
                        LinkInfo::Kind(kind) => self.kind = kind_of(kind),
                        LinkInfo::Data(InfoData::Vlan(values)) => parent.read(values),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
}

/// What a message says of a parent, in parts.
#[derive(Default)]
struct Parent {
    index: Option<u32>,
    /// The index counts in another network namespace.
    elsewhere: bool,
    id: Option<u16>,
    service_tag: bool,
}

impl Parent {
    fn read(&mut self, values: &[InfoVlan]) {
        for value in values {
            match value {
                InfoVlan::Id(id) => self.id = Some(*id),
                InfoVlan::Protocol(VlanProtocol::Ieee8021Ad) => self.service_tag = true,
                _ => {}
            }
        }
    }
}

fn kind_of(kind: &InfoKind) -> LinkKind {
    match kind {
        InfoKind::Veth => LinkKind::Veth,
        InfoKind::Bridge => LinkKind::Bridge,
        InfoKind::Vlan => LinkKind::Vlan,
        InfoKind::Bond => LinkKind::Bond,
        other => LinkKind::Other(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use rtnetlink::packet_core::{Emitable, Parseable};

    use super::*;

    fn vlan(protocol: VlanProtocol) -> LinkMessage {
        let mut message = LinkMessage::default();
        message.header.index = 7;
        message.header.link_layer_type = LinkLayerType::Ether;
        message.header.flags = LinkFlags::Up | LinkFlags::LowerUp;
        message.attributes = vec![
            LinkAttribute::IfName("eth0.100".into()),
            LinkAttribute::Mtu(1400),
            LinkAttribute::Link(2),
            LinkAttribute::Address(vec![2, 0, 0, 0, 0, 7]),
            LinkAttribute::LinkInfo(vec![
                LinkInfo::Kind(InfoKind::Vlan),
                LinkInfo::Data(InfoData::Vlan(vec![
                    InfoVlan::Protocol(protocol),
                    InfoVlan::Id(100),
                ])),
            ]),
        ];
        message
    }

    /// As it would come from the kernel.
    fn read(message: &LinkMessage) -> Link {
        let mut bytes = vec![0; message.buffer_len()];
        message.emit(&mut bytes);
        Link::from_message(&LinkMessage::parse(&bytes).unwrap())
    }

    #[test]
    fn a_vlan_device_has_a_parent_and_a_tag() {
        let link = read(&vlan(VlanProtocol::Ieee8021Q));
        assert_eq!(link.vlan, Some(Vlan { parent: 2, word: 0x1064 }));
        assert_eq!((link.kind, link.mtu, link.mac), (LinkKind::Vlan, 1400, [2, 0, 0, 0, 0, 7]));
        assert!(link.up && link.running && link.ethernet);
    }

    #[test]
    fn a_service_tag_is_told_apart() {
        let link = read(&vlan(VlanProtocol::Ieee8021Ad));
        assert_eq!(link.vlan, Some(Vlan { parent: 2, word: 0x3064 }));
    }

    #[test]
    fn a_parent_in_another_namespace_is_none() {
        let mut message = vlan(VlanProtocol::Ieee8021Q);
        message.attributes.push(LinkAttribute::LinkNetNsId(0));
        assert_eq!(read(&message).vlan, None);
    }

    #[test]
    fn the_peer_of_a_veth_is_no_parent() {
        let mut message = vlan(VlanProtocol::Ieee8021Q);
        message.attributes.pop();
        message.attributes.push(LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Veth)]));
        let link = read(&message);
        assert_eq!((link.kind, link.vlan), (LinkKind::Veth, None));
    }
}
