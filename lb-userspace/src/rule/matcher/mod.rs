//! What a rule may ask for: each matcher a file, and one line in [`matchers!`] below.

mod alpn;
mod client_ip;
mod header;
mod header_regexp;
mod host;
mod host_regexp;
mod host_sni;
mod host_sni_regexp;
mod method;
mod path;
mod path_prefix;
mod path_regexp;
mod query;
mod query_regexp;

mod anchor;
mod names;

use std::ops::RangeInclusive;

pub(super) use anchor::{Anchor, HostAnchor, PathAnchor};

use super::{Syntax, facts::Facts};
use crate::{
    config::names::{nearest, one_of},
    model::Protocol,
};

/// A matcher: built from its arguments, and asked.
trait Kind: Sized {
    /// From arguments whose number is right.
    fn build(arguments: &Arguments<'_>) -> Result<Self, String>;

    fn matches(&self, facts: &Facts<'_>) -> bool;

    /// What an index may look for: whatever matches satisfies at least one of these.
    fn anchors(&self) -> Option<Vec<Anchor<'_>>> {
        None
    }

    /// Whether one anchor says all of it.
    fn is_anchor(&self) -> bool {
        false
    }

    /// Whether it takes everything.
    fn is_catch_all(&self) -> bool {
        false
    }

    /// Names of hosts that it asks for.
    fn hosts(&self) -> Vec<&str> {
        Vec::new()
    }
}

/// Arguments of a matcher, unquoted.
pub(super) struct Arguments<'a> {
    pub(super) values: &'a [String],
    /// [`Syntax::Auto`] means v3 while v2 may still be tried.
    pub(super) syntax: Syntax,
}

impl Arguments<'_> {
    fn is_v2(&self) -> bool {
        self.syntax == Syntax::V2
    }

    /// Each argument, made into something.
    fn each<T>(&self, make: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
        self.values.iter().map(|value| make(value)).collect()
    }

    /// Arguments two by two.
    fn pairs<T>(&self, make: impl Fn(&str, &str) -> Result<T, String>) -> Result<Vec<T>, String> {
        let (pairs, rest) = self.values.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(format!(
                "takes names with their values, not {} arguments",
                self.values.len()
            ));
        }
        pairs.iter().map(|[name, value]| make(name, value)).collect()
    }

    /// Why a text that would be a template in v2 isn't taken literally where that may be meant.
    fn no_template(&self, value: &str) -> Result<(), String> {
        if self.syntax == Syntax::Auto && super::pattern::is_template(value) {
            return Err(format!("{value:?} is a template, which v3 doesn't have"));
        }
        Ok(())
    }
}

const HTTP: &[Protocol] = &[Protocol::Http];
const TCP: &[Protocol] = &[Protocol::Tcp];
const BOTH: &[Protocol] = &[Protocol::Http, Protocol::Tcp];

/// Any number of arguments, at least this many.
const fn from(least: usize) -> RangeInclusive<usize> {
    least..=usize::MAX
}

/// Declares the matchers: for each where it belongs, and its names with their numbers of arguments.
macro_rules! matchers {
    ($($module:ident::$kind:ident: $protocols:ident, {
        $($syntax:ident: $name:literal $(| $alias:literal)* = $count:expr),+
    })+) => {
        /// A matcher with its arguments.
        #[derive(Clone, Debug, PartialEq)]
        pub(super) enum Matcher {
            $($kind($module::$kind),)+
        }

        impl Matcher {
            fn kind(&self) -> &dyn Asked {
                match self {
                    $(Self::$kind(matcher) => matcher,)+
                }
            }

            pub(super) fn matches(&self, facts: &Facts<'_>) -> bool {
                match self {
                    $(Self::$kind(matcher) => matcher.matches(facts),)+
                }
            }
        }

        static ENTRIES: &[Entry] = &[
            $($(Entry {
                names: &[$name $(, $alias)*],
                protocols: $protocols,
                syntax: Syntax::$syntax,
                count: $count,
                make: |arguments| <$module::$kind as Kind>::build(arguments).map(Matcher::$kind),
            },)+)+
        ];
    };
}

matchers! {
    host::Host: HTTP, { V3: "Host" = 1..=1, V2: "Host" | "HostHeader" = from(1) }
    host_regexp::HostRegexp: HTTP, { V3: "HostRegexp" = 1..=1, V2: "HostRegexp" = from(1) }
    path::Path: HTTP, { V3: "Path" = 1..=1, V2: "Path" = from(1) }
    path_prefix::PathPrefix: HTTP, { V3: "PathPrefix" = 1..=1, V2: "PathPrefix" = from(1) }
    path_regexp::PathRegexp: HTTP, { V3: "PathRegexp" = 1..=1 }
    header::Header: HTTP, { V3: "Header" = 2..=2, V2: "Headers" = from(2) }
    header_regexp::HeaderRegexp: HTTP, { V3: "HeaderRegexp" = 2..=2, V2: "HeadersRegexp" = from(2) }
    method::Method: HTTP, { V3: "Method" = 1..=1, V2: "Method" = from(1) }
    query::Query: HTTP, { V3: "Query" = 1..=2, V2: "Query" = from(1) }
    query_regexp::QueryRegexp: HTTP, { V3: "QueryRegexp" = 1..=2 }
    client_ip::ClientIp: BOTH, { V3: "ClientIP" = 1..=1, V2: "ClientIP" = from(1) }
    host_sni::HostSni: TCP, { V3: "HostSNI" = 1..=1, V2: "HostSNI" = from(1) }
    host_sni_regexp::HostSniRegexp: TCP, { V3: "HostSNIRegexp" = 1..=1, V2: "HostSNIRegexp" = from(1) }
    alpn::Alpn: TCP, { V3: "ALPN" = 1..=1, V2: "ALPN" = from(1) }
}

impl Matcher {
    pub(super) fn anchors(&self) -> Option<Vec<Anchor<'_>>> {
        self.kind().anchors()
    }

    pub(super) fn is_anchor(&self) -> bool {
        self.kind().is_anchor()
    }

    pub(super) fn is_catch_all(&self) -> bool {
        self.kind().is_catch_all()
    }

    pub(super) fn hosts(&self) -> Vec<&str> {
        self.kind().hosts()
    }
}

/// The questions to a [`Kind`] that are asked while an index is built.
trait Asked {
    fn anchors(&self) -> Option<Vec<Anchor<'_>>>;
    fn is_anchor(&self) -> bool;
    fn is_catch_all(&self) -> bool;
    fn hosts(&self) -> Vec<&str>;
}

impl<K: Kind> Asked for K {
    fn anchors(&self) -> Option<Vec<Anchor<'_>>> {
        Kind::anchors(self)
    }

    fn is_anchor(&self) -> bool {
        Kind::is_anchor(self)
    }

    fn is_catch_all(&self) -> bool {
        Kind::is_catch_all(self)
    }

    fn hosts(&self) -> Vec<&str> {
        Kind::hosts(self)
    }
}

/// A matcher that can be named.
pub(super) struct Entry {
    names: &'static [&'static str],
    protocols: &'static [Protocol],
    /// [`Syntax::V3`] or [`Syntax::V2`].
    syntax: Syntax,
    count: RangeInclusive<usize>,
    make: fn(&Arguments<'_>) -> Result<Matcher, String>,
}

impl Entry {
    pub(super) fn name(&self) -> &'static str {
        self.names[0]
    }

    pub(super) fn build(&self, arguments: &Arguments<'_>) -> Result<Matcher, String> {
        let (given, least, most) = (arguments.values.len(), *self.count.start(), *self.count.end());
        if !self.count.contains(&given) {
            let plural = |n: usize| if n == 1 { "argument" } else { "arguments" };
            let wanted = match most {
                usize::MAX => format!("at least {least} {}", plural(least)),
                _ if least == most => format!("{least} {}", plural(least)),
                _ => format!("{least} or {most} arguments"),
            };
            return Err(format!("takes {wanted}, not {given}"));
        }
        (self.make)(arguments)
    }

    fn is_called(&self, word: &str) -> bool {
        self.names.iter().any(|name| name.eq_ignore_ascii_case(word))
    }
}

/// Why a name is not to be found.
pub(super) struct Unknown {
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

/// The matcher of a name, whatever its case. `at`: the character at which the name begins.
pub(super) fn find(
    word: &str,
    at: usize,
    protocol: Protocol,
    syntax: Syntax,
) -> Result<&'static Entry, Unknown> {
    let syntax = if syntax == Syntax::V2 { Syntax::V2 } else { Syntax::V3 };
    let protocol = if protocol == Protocol::Http { Protocol::Http } else { Protocol::Tcp };
    let here = |entry: &&Entry| entry.protocols.contains(&protocol) && entry.syntax == syntax;
    let called = |entry: &&Entry| entry.is_called(word);
    if let Some(entry) = ENTRIES.iter().filter(here).find(called) {
        return Ok(entry);
    }
    let place = |name: &str| format!("{name} at character {at} of the rule");
    let names = || ENTRIES.iter().filter(here).map(Entry::name);
    let message = match ENTRIES.iter().find(called) {
        Some(entry) if !entry.protocols.contains(&protocol) && protocol == Protocol::Tcp => {
            format!("{} matches HTTP requests; a TCP rule has {}", place(word), one_of(names()))
        }
        Some(entry) if !entry.protocols.contains(&protocol) => {
            format!("{} matches TCP connections; an HTTP rule has {}", place(word), one_of(names()))
        }
        Some(entry) => {
            let (its, asked) = if syntax == Syntax::V3 { ("v2", "v3") } else { ("v3", "v2") };
            format!("{} is a matcher of Traefik {its}, not of {asked}", place(entry.name()))
        }
        None => {
            let protocol = if protocol == Protocol::Tcp { "TCP" } else { "HTTP" };
            format!("no matcher {word:?} for {protocol}, at character {at} of the rule")
        }
    };
    Err(Unknown { message, hint: nearest(word, names()) })
}
