//! Matchers joined by `&&`, `||` and `!`.

use super::{
    facts::Facts,
    matcher::{Anchor, Matcher},
};

/// What a rule asks for.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expression {
    Matcher(Matcher),
    Not(Box<Expression>),
    /// `&&`.
    All(Vec<Expression>),
    /// `||`.
    Any(Vec<Expression>),
}

/// More anchors than this aren't worth their place in an index.
const ANCHORS: usize = 256;

impl Expression {
    pub(super) fn matches(&self, facts: &Facts<'_>) -> bool {
        match self {
            Self::Matcher(matcher) => matcher.matches(facts),
            Self::Not(inner) => !inner.matches(facts),
            Self::All(parts) => parts.iter().all(|part| part.matches(facts)),
            Self::Any(parts) => parts.iter().any(|part| part.matches(facts)),
        }
    }

    pub(super) fn is_catch_all(&self) -> bool {
        matches!(self, Self::Matcher(matcher) if matcher.is_catch_all())
    }

    /// Names of hosts that are asked for.
    pub(super) fn hosts(&self) -> Vec<&str> {
        match self {
            Self::Matcher(matcher) => matcher.hosts(),
            Self::Not(_) => Vec::new(),
            Self::All(parts) | Self::Any(parts) => parts.iter().flat_map(Self::hosts).collect(),
        }
    }

    /// Necessary conditions: whatever matches satisfies at least one of these.
    pub(super) fn anchors(&self) -> Vec<Anchor<'_>> {
        match self {
            Self::Matcher(matcher) => matcher.anchors().unwrap_or_else(|| vec![Anchor::default()]),
            Self::Not(_) => vec![Anchor::default()],
            Self::Any(parts) => {
                let all: Vec<_> = parts.iter().flat_map(Self::anchors).collect();
                if all.len() > ANCHORS { vec![Anchor::default()] } else { all }
            }
            Self::All(parts) => parts.iter().map(Self::anchors).fold(vec![Anchor::default()], both),
        }
    }

    /// Whether being anchored is all that it asks for: nothing but one `Host` and one path.
    pub(super) fn is_anchor(&self) -> bool {
        let plain = |part: &Self| matches!(part, Self::Matcher(matcher) if matcher.is_anchor());
        match self {
            Self::All(parts) => match &parts[..] {
                [a, b] if plain(a) && plain(b) => match (&a.anchors()[..], &b.anchors()[..]) {
                    ([a], [b]) => a.host.is_some() != b.host.is_some(),
                    _ => false,
                },
                _ => false,
            },
            part => plain(part),
        }
    }
}

/// Conditions of which both sides hold: each pair of them, or the fewer ones where that is too many.
fn both<'a>(left: Vec<Anchor<'a>>, right: Vec<Anchor<'a>>) -> Vec<Anchor<'a>> {
    if left.len() * right.len() > ANCHORS {
        return if left.len() < right.len() { left } else { right };
    }
    let pairs = left.iter().flat_map(|a| right.iter().map(|b| a.and(*b)));
    pairs.collect()
}
