//! Query strings, and queries that wait for a change.

use std::time::Duration;

use axum::{extract::FromRequestParts, http::request::Parts};
use tokio::time::{Instant, timeout_at};

use super::{Node, Registry, answer::Error};
use crate::{config::duration, registry::state::State};

/// How long a query waits that doesn't say.
const WAIT: Duration = Duration::from_secs(300);
/// How long it waits at most.
const LONGEST: Duration = Duration::from_secs(600);

/// A query string: `?passing&tag=a&tag=b`.
#[derive(Clone, Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        Self::parse(parts.uri.query().unwrap_or_default())
    }
}

impl Query {
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let pair = |part: &str| {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            (decoded(key), decoded(value))
        };
        let query = Self(text.split('&').filter(|part| !part.is_empty()).map(pair).collect());
        match query.has("filter") {
            true => Err(Error::Bad("this registry has no filter expressions".to_owned())),
            false => Ok(query),
        }
    }

    /// Whether the key is there: `?passing`, `?passing=true`, as Consul's `?passing=false`, no.
    pub(super) fn has(&self, key: &str) -> bool {
        self.get(key).is_some_and(|value| !matches!(value, "false" | "0"))
    }

    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    pub(super) fn all<'q>(&'q self, key: &'q str) -> impl Iterator<Item = &'q str> {
        self.0.iter().filter(move |(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// A number, in the words of Consul where it is none.
    pub(super) fn number(&self, key: &str) -> Result<Option<u64>, Error> {
        let Some(text) = self.get(key) else { return Ok(None) };
        let number = text.parse().map(Some);
        number.map_err(|_| {
            Error::Other(format!("strconv.ParseUint: parsing {text:?}: invalid syntax"))
        })
    }

    /// There is one data centre.
    pub(super) fn check_datacenter(&self, node: &Node) -> Result<(), Error> {
        match self.get("dc") {
            Some(dc) if !dc.is_empty() && dc != node.datacenter => {
                Err(Error::Other("No path to datacenter".to_owned()))
            }
            _ => Ok(()),
        }
    }

    /// The index that the client knows, and until when it waits for a higher one.
    fn blocking(&self) -> Result<Option<(u64, Instant)>, Error> {
        let index = match self.get("index") {
            None | Some("") => return Ok(None),
            Some(text) => text.parse().map_err(|_| Error::Bad("Invalid index".to_owned()))?,
        };
        let wait = match self.get("wait") {
            None | Some("") => WAIT,
            Some(text) => {
                duration::parse(text).map_err(|_| Error::Bad("Invalid wait time".to_owned()))?
            }
        };
        let wait = if wait.is_zero() { WAIT } else { wait.min(LONGEST) };
        // Spread, so that those who wait together don't come back together.
        let wait = wait + (wait / 16).mul_f64(fastrand::f64());
        Ok((index > 0).then(|| (index, Instant::now() + wait)))
    }
}

impl Registry {
    /// Waits, where the query says so, until `index_of` is above the index it names or its time is
    /// over.
    pub(super) async fn wait(
        &self,
        query: &Query,
        index_of: impl Fn(&State) -> u64,
    ) -> Result<(), Error> {
        query.check_datacenter(&self.node)?;
        let Some((known, until)) = query.blocking()? else { return Ok(()) };
        let mut latest = self.hub.watch();
        loop {
            latest.borrow_and_update();
            // Below what is known: the registry is another one, or was set back.
            if index_of(&self.hub.read()) != known {
                return Ok(());
            }
            let mut ended = self.ended.clone();
            let is_over = tokio::select! {
                changed = timeout_at(until, latest.changed()) => !matches!(changed, Ok(Ok(()))),
                _ = ended.wait_for(|ended| *ended) => true,
            };
            if is_over {
                return Ok(());
            }
        }
    }
}

/// Without `%XX` and `+`.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let hex = bytes.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
        let hex = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        at += 1;
        out.push(match (byte, hex) {
            (b'%', Some(byte)) => {
                at += 2;
                byte
            }
            (b'+', _) => b' ',
            (byte, _) => byte,
        });
    }
    String::from_utf8_lossy(&out).into_owned()
}
