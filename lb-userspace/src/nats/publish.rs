//! Events on their way into the stream: published in order, a few at a time, each acknowledged.

use std::{sync::Arc, time::Duration};

use async_nats::{
    HeaderMap,
    jetstream::{
        self,
        context::{PublishError, PublishErrorKind},
        stream::{DiscardPolicy, RetentionPolicy, StorageType},
    },
};

use super::link::chain;
use crate::{
    events::{Event, Hub, Loss, Next, Place, Reader},
    model::{EventStream, Retention},
};

/// Events that may wait for their acknowledgement.
const IN_FLIGHT: usize = 64;
/// How long NATS takes an event of the same id for the same.
const DUPLICATES: Duration = Duration::from_secs(120);

/// Reads the ring for NATS, and knows what has arrived there.
pub(super) struct Publisher {
    hub: Arc<Hub>,
    reader: Reader,
    prefix: String,
    /// The number of the latest event that is acknowledged, or given up.
    done: u64,
}

impl Publisher {
    /// Beginning with what the ring still has.
    pub(super) fn new(hub: &Arc<Hub>, prefix: &str) -> Self {
        let reader = hub.reader(Place::Oldest);
        let done = reader.position() - 1;
        Self { hub: Arc::clone(hub), reader, prefix: prefix.to_owned(), done }
    }

    /// Publishes until the daemon ends (`Ok`) or something goes wrong: begin again then. NATS tells by
    /// their ids which events it has already.
    pub(super) async fn run(&mut self, context: &jetstream::Context) -> Result<(), String> {
        // What is gone already went while there was no connection.
        self.count_losses();
        loop {
            let first = match self.reader.next().await {
                Next::Event(event) => event,
                Next::Lost(count) => {
                    self.give_up(count, Loss::BufferFull);
                    continue;
                }
                Next::End => return Ok(()),
            };
            let mut batch = vec![first];
            while batch.len() < IN_FLIGHT
                && let Some(Next::Event(event)) = self.reader.at_once()
            {
                batch.push(event);
            }
            self.publish(context, &batch).await?;
        }
    }

    async fn publish(
        &mut self,
        context: &jetstream::Context,
        batch: &[Arc<Event>],
    ) -> Result<(), String> {
        let mut sent = Vec::new();
        for event in batch {
            let subject = format!("{}.{}", self.prefix, event.subject);
            let mut headers = HeaderMap::new();
            headers.insert("Nats-Msg-Id", event.id.as_str());
            headers.insert("Content-Type", "application/cloudevents+json");
            let body = event.json.as_bytes().to_vec().into();
            sent.push((event.seq, context.publish_with_headers(subject, headers, body).await));
        }
        for (seq, sent) in sent {
            let acknowledged = match sent {
                Ok(waiting) => waiting.await.map(drop),
                Err(error) => Err(error),
            };
            match acknowledged {
                Ok(()) => self.done = seq,
                Err(error) if is_refusal(&error) => {
                    tracing::warn!("NATS refuses an event: {}", chain(&error));
                    self.hub.lose(Loss::NatsRefused, 1);
                    self.done = seq;
                }
                Err(error) => return Err(format!("publishing: {}", chain(&error))),
            }
        }
        self.reader.seek(self.done + 1);
        Ok(())
    }

    /// While NATS is away: counts what the ring gives up.
    pub(super) fn count_losses(&mut self) {
        self.reader.seek(self.done + 1);
        if let Some(lost) = self.reader.lost() {
            self.give_up(lost, Loss::NatsAway);
        }
    }

    fn give_up(&mut self, count: u64, why: Loss) {
        self.hub.lose(why, count);
        self.done += count;
    }
}

/// Whether sending it again would be of no use.
fn is_refusal(error: &PublishError) -> bool {
    use PublishErrorKind::{
        BrokenPipe, MaxAckPending, MaxPayloadExceeded, Other, StreamNotFound, TimedOut,
        WrongLastMessageId, WrongLastSequence,
    };
    match error.kind() {
        StreamNotFound | TimedOut | BrokenPipe | MaxAckPending => false,
        WrongLastMessageId | WrongLastSequence | MaxPayloadExceeded | Other => true,
    }
}

/// Makes the stream where there is none; one that is there stays as it is, if events fit into it.
pub(super) async fn ensure(
    context: &jetstream::Context,
    settings: &EventStream,
) -> Result<(), String> {
    let config = jetstream::stream::Config {
        name: settings.stream.clone(),
        subjects: settings.subjects.clone(),
        description: Some("What happens in lb, as CloudEvents".to_owned()),
        storage: if settings.in_memory { StorageType::Memory } else { StorageType::File },
        retention: match settings.retention {
            Retention::Limits => RetentionPolicy::Limits,
            Retention::Interest => RetentionPolicy::Interest,
            Retention::WorkQueue => RetentionPolicy::WorkQueue,
        },
        discard: DiscardPolicy::Old,
        max_age: settings.max_age,
        max_bytes: settings.max_bytes.and_then(|n| i64::try_from(n).ok()).unwrap_or(-1),
        duplicate_window: match settings.max_age.is_zero() {
            true => DUPLICATES,
            false => DUPLICATES.min(settings.max_age),
        },
        num_replicas: settings.replicas,
        ..Default::default()
    };
    let name = &settings.stream;
    let mut stream = context
        .get_or_create_stream(config)
        .await
        .map_err(|e| format!("stream {name:?}: {}", chain(&e)))?;
    let info = stream.info().await.map_err(|e| format!("stream {name:?}: {}", chain(&e)))?;
    let wanted = &settings.subjects[0];
    let covers = |subject: &String| subject == wanted || subject == ">";
    if info.config.subjects.iter().any(covers) {
        return Ok(());
    }
    let there = info.config.subjects.join(", ");
    Err(format!("stream {name:?} is there already and takes {there}, not {wanted}: name another"))
}
