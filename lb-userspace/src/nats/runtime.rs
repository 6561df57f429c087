//! Drains and weights that hold on all nodes: keys `runtime/backends/PROTO/SERVICE/ADDRESS` of a
//! bucket that they share.

use async_nats::jetstream::kv::{Entry, Operation, Store, UpdateErrorKind};
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};

use super::{
    AGREED, Needs,
    key::{escape, unescape},
    link::chain,
};
use crate::{
    api::types::{BackendChange, BackendRow},
    model::{BackendId, Id, Protocol},
    reconcile,
};

const PREFIX: &str = "runtime/backends/";
/// How often a change is tried while others change the same key.
const ATTEMPTS: usize = 8;

/// What is said of one backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Said {
    drain: bool,
    weight: Option<u16>,
}

/// Says it of the backend of `row`.
pub(super) async fn put(
    bucket: &Store,
    row: &BackendRow,
    change: BackendChange,
) -> Result<(), String> {
    let key =
        format!("{PREFIX}{}/{}/{}", escape(&row.proto), escape(&row.service), escape(&row.address));
    for _ in 0..ATTEMPTS {
        let entry = bucket.entry(key.as_str()).await.map_err(|e| chain(&e))?;
        let revision = entry.as_ref().map_or(0, |entry| entry.revision);
        let is_put = |entry: &Entry| entry.operation == Operation::Put;
        let said = entry.filter(is_put).and_then(|entry| read(&entry.value));
        let mut said = said.unwrap_or_default();
        said.drain = change.drain.unwrap_or(said.drain);
        said.weight = change.weight.unwrap_or(said.weight);
        let value = serde_json::to_vec(&said).map_err(|e| e.to_string())?;
        match bucket.update(key.as_str(), value.into(), revision).await {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => {}
            Err(error) => return Err(chain(&error)),
        }
    }
    Err("others change it all the time".to_owned())
}

/// Follows what is said, from the beginning, until the connection breaks.
pub(super) async fn follow(bucket: &Store, needs: &Needs) -> Result<(), String> {
    let watch = bucket.watch_with_history(">").await;
    let mut watch = watch.map_err(|e| format!("bucket {:?}: {}", bucket.name, chain(&e)))?;
    while let Some(entry) = watch.next().await {
        let entry = entry.map_err(|e| format!("bucket {:?}: {}", bucket.name, chain(&e)))?;
        if entry.key == AGREED && entry.operation == Operation::Put {
            needs.agreed.iter().for_each(|agreed| agreed.tell(&entry.value));
        }
        for event in events(&entry.key, entry.operation, &entry.value) {
            if needs.inputs.send(event).await.is_err() {
                return Ok(());
            }
        }
    }
    Err(format!("bucket {:?}: the watch ended", bucket.name))
}

/// What a key asks of the writer. Others' keys ask for nothing; what is unreadable is logged.
fn events(key: &str, operation: Operation, value: &[u8]) -> Vec<reconcile::Event> {
    let Some(rest) = key.strip_prefix(PREFIX) else { return Vec::new() };
    let said = match operation {
        Operation::Put => read(value),
        Operation::Delete | Operation::Purge => Some(Said::default()),
    };
    let (Some(backend), Some(said)) = (backend(rest), said) else {
        tracing::warn!("key {key:?} of the shared bucket can't be read");
        return Vec::new();
    };
    let weight = said.weight.map(u32::from);
    vec![
        reconcile::Event::Drain { backend: backend.clone(), drain: said.drain },
        reconcile::Event::Weight { backend, weight },
    ]
}

fn read(value: &[u8]) -> Option<Said> {
    serde_json::from_slice(value).ok()
}

fn backend(rest: &str) -> Option<BackendId> {
    let mut parts = rest.split('/').map(unescape);
    let (protocol, service, address) = (parts.next()??, parts.next()??, parts.next()??);
    if parts.next().is_some() {
        return None;
    }
    let (name, provider) = service.rsplit_once('@')?;
    let service = Id::new(Protocol::from_name(&protocol)?, name, provider);
    Some(BackendId { service, address: address.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(key: &str, operation: Operation, value: &str) -> Vec<String> {
        let events = events(key, operation, value.as_bytes());
        events.iter().map(|event| format!("{event:?}")).collect()
    }

    const KEY: &str = "runtime/backends/tcp/pg=40file/10=2E0=2E0=2E1=3A80";

    #[test]
    fn key_asks_for_drain_and_weight() {
        let put = words(KEY, Operation::Put, r#"{"drain":true,"weight":7}"#);
        assert_eq!(put.len(), 2);
        assert!(put[0].contains("drain: true") && put[0].contains("10.0.0.1:80"), "{put:?}");
        assert!(put[1].contains("weight: Some(7)"), "{put:?}");
        let gone = words(KEY, Operation::Delete, "");
        assert!(gone[0].contains("drain: false") && gone[1].contains("weight: None"), "{gone:?}");
    }

    macro_rules! ignored {
        ($($test:ident: $key:expr, $value:expr;)+) => {
            $(#[test]
            fn $test() {
                assert_eq!(words($key, Operation::Put, $value), [""; 0]);
            })+
        };
    }

    ignored! {
        key_of_the_configuration: "http/routers/a/rule", "x";
        value_that_is_no_json: KEY, "drain";
        value_with_an_unknown_key: KEY, r#"{"drian":true}"#;
        key_of_no_protocol: "runtime/backends/ftp/pg=40file/10=2E0=2E0=2E1=3A80", "{}";
        key_of_no_address: "runtime/backends/tcp/pg=40file/here", "{}";
        key_that_is_longer: "runtime/backends/tcp/pg=40file/10=2E0=2E0=2E1=3A80/x", "{}";
        key_without_a_provider: "runtime/backends/tcp/pg/10=2E0=2E0=2E1=3A80", "{}";
    }
}
