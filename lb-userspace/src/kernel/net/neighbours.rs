//! Next hops: resolved before they are used, and kept so by the kernel
//! (managed neighbours, Linux 5.16), whether or not the host talks to them.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use rtnetlink::packet_route::{
    AddressFamily, RouteNetlinkMessage,
    neighbour::{
        NeighbourAddress, NeighbourAttribute, NeighbourExtFlags, NeighbourFlags, NeighbourMessage,
        NeighbourState,
    },
    route::RouteProtocol,
};
use tracing::debug;

use super::{
    routes::family,
    socket::{NetError, Netlink},
};

/// An interface and an address on its link.
pub(crate) type Key = (u32, IpAddr);

/// Marks the entries that lb keeps (`ip neigh` shows `proto 108`), so that a
/// later daemon and `lb detach` know them.
pub(crate) const MARK: u8 = 108;

/// What is known of next hops.
#[derive(Default)]
pub(crate) struct Neighbours {
    wanted: BTreeSet<Key>,
    known: BTreeMap<Key, Entry>,
    /// Marked entries of an earlier daemon that nobody has asked for yet.
    orphans: BTreeSet<Key>,
}

/// What the kernel said last of one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Entry {
    mac: Option<[u8; 6]>,
    /// Set by the operator (or without ARP at all): left as it is.
    fixed: bool,
    marked: bool,
}

impl Neighbours {
    /// The MAC of a next hop that is wanted, when resolved.
    pub(crate) fn mac(&self, key: &Key) -> Option<[u8; 6]> {
        self.known.get(key).and_then(|entry| entry.mac)
    }

    /// Wants these from now on: asks the kernel to resolve and keep the new
    /// ones, and gives up those no longer needed.
    pub(crate) async fn keep(&mut self, netlink: &Netlink, wanted: BTreeSet<Key>) {
        for key in self.wanted.difference(&wanted).copied().collect::<Vec<_>>() {
            release(netlink, key).await;
            self.known.remove(&key);
        }
        let new: Vec<_> = wanted.difference(&self.wanted).copied().collect();
        self.wanted = wanted;
        for key in new {
            self.orphans.remove(&key);
            self.acquire(netlink, key).await;
        }
    }

    /// Asks anew for those that the kernel has forgotten.
    pub(crate) async fn restore(&mut self, netlink: &Netlink) {
        let forgotten = |key: &&Key| !self.known.contains_key(key);
        for key in self.wanted.iter().filter(forgotten).copied().collect::<Vec<_>>() {
            self.acquire(netlink, key).await;
        }
    }

    /// Asks again for those without an answer; `true` when one had come meanwhile.
    pub(crate) async fn nudge(&mut self, netlink: &Netlink) -> bool {
        let unresolved: Vec<_> = self.unresolved().collect();
        for key in &unresolved {
            self.acquire(netlink, *key).await;
        }
        unresolved.iter().any(|key| self.mac(key).is_some())
    }

    /// Whether some are without an answer.
    pub(crate) fn any_unresolved(&self) -> bool {
        self.unresolved().next().is_some()
    }

    /// Takes in a message; `true` when a wanted one's MAC has changed, or it is gone.
    pub(crate) fn hear(&mut self, message: &NeighbourMessage, deleted: bool) -> bool {
        let Some(key) = key(message) else { return false };
        if !self.wanted.contains(&key) {
            return false;
        }
        let before = self.mac(&key);
        if deleted {
            self.known.remove(&key);
        } else {
            self.known.insert(key, entry(message));
        }
        deleted || before != self.mac(&key)
    }

    /// Reads the kernel's table again.
    pub(crate) async fn resync(&mut self, netlink: &Netlink) -> Result<(), NetError> {
        let all = dump(netlink).await?;
        self.known.clear();
        for message in &all {
            let Some(key) = key(message) else { continue };
            if self.wanted.contains(&key) {
                self.known.insert(key, entry(message));
            } else if entry(message).marked {
                self.orphans.insert(key);
            }
        }
        // Whatever is wanted and isn't kept (any more) is asked for again.
        let lost = |key: &&Key| self.known.get(key).is_none_or(|e| !e.marked && !e.fixed);
        for key in self.wanted.iter().filter(lost).copied().collect::<Vec<_>>() {
            self.acquire(netlink, key).await;
        }
        Ok(())
    }

    /// Gives up what an earlier daemon kept and nobody has asked for since.
    pub(crate) async fn release_orphans(&mut self, netlink: &Netlink) {
        for key in std::mem::take(&mut self.orphans) {
            release(netlink, key).await;
        }
    }

    fn unresolved(&self) -> impl Iterator<Item = Key> {
        self.wanted.iter().filter(|key| self.mac(key).is_none()).copied()
    }

    async fn acquire(&mut self, netlink: &Netlink, key: Key) {
        let now = look_up(netlink, key).await;
        if let Some(entry) = now {
            self.known.insert(key, entry);
        }
        if now.is_some_and(|entry| entry.fixed) {
            return;
        }
        let mut message = blank(key);
        message.attributes.push(NeighbourAttribute::ExtFlags(NeighbourExtFlags::Managed));
        message.attributes.push(NeighbourAttribute::Protocol(RouteProtocol::from(MARK)));
        let what = format!("neighbour {} on interface {}", key.1, key.0);
        // An interface that is going down refuses; its routes go with it.
        match netlink.put(&what, RouteNetlinkMessage::NewNeighbour(message)).await {
            Ok(()) => _ = self.known.entry(key).or_default(),
            Err(error) => debug!("{error}"),
        }
    }
}

/// Gives up every neighbour that lb keeps in this network namespace.
pub(crate) async fn release_all(netlink: &Netlink) -> Result<usize, NetError> {
    let mut count = 0;
    for message in dump(netlink).await? {
        if let Some(key) = key(&message)
            && entry(&message).marked
        {
            release(netlink, key).await;
            count += 1;
        }
    }
    Ok(count)
}

/// Removes an entry, unless the operator has made it their own since.
async fn release(netlink: &Netlink, key: Key) {
    let ours = look_up(netlink, key).await.is_some_and(|entry| entry.marked && !entry.fixed);
    if !ours {
        return;
    }
    let what = format!("removing neighbour {} of interface {}", key.1, key.0);
    if let Err(error) = netlink.set(&what, RouteNetlinkMessage::DelNeighbour(blank(key))).await {
        debug!("{error}");
    }
}

async fn look_up(netlink: &Netlink, key: Key) -> Option<Entry> {
    let message = RouteNetlinkMessage::GetNeighbour(blank(key));
    let answers = netlink.get("a neighbour", message).await.ok()?;
    answers.iter().find_map(|answer| match answer {
        RouteNetlinkMessage::NewNeighbour(message) => Some(entry(message)),
        _ => None,
    })
}

async fn dump(netlink: &Netlink) -> Result<Vec<NeighbourMessage>, NetError> {
    let mut all = Vec::new();
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let mut message = NeighbourMessage::default();
        message.header.family = family;
        let request = RouteNetlinkMessage::GetNeighbour(message);
        let answers = netlink.dump_family("neighbours", request, family).await?;
        all.extend(answers.into_iter().filter_map(|answer| match answer {
            RouteNetlinkMessage::NewNeighbour(message) => Some(message),
            _ => None,
        }));
    }
    Ok(all)
}

/// A message about a neighbour that says no more than which one.
fn blank((interface, address): Key) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = family(address);
    message.header.ifindex = interface;
    message.attributes.push(NeighbourAttribute::Destination(address.into()));
    message
}

fn key(message: &NeighbourMessage) -> Option<Key> {
    if message.header.flags.contains(NeighbourFlags::Proxy) {
        return None;
    }
    message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::Destination(NeighbourAddress::Inet(v4)) => {
            Some((message.header.ifindex, (*v4).into()))
        }
        NeighbourAttribute::Destination(NeighbourAddress::Inet6(v6)) => {
            Some((message.header.ifindex, (*v6).into()))
        }
        _ => None,
    })
}

fn entry(message: &NeighbourMessage) -> Entry {
    let state = message.header.state;
    let mut entry = Entry {
        fixed: matches!(state, NeighbourState::Permanent | NeighbourState::Noarp),
        ..Entry::default()
    };
    let unanswered =
        matches!(state, NeighbourState::None | NeighbourState::Incomplete | NeighbourState::Failed);
    for attribute in &message.attributes {
        match attribute {
            NeighbourAttribute::LinkLayerAddress(bytes) if !unanswered => {
                entry.mac = <[u8; 6]>::try_from(bytes.as_slice()).ok();
            }
            NeighbourAttribute::Protocol(protocol) => {
                entry.marked = u8::from(*protocol) == MARK;
            }
            _ => {}
        }
    }
    entry
}
