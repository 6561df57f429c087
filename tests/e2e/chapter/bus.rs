//! The services' side of NATS: who publishes orders, and who hears of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, mpsc},
};

use anyhow::{Context, Result, ensure};
use futures_util::StreamExt;
use lb_tests::Namespace;
use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::{
    discovery::agent::until,
    events::kit::{NATS, PATIENCE},
};

const SUBJECT: &str = "orders.created";
const SUBSCRIBERS: [&str; 4] = ["api-1", "api-2", "api-3", "audit"];
const WORKERS: [&str; 3] = ["worker-1", "worker-2", "worker-3"];

/// Order ids by who heard of them.
type Heard = Arc<Mutex<BTreeMap<&'static str, Vec<String>>>>;
/// An order as JSON, and who waits until NATS has it.
type Order = (String, mpsc::Sender<()>);

/// Subscribers, workers and the publisher, on a thread of their own.
pub(super) struct Bus {
    orders: UnboundedSender<Order>,
    heard: Heard,
}

/// Publishes orders.
#[derive(Clone)]
pub(super) struct Publisher(UnboundedSender<Order>);

impl Bus {
    /// Connects, and subscribes everybody.
    pub(super) fn start(ns: &Namespace) -> Result<Self> {
        let (orders, inbox) = unbounded_channel();
        let heard = Heard::default();
        let (ready, is_ready) = mpsc::channel();
        let hearing = Arc::clone(&heard);
        ns.spawn("bus", move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("tokio");
            runtime.block_on(serve(inbox, hearing, ready)).expect("the bus");
        })?;
        is_ready.recv_timeout(PATIENCE).context("the bus doesn't start")?;
        Ok(Self { orders, heard })
    }

    pub(super) fn publisher(&self) -> Publisher {
        Publisher(self.orders.clone())
    }

    /// Waits until each subscriber has heard of so many orders, and checks that each was heard once by
    /// each of them and by one worker.
    pub(super) fn wait_for(&self, count: usize) -> Result<()> {
        let heard = |names: &[&str]| -> Vec<Vec<String>> {
            let heard = self.heard.lock().expect("the bus panicked");
            names.iter().map(|name| heard.get(name).cloned().unwrap_or_default()).collect()
        };
        until("all are heard", || {
            let all = heard(&SUBSCRIBERS).iter().all(|orders| orders.len() >= count);
            Ok(all && heard(&WORKERS).concat().len() >= count)
        })?;
        let once = |orders: &[String]| {
            orders.len() == count && orders.iter().collect::<BTreeSet<_>>().len() == count
        };
        for (name, orders) in SUBSCRIBERS.iter().zip(heard(&SUBSCRIBERS)) {
            ensure!(once(&orders), "{name} heard {orders:?}");
        }
        let done = heard(&WORKERS);
        ensure!(once(&done.concat()), "the workers heard {done:?}");
        ensure!(
            done.iter().filter(|orders| !orders.is_empty()).count() > 1,
            "one did all: {done:?}"
        );
        Ok(())
    }
}

impl Publisher {
    /// Returns once NATS has it.
    pub(super) fn publish(&self, order: &Value) {
        let (done, is_done) = mpsc::channel();
        let sent = self.0.send((order.to_string(), done));
        assert!(sent.is_ok() && is_done.recv_timeout(PATIENCE).is_ok(), "the bus ended");
    }
}

async fn serve(
    mut inbox: UnboundedReceiver<Order>,
    heard: Heard,
    ready: mpsc::Sender<()>,
) -> Result<()> {
    let client = async_nats::connect(NATS).await?;
    for name in SUBSCRIBERS {
        tokio::spawn(listen(name, client.subscribe(SUBJECT).await?, Arc::clone(&heard)));
    }
    for name in WORKERS {
        let queue = client.queue_subscribe(SUBJECT, "workers".to_owned()).await?;
        tokio::spawn(listen(name, queue, Arc::clone(&heard)));
    }
    client.flush().await?;
    ready.send(())?;
    while let Some((order, done)) = inbox.recv().await {
        client.publish(SUBJECT, order.into()).await?;
        client.flush().await?;
        // A replica that died waits no more.
        let _ = done.send(());
    }
    Ok(())
}

async fn listen(name: &'static str, mut messages: async_nats::Subscriber, heard: Heard) {
    while let Some(message) = messages.next().await {
        let order: Value = serde_json::from_slice(&message.payload).unwrap_or_default();
        let id = order["order_id"].as_str().unwrap_or_default().to_owned();
        heard.lock().expect("the test panicked").entry(name).or_default().push(id);
    }
}
