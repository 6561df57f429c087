//! `providers.consul`: configuration in keys, all of it watched by one query that waits.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use super::client;
use crate::{
    config::{
        build,
        flat::{Style, Tree, after_root},
    },
    model::{ConsulKv, Settings},
    provider::{
        Asked,
        client::encoded,
        link::{Following, Link, Outcome, Outlet, Reader, Source},
    },
};

/// Between two readings of keys that never rest.
const PAUSE: Duration = Duration::from_millis(50);

/// The provider, where `settings` asks for it.
pub(in super::super) fn asked_for(settings: &Settings) -> Option<Asked> {
    let kv = settings.consul_kv.clone()?;
    let key = ("consul", kv.clone(), settings.throttle);
    Some(Asked::new(&key, move |around| Link::provider(Kv(kv), around)))
}

struct Kv(ConsulKv);

/// A key and its value, as text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pair(String, String);

impl Source for Kv {
    type State = Vec<Pair>;

    fn name(&self) -> &'static str {
        "consul"
    }

    fn endpoint(&self) -> String {
        format!("{} {}", self.0.endpoint.urls.join(", "), self.0.root)
    }

    fn follow<'a>(&'a self, outlet: &'a Outlet<Vec<Pair>>) -> Following<'a> {
        Box::pin(async move {
            let mut last = String::new();
            for url in &self.0.endpoint.urls {
                let mut has_published = false;
                let Err(why) = follow(&self.0, url, outlet, &mut has_published).await;
                if has_published {
                    return Err(why);
                }
                last = why;
            }
            Err(last)
        })
    }

    fn reader(&self) -> Reader<Vec<Pair>> {
        let root = self.0.root.clone();
        Box::new(move |pairs| {
            let shown = pairs.iter().map(|Pair(key, value)| (key.as_str(), value.as_str()));
            let tree = Tree::read("consul", Style::Slashed, shown, |key| after_root(key, &root));
            let serving = tree.keys.len();
            Outcome { parsed: build::keys(&tree, "consul"), serving, ..Outcome::default() }
        })
    }
}

async fn follow(
    settings: &ConsulKv,
    url: &str,
    outlet: &Outlet<Vec<Pair>>,
    has_published: &mut bool,
) -> Result<std::convert::Infallible, String> {
    let client = client(url, &settings.endpoint)?;
    let wait = settings.endpoint.wait;
    let root = settings.root.split('/').map(encoded).collect::<Vec<_>>().join("/");
    let dc = settings.endpoint.datacenters.first();
    let dc = dc.map(|dc| format!("&dc={}", encoded(dc))).unwrap_or_default();
    let mut index = 0;
    loop {
        let seconds = wait.as_secs().max(1);
        let path = format!("/v1/kv/{root}/?recurse&index={index}&wait={seconds}s{dc}");
        let answer = client.get(&path, if index == 0 { Duration::ZERO } else { wait }).await?;
        let is_again = answer.index() == index;
        // One that goes back is of another history: begin again.
        index = if answer.index() < index { 0 } else { answer.index() };
        if !is_again {
            let is_there = answer.status.is_success();
            outlet.publish(if is_there { pairs(&answer.body)? } else { Vec::new() });
            *has_published = true;
            tokio::time::sleep(PAUSE).await;
        }
    }
}

fn pairs(body: &[u8]) -> Result<Vec<Pair>, String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Shown {
        key: String,
        value: Option<String>,
    }
    let all: Vec<Shown> = super::parse(body)?;
    let pair = |shown: Shown| {
        let value = STANDARD.decode(shown.value.unwrap_or_default()).map_err(|e| e.to_string())?;
        Ok(Pair(shown.key, String::from_utf8_lossy(&value).into_owned()))
    };
    all.into_iter().map(pair).collect()
}
