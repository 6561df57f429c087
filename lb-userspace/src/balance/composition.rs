//! Services made of services: which of them takes a request.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use super::{
    Key, Sticky,
    algorithm::{Cursor, Turns, hashed::score},
    cookie,
};
use crate::model::{Composed, Id};

/// A service that others are made of.
pub trait Part {
    /// Whether it has a server that takes new requests.
    fn is_available(&self) -> bool;
}

/// A service made of others, which it names by `P`.
#[derive(Debug)]
pub struct Composition<P> {
    parts: Vec<Weighed<P>>,
    how: How,
    sticky: Option<Sticky>,
    mirrors: Option<Mirrors<P>>,
}

/// One of them.
#[derive(Debug)]
struct Weighed<P> {
    part: P,
    weight: u32,
    /// What hashing knows it by.
    identity: u64,
    /// Of a sticky cookie: its value, and the text of `Set-Cookie`.
    cookie: Option<(u64, Box<str>)>,
}

#[derive(Debug)]
enum How {
    /// `weighted`.
    InTurn(Turns, Arc<Cursor>),
    /// `highestRandomWeight`.
    Highest,
    /// `failover`, `mirroring`: the first that is available.
    First,
}

/// Services that get copies of some requests.
#[derive(Debug)]
pub struct Mirrors<P> {
    /// Longest body that is copied; `None` for any.
    pub max_body: Option<u64>,
    /// With a share of 100 and how many requests there were.
    targets: Vec<(P, u64, Arc<AtomicU64>)>,
}

/// Where a request goes.
#[derive(Debug)]
pub struct Chosen<'a, P> {
    /// Who takes it.
    pub part: &'a P,
    /// `Set-Cookie` that the answer needs.
    pub set_cookie: Option<&'a str>,
    /// Who may get a copy.
    pub mirrors: Option<&'a Mirrors<P>>,
}

impl<P: Part> Composition<P> {
    /// From the configuration of service `id`. `part` finds those that it is made of; `None` where one
    /// is missing. Rotations and percentages go on where `old` has got to.
    pub fn new(
        composed: &Composed,
        id: &Id,
        old: Option<&Self>,
        part: impl Fn(&Id) -> Option<P>,
    ) -> Option<Self> {
        let mut this = Self { parts: Vec::new(), how: How::First, sticky: None, mirrors: None };
        match composed {
            Composed::Weighted { services, sticky } => {
                this.sticky = sticky.as_ref().map(|cookie| Sticky::new(cookie, &id.qualified()));
                this.add(services, &part)?;
                this.how = this.in_turn(old);
            }
            Composed::HighestRandomWeight { services } => {
                this.add(services, &part)?;
                this.how = How::Highest;
            }
            Composed::Failover { service, fallback } => {
                this.add(&[(service.clone(), 1), (fallback.clone(), 1)], &part)?;
            }
            Composed::Mirroring { service, mirror_body, max_body, mirrors } => {
                this.add(&[(service.clone(), 1)], &part)?;
                let max_body = if *mirror_body { *max_body } else { Some(0) };
                let old = old.and_then(|old| old.mirrors.as_ref());
                this.mirrors = Some(Mirrors::new(mirrors, max_body, old, &part)?);
            }
        }
        Some(this)
    }

    fn add(&mut self, services: &[(Id, u32)], part: impl Fn(&Id) -> Option<P>) -> Option<()> {
        for (id, weight) in services {
            let name = id.qualified();
            let cookie = self.sticky.as_ref().map(|sticky| {
                let value = cookie::value(&name);
                (value, sticky.set(value))
            });
            let identity = lb_common::hash::text(name.as_bytes());
            self.parts.push(Weighed { part: part(id)?, weight: *weight, identity, cookie });
        }
        Some(())
    }

    fn in_turn(&mut self, old: Option<&Self>) -> How {
        let cursor = match old.map(|old| &old.how) {
            Some(How::InTurn(_, cursor)) => cursor.clone(),
            _ => Arc::default(),
        };
        // Those of weight 0 stand behind the others, where the rotation doesn't see them.
        self.parts.sort_by_key(|part| part.weight == 0);
        let weights = self.parts.iter().map(|part| part.weight);
        let weights: Vec<u32> = weights.take_while(|&weight| weight > 0).collect();
        How::InTurn(Turns::of(&weights, cursor.clone()), cursor)
    }

    /// Whether one of them is available.
    pub fn is_available(&self) -> bool {
        self.parts.iter().any(Weighed::takes_new)
    }

    /// All that it is made of, mirrors included.
    pub fn parts(&self) -> impl Iterator<Item = &P> {
        let mirrors = self.mirrors.iter().flat_map(|mirrors| &mirrors.targets);
        self.parts.iter().map(|weighed| &weighed.part).chain(mirrors.map(|(part, ..)| part))
    }

    /// Who takes a request; `None` where nobody is available.
    pub fn choose(&self, key: &Key<'_>) -> Option<Chosen<'_, P>> {
        if let Some(part) = self.of_session(key) {
            return Some(Chosen { part, set_cookie: None, mirrors: self.mirrors.as_ref() });
        }
        let first = || self.parts.iter().find(|part| part.takes_new());
        let weighed = match &self.how {
            How::InTurn(turns, _) => match turns.next(|index| self.parts[index].takes_new()) {
                Some(index) => &self.parts[index],
                None => first()?,
            },
            How::Highest => self.highest(key)?,
            How::First => first()?,
        };
        let set_cookie = weighed.cookie.as_ref().map(|(_, text)| &**text);
        Some(Chosen { part: &weighed.part, set_cookie, mirrors: self.mirrors.as_ref() })
    }

    /// The one that the request's session belongs to: also one of weight 0.
    fn of_session(&self, key: &Key<'_>) -> Option<&P> {
        let session = self.sticky.as_ref()?.session(key.head?)?;
        let is_it = |part: &&Weighed<P>| {
            part.cookie.as_ref().is_some_and(|(value, _)| *value == session)
                && part.part.is_available()
        };
        self.parts.iter().find(is_it).map(|weighed| &weighed.part)
    }

    /// The one that the client's address falls to.
    fn highest(&self, key: &Key<'_>) -> Option<&Weighed<P>> {
        let hash = key.source();
        let score = |part: &Weighed<P>| score(hash, part.identity, f64::from(part.weight));
        let available = self.parts.iter().filter(|part| part.takes_new());
        available.max_by(|a, b| score(a).total_cmp(&score(b)))
    }
}

impl<P: Part> Weighed<P> {
    fn takes_new(&self) -> bool {
        self.weight > 0 && self.part.is_available()
    }
}

impl<P> Mirrors<P> {
    fn new(
        mirrors: &[(Id, u8)],
        max_body: Option<u64>,
        old: Option<&Self>,
        part: impl Fn(&Id) -> Option<P>,
    ) -> Option<Self> {
        let target = |(at, (id, percent)): (usize, &(Id, u8))| {
            let count = old.and_then(|old| old.targets.get(at)).map(|(.., count)| count.clone());
            Some((part(id)?, u64::from(*percent), count.unwrap_or_default()))
        };
        let targets = mirrors.iter().enumerate().map(target).collect::<Option<_>>()?;
        Some(Self { max_body, targets })
    }

    /// Who gets a copy of this request: of every hundred in a row as many as the percentage says.
    pub fn take(&self) -> impl Iterator<Item = &P> {
        self.targets.iter().filter_map(|(part, percent, count)| {
            let at = count.fetch_add(1, Relaxed);
            ((at + 1) * percent / 100 > at * percent / 100).then_some(part)
        })
    }
}
