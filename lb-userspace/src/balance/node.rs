//! Services made of services.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use super::{
    Group, Key, NoServer, Sticky,
    algorithm::{Cursor, Turns, hashed::score},
    cookie,
};
use crate::model::{Composed, Id};

/// A service: servers, or other services.
#[derive(Debug)]
pub enum Node {
    /// One that has servers.
    Group(Arc<Group>),
    /// `weighted`.
    Weighted(Weighted),
    /// `highestRandomWeight`.
    HighestRandomWeight(Vec<Part>),
    /// `failover`: the service, and what answers while it is not available.
    Failover(Arc<Node>, Arc<Node>),
    /// `mirroring`.
    Mirroring(Mirroring),
}

/// One of several services.
#[derive(Debug)]
pub struct Part {
    node: Arc<Node>,
    weight: u32,
    /// What hashing knows it by.
    identity: u64,
    /// Of a sticky cookie: its value, and the text of `Set-Cookie`.
    cookie: Option<(u64, Box<str>)>,
}

/// Services by weight.
#[derive(Debug)]
pub struct Weighted {
    parts: Vec<Part>,
    turns: Turns,
    cursor: Arc<Cursor>,
    sticky: Option<Sticky>,
}

/// A service, and those that get copies of its requests.
#[derive(Debug)]
pub struct Mirroring {
    main: Arc<Node>,
    mirrors: Mirrors,
}

/// Services that get copies of some requests.
#[derive(Debug)]
pub struct Mirrors {
    /// `mirrorBody`.
    pub mirror_body: bool,
    /// `maxBodySize`: larger bodies aren't mirrored.
    pub max_body: Option<u64>,
    targets: Vec<(Arc<Node>, u64, Arc<AtomicU64>)>,
}

/// Where a request goes.
#[derive(Debug)]
pub struct Resolved<'a> {
    /// Whose servers take it.
    pub group: &'a Arc<Group>,
    /// `Set-Cookie` lines that the answer needs, for sticky services on the way.
    pub set_cookies: Vec<&'a str>,
    /// Who may get a copy.
    pub mirrors: Vec<&'a Mirrors>,
}

impl Node {
    /// Whether some server below takes new requests.
    pub fn is_available(&self) -> bool {
        match self {
            Self::Group(group) => !group.is_empty(),
            Self::Weighted(Weighted { parts, .. }) => parts.iter().any(Part::is_available),
            Self::HighestRandomWeight(parts) => parts.iter().any(Part::is_available),
            Self::Failover(main, fallback) => main.is_available() || fallback.is_available(),
            Self::Mirroring(Mirroring { main, .. }) => main.is_available(),
        }
    }

    /// The group that takes a request.
    ///
    /// # Errors
    /// No group below has a server that takes requests.
    pub fn resolve(&self, key: &Key<'_>) -> Result<Resolved<'_>, NoServer> {
        let (mut set_cookies, mut mirrors) = (Vec::new(), Vec::new());
        let mut node = self;
        let group = loop {
            node = match node {
                Self::Group(group) => break group,
                Self::Weighted(weighted) => {
                    let (part, is_new) = weighted.choose(key).ok_or(NoServer::None)?;
                    let text = part.cookie.as_ref().map(|(_, text)| &**text);
                    set_cookies.extend(text.filter(|_| is_new));
                    &part.node
                }
                Self::HighestRandomWeight(parts) => {
                    &highest(parts, key).ok_or(NoServer::None)?.node
                }
                Self::Failover(main, fallback) => {
                    if main.is_available() {
                        main
                    } else {
                        fallback
                    }
                }
                Self::Mirroring(Mirroring { main, mirrors: more }) => {
                    mirrors.push(more);
                    main
                }
            };
        };
        Ok(Resolved { group, set_cookies, mirrors })
    }

    /// From the configuration; `part` makes or finds the services below.
    pub(super) fn compose(
        composed: &Composed,
        id: &Id,
        old: Option<&Self>,
        part: &mut dyn FnMut(&Id) -> Option<Arc<Self>>,
    ) -> Option<Self> {
        Some(match composed {
            Composed::Weighted { services, sticky } => {
                let sticky = sticky.as_ref().map(|cookie| Sticky::new(cookie, &id.qualified()));
                let parts = parts(services, sticky.as_ref(), part);
                Self::Weighted(Weighted::new(parts, sticky, old))
            }
            Composed::HighestRandomWeight { services } => {
                Self::HighestRandomWeight(parts(services, None, part))
            }
            Composed::Failover { service, fallback } => {
                Self::Failover(part(service)?, part(fallback)?)
            }
            Composed::Mirroring { service, mirror_body, max_body, mirrors } => {
                let mirror = |(id, percent): &(Id, u8)| {
                    Some((part(id)?, u64::from(*percent), Arc::default()))
                };
                let targets = mirrors.iter().filter_map(mirror).collect();
                let mirrors = Mirrors { mirror_body: *mirror_body, max_body: *max_body, targets };
                Self::Mirroring(Mirroring { main: part(service)?, mirrors })
            }
        })
    }
}

impl Part {
    fn is_available(&self) -> bool {
        self.weight > 0 && self.node.is_available()
    }
}

fn parts(
    services: &[(Id, u32)],
    sticky: Option<&Sticky>,
    part: &mut dyn FnMut(&Id) -> Option<Arc<Node>>,
) -> Vec<Part> {
    let make = |(id, weight): &(Id, u32)| {
        let name = id.qualified();
        let cookie = sticky.map(|sticky| {
            let value = cookie::value(&name);
            (value, sticky.set(value))
        });
        let identity = lb_common::hash::text(name.as_bytes());
        Some(Part { node: part(id)?, weight: *weight, identity, cookie })
    };
    services.iter().filter_map(make).collect()
}

impl Weighted {
    fn new(parts: Vec<Part>, sticky: Option<Sticky>, old: Option<&Node>) -> Self {
        let cursor = match old {
            Some(Node::Weighted(old)) => old.cursor.clone(),
            _ => Arc::default(),
        };
        // Those of weight 0 stand behind the others, out of the rotation's sight.
        let mut parts = parts;
        parts.sort_by_key(|part| part.weight == 0);
        let weights: Vec<u32> =
            parts.iter().map(|part| part.weight).take_while(|&weight| weight > 0).collect();
        Self { turns: Turns::of(&weights, cursor.clone()), parts, cursor, sticky }
    }

    /// The part whose turn it is, or that of the request's session; and whether the session is new.
    fn choose(&self, key: &Key<'_>) -> Option<(&Part, bool)> {
        let session =
            self.sticky.as_ref().zip(key.head).and_then(|(sticky, head)| sticky.session(head));
        let is_it = |part: &&Part| {
            part.node.is_available()
                && part.cookie.as_ref().is_some_and(|(value, _)| Some(*value) == session)
        };
        if let Some(part) = session.and_then(|_| self.parts.iter().find(is_it)) {
            return Some((part, false));
        }
        let available = |index: usize| self.parts[index].is_available();
        let first = || (0..self.parts.len()).find(|&index| available(index));
        let index = self.turns.next(available).or_else(first)?;
        Some((&self.parts[index], true))
    }
}

/// The part that the client's address falls to.
fn highest<'a>(parts: &'a [Part], key: &Key<'_>) -> Option<&'a Part> {
    let hash = key.source();
    let score = |part: &Part| score(hash, part.identity, f64::from(part.weight));
    let available = parts.iter().filter(|part| part.is_available());
    available.max_by(|a, b| score(a).total_cmp(&score(b)))
}

impl Mirrors {
    /// Who gets a copy of this request: of every hundred in a row as many as the percentage says.
    pub fn take(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.targets.iter().filter_map(|(node, percent, count)| {
            let at = count.fetch_add(1, Relaxed);
            ((at + 1) * percent / 100 > at * percent / 100).then_some(node)
        })
    }
}
