//! NATS as the writer drives it: started, changed and ended by the settings.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::mpsc, task::JoinHandle, time::timeout};

use super::{Agreed, session};
use crate::{api::Daemon, events::Hub, model::EventStream, reconcile};

/// How long the end of the daemon waits for the last events to arrive.
const LAST: Duration = Duration::from_millis(500);

/// What it works with.
#[derive(Clone)]
pub(crate) struct Needs {
    pub(crate) events: Arc<Hub>,
    pub(crate) daemon: Arc<dyn Daemon>,
    /// Where the secret of the bucket goes; `None` where a provider's bucket has it.
    pub(crate) agreed: Option<Agreed>,
    /// Where drains and weights of all nodes go.
    pub(crate) inputs: mpsc::Sender<reconcile::Event>,
}

/// Whether it goes well, for `lb status`.
#[derive(Clone, Debug, Default)]
pub(crate) struct State(Arc<Mutex<Option<String>>>);

impl State {
    pub(super) fn is_well(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(super) fn is_ill(&self, why: &str) {
        let mut trouble = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if trouble.as_deref() != Some(why) {
            tracing::warn!("{why}");
        }
        *trouble = Some(why.to_owned());
    }

    /// What is wrong now.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The task, where the settings ask for one.
#[derive(Debug, Default)]
pub(crate) struct Side {
    /// With the node's name, and whether its bucket is the one that nodes agree by.
    running: Option<(EventStream, (String, bool), JoinHandle<()>)>,
    state: State,
}

impl Side {
    /// One that tells by `state` how it goes.
    pub(crate) fn new(state: State) -> Self {
        Self { running: None, state }
    }

    /// Brings it to what the settings say.
    pub(crate) fn follow(&mut self, wanted: Option<&EventStream>, node: &str, needs: &Needs) {
        let who = (node.to_owned(), needs.agreed.is_some());
        let is_same = |(settings, before, _): &(EventStream, _, _)| {
            Some(settings) == wanted && *before == who
        };
        if self.running.as_ref().is_some_and(is_same) {
            return;
        }
        if let Some((.., task)) = self.running.take() {
            task.abort();
        }
        self.state.is_well();
        self.running = wanted.map(|settings| {
            let task =
                session::run(settings.clone(), node.to_owned(), needs.clone(), self.state.clone());
            (settings.clone(), who, tokio::spawn(task))
        });
    }

    /// The daemon ends: waits for a moment, so that the last events arrive.
    pub(crate) async fn end(&mut self) {
        let Some((.., mut task)) = self.running.take() else { return };
        if self.state.trouble().is_some() || timeout(LAST, &mut task).await.is_err() {
            task.abort();
        }
    }
}
