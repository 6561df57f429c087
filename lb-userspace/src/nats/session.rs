//! What goes on over connections, one after the other.

use async_nats::jetstream;

use super::{
    bucket::bucket,
    link::Link,
    publish::{self, Publisher},
    requests::Requests,
    runtime,
    side::{Needs, State},
};
use crate::{model::EventStream, provider::backoff::Backoff};

/// How a session ended.
enum End {
    /// The daemon ends, and everything is published.
    Daemon,
    /// Begin again.
    Broken(String),
}

/// Runs until the daemon ends.
pub(super) async fn run(settings: EventStream, node: String, needs: Needs, state: State) {
    let mut publisher = Publisher::new(&needs.events, &settings.prefix);
    let mut backoff = Backoff::new();
    loop {
        let why = match Link::open(&settings.server, &format!("lb {node}")).await {
            Ok(mut link) => {
                let client = link.client.clone();
                let is_well = || {
                    backoff.reset();
                    state.is_well();
                };
                let ended = tokio::select! {
                    why = link.broken() => End::Broken(why),
                    end = session(
                        &client, &settings, &node, &needs, &mut publisher, &state, is_well,
                    ) => end,
                };
                match ended {
                    End::Daemon => return,
                    End::Broken(why) => why,
                }
            }
            Err(why) => why,
        };
        state.is_ill(&format!("events: NATS at {}: {why}", settings.server.shown()));
        publisher.count_losses();
        tokio::time::sleep(backoff.next()).await;
    }
}

async fn session(
    client: &async_nats::Client,
    settings: &EventStream,
    node: &str,
    needs: &Needs,
    publisher: &mut Publisher,
    state: &State,
    is_well: impl FnOnce(),
) -> End {
    let context = jetstream::new(client.clone());
    if let Err(why) = publish::ensure(&context, settings).await {
        return End::Broken(why);
    }
    is_well();
    tokio::select! {
        ended = publisher.run(&context) => match ended {
            Ok(()) => End::Daemon,
            Err(why) => End::Broken(why),
        },
        () = answers(client, settings, node, needs, state) => End::Daemon,
    }
}

/// Answers requests for as long as the session lasts. Events don't depend on it.
async fn answers(
    client: &async_nats::Client,
    settings: &EventStream,
    node: &str,
    needs: &Needs,
    state: &State,
) {
    let context = jetstream::new(client.clone());
    let mut backoff = Backoff::new();
    let once = async || {
        let bucket = bucket(&context, &settings.bucket, settings.replicas).await?;
        if let Some(agreed) = &needs.agreed {
            agreed.join(&bucket).await?;
        }
        state.is_well();
        let requests = Requests::new(&needs.daemon, bucket.clone());
        tokio::select! {
            ended = requests.run(client, node) => ended,
            ended = runtime::follow(&bucket, needs) => ended,
        }
    };
    if !settings.requests {
        return std::future::pending().await;
    }
    loop {
        if let Err(why) = once().await {
            state.is_ill(&format!("events: NATS at {}: {why}", settings.server.shown()));
        }
        tokio::time::sleep(backoff.next()).await;
    }
}
