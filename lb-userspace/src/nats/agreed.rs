//! What nodes that share a bucket agree on: the secret by which each of them chooses the same
//! backend for the same flow.

use std::sync::Arc;

use async_nats::jetstream::kv::{CreateErrorKind, Store};
use aws_lc_rs::rand;
use tokio::sync::{mpsc, watch};

use super::link::chain;
use crate::{model::ChoiceKey, reconcile::Event};

/// The key that holds it, in every bucket, whatever root configuration keys have there.
pub(crate) const KEY: &str = "runtime/hashKey";
/// Random bytes of a new secret.
const SECRET: usize = 32;

/// Where a secret goes that was found.
#[derive(Clone, Debug)]
pub(crate) struct Agreed(Arc<watch::Sender<Option<ChoiceKey>>>);

impl Default for Agreed {
    fn default() -> Self {
        Self(Arc::new(watch::channel(None).0))
    }
}

impl Agreed {
    /// Reads the bucket's secret. The first node of all makes one: whoever comes at the same time
    /// finds that it is there.
    pub(crate) async fn join(&self, bucket: &Store) -> Result<(), String> {
        let told = |e: &dyn std::error::Error| format!("bucket {:?}: {}", bucket.name, chain(e));
        if bucket.get(KEY).await.map_err(|e| told(&e))?.is_none() {
            match bucket.create(KEY, secret()?.into()).await {
                Ok(_) => {}
                Err(error) if error.kind() == CreateErrorKind::AlreadyExists => {}
                Err(error) => return Err(told(&error)),
            }
        }
        match bucket.get(KEY).await.map_err(|e| told(&e))? {
            Some(secret) => self.tell(&secret),
            None => return Err(format!("bucket {:?}: {KEY} is gone again", bucket.name)),
        }
        Ok(())
    }

    /// This is the bucket's secret now.
    pub(crate) fn tell(&self, secret: &[u8]) {
        let key = std::str::from_utf8(secret).ok().and_then(ChoiceKey::from_secret);
        match key {
            Some(key) => drop(self.0.send_if_modified(|last| last.replace(key) != Some(key))),
            None => tracing::warn!(
                "key {KEY:?} of the shared bucket is no text of {} characters or more: the secret \
                 before it stays",
                ChoiceKey::SHORTEST
            ),
        }
    }

    /// Tells the writer of each, for as long as there is one.
    pub(crate) async fn forward(self, inputs: mpsc::Sender<Event>) {
        let mut latest = self.0.subscribe();
        latest.mark_changed();
        while latest.changed().await.is_ok() {
            let key = *latest.borrow_and_update();
            let Some(key) = key else { continue };
            if inputs.send(Event::Agreed { key }).await.is_err() {
                return;
            }
        }
    }
}

fn secret() -> Result<String, String> {
    let mut bytes = [0; SECRET];
    rand::fill(&mut bytes).map_err(|_| "no random bytes".to_owned())?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
