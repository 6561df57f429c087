//! lb as a service of a Consul: itself and its entry points, each with a check that lb passes by
//! telling, and gone when lb ends.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use serde_json::json;
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::client;
use crate::{
    model::Registration,
    provider::{
        backoff::Backoff,
        client::{Client, encoded},
    },
};

/// How long the end of the daemon waits for Consul to take it out.
const LAST: Duration = Duration::from_secs(1);

/// One service as Consul is to have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Among all services of the agent.
    pub(crate) id: String,
    pub(crate) name: String,
    /// The agent's own where it has none.
    pub(crate) address: Option<String>,
    pub(crate) port: Option<u16>,
    pub(crate) tags: Vec<String>,
}

/// Registers, renews and deregisters, where the settings ask for that.
#[derive(Debug, Default)]
pub(crate) struct Registrar {
    running: Option<Running>,
    trouble: Trouble,
}

/// Why it isn't registered, for `lb status`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trouble(Arc<Mutex<Option<String>>>);

#[derive(Debug)]
struct Running {
    settings: Registration,
    /// `None` asks for the end.
    wanted: watch::Sender<Option<Vec<Entry>>>,
    task: JoinHandle<()>,
}

impl Trouble {
    /// What is wrong now.
    pub(crate) fn get(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, why: Option<String>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(why) = why.as_ref().filter(|why| known.as_ref() != Some(why)) {
            tracing::warn!("{why}");
        }
        *known = why;
    }
}

impl Registrar {
    /// One that tells by `trouble` how it goes.
    pub(crate) fn new(trouble: Trouble) -> Self {
        Self { running: None, trouble }
    }

    /// Brings it to what the settings say; another agent's registrations are taken back.
    pub(crate) fn follow(&mut self, settings: Option<&Registration>, entries: Vec<Entry>) {
        if let Some(running) = &self.running
            && Some(&running.settings) == settings
        {
            running.wanted.send_if_modified(|wanted| {
                wanted.as_ref() != Some(&entries) && {
                    *wanted = Some(entries);
                    true
                }
            });
            return;
        }
        if let Some(old) = self.running.take() {
            // It ends by itself.
            old.wanted.send_replace(None);
        }
        self.trouble.set(None);
        self.running = settings.map(|settings| {
            let (wanted, asked) = watch::channel(Some(entries));
            let task = Task {
                settings: settings.clone(),
                done: BTreeMap::new(),
                trouble: self.trouble.clone(),
            };
            Running { settings: settings.clone(), wanted, task: tokio::spawn(task.run(asked)) }
        });
    }

    /// The daemon ends: takes everything back, unless that takes too long.
    pub(crate) async fn end(&mut self) {
        let Some(mut running) = self.running.take() else { return };
        running.wanted.send_replace(None);
        if timeout(LAST, &mut running.task).await.is_err() {
            running.task.abort();
        }
    }

    /// Another process goes on with the same registrations.
    pub(crate) fn let_go(&mut self) {
        if let Some(running) = self.running.take() {
            running.task.abort();
        }
    }
}

struct Task {
    settings: Registration,
    /// What Consul has, as far as is known.
    done: BTreeMap<String, Entry>,
    trouble: Trouble,
}

impl Task {
    async fn run(mut self, mut asked: watch::Receiver<Option<Vec<Entry>>>) {
        let mut backoff = Backoff::new();
        loop {
            let wanted = asked.borrow_and_update().clone();
            let done = self.step(wanted.as_deref().unwrap_or_default()).await;
            if wanted.is_none() {
                return;
            }
            let pause = match &done {
                Ok(()) => {
                    backoff.reset();
                    self.settings.ttl / 3
                }
                Err(_) => backoff.next().min(self.settings.ttl / 3),
            };
            self.trouble.set(done.err().map(|why| format!("registering in Consul: {why}")));
            tokio::select! {
                () = sleep(pause) => {}
                changed = asked.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Asks one server after the other.
    async fn step(&mut self, wanted: &[Entry]) -> Result<(), String> {
        let mut last = Ok(());
        for url in self.settings.endpoint.urls.clone() {
            let client = client(&url, &self.settings.endpoint)?;
            last = self.step_at(&client, wanted).await;
            if last.is_ok() {
                break;
            }
        }
        last
    }

    async fn step_at(&mut self, client: &Client, wanted: &[Entry]) -> Result<(), String> {
        let is_wanted = |id: &String| wanted.iter().any(|entry| entry.id == *id);
        let gone: Vec<String> = self.done.keys().filter(|id| !is_wanted(id)).cloned().collect();
        for id in gone {
            let path = format!("/v1/agent/service/deregister/{}", encoded(&id));
            let answer = client.put(&path, Bytes::new()).await;
            // One that it has lost already is out, too.
            if let Err(why) = answer
                && !why.contains("Unknown service")
            {
                return Err(why);
            }
            self.done.remove(&id);
        }
        for entry in wanted {
            let is_known = self.done.get(&entry.id) == Some(entry);
            if !is_known || !self.pass(client, entry).await? {
                self.register(client, entry).await?;
                if !self.pass(client, entry).await? {
                    return Err(format!("{} has no check after registering it", entry.id));
                }
                self.done.insert(entry.id.clone(), entry.clone());
            }
        }
        Ok(())
    }

    async fn register(&self, client: &Client, entry: &Entry) -> Result<(), String> {
        let seconds = |time: Duration| format!("{}s", time.as_secs_f64());
        let check = json!({
            "CheckID": check(entry),
            "Name": "lb renews this",
            // It serves by now; and who registers it anew takes nothing away for a moment.
            "Status": "passing",
            "TTL": seconds(self.settings.ttl),
            "DeregisterCriticalServiceAfter": seconds(self.settings.deregister_after),
        });
        let mut body = json!({
            "ID": entry.id, "Name": entry.name, "Tags": entry.tags, "Check": check,
            "Meta": { "version": env!("CARGO_PKG_VERSION") },
        });
        if let Some(address) = &entry.address {
            body["Address"] = json!(address);
        }
        if let Some(port) = entry.port {
            body["Port"] = json!(port);
        }
        let path = "/v1/agent/service/register";
        let answer = client.put(path, body.to_string().into()).await?;
        match answer.status.is_success() {
            true => Ok(()),
            false => Err(format!("{path}: {}", answer.status)),
        }
    }

    /// Whether Consul knows the check: an agent that lost it says so in one way or another.
    async fn pass(&self, client: &Client, entry: &Entry) -> Result<bool, String> {
        let path = format!("/v1/agent/check/update/{}", encoded(&check(entry)));
        let body = json!({ "Status": "passing", "Output": "lb serves" }).to_string();
        match client.put(&path, body.into()).await {
            Ok(answer) => Ok(answer.status.is_success()),
            Err(why) if why.contains("TTL") || why.contains("Unknown check") => Ok(false),
            Err(why) => Err(why),
        }
    }
}

fn check(entry: &Entry) -> String {
    format!("service:{}", entry.id)
}
