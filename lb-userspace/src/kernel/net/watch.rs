//! The watcher's public face.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{oneshot, watch},
    task::JoinHandle,
};

use super::{
    NetError, NetState, Wanted,
    follow::Watcher,
    neighbours,
    socket::{EVENT_BUFFER, Netlink},
};

/// Follows the network for as long as it lives.
pub struct NetWatcher {
    wanted: watch::Sender<Wanted>,
    states: watch::Receiver<Arc<NetState>>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// Times and sizes; the default is for production.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// From the first of a burst of route, link or address events to the new state.
    pub debounce: Duration,
    /// Between full resyncs, where nothing was lost.
    pub resync: Duration,
    /// Receive buffer of the listening socket, in bytes.
    pub event_buffer: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            debounce: Duration::from_millis(20),
            resync: Duration::from_secs(30),
            event_buffer: EVENT_BUFFER,
        }
    }
}

impl NetWatcher {
    /// Starts in the network namespace of this thread; must be called within
    /// a tokio runtime. The first state is there on return, complete but for
    /// neighbours that have yet to answer.
    pub async fn start(wanted: Wanted) -> Result<Self, NetError> {
        Self::start_at(wanted, Pace::default()).await
    }

    /// [`NetWatcher::start`] at another pace.
    pub async fn start_at(wanted: Wanted, pace: Pace) -> Result<Self, NetError> {
        let (wanted, wanted_here) = watch::channel(wanted);
        let (publish, states) = watch::channel(Arc::default());
        let (stop, stopped) = oneshot::channel();
        let mut watcher = Watcher::open(wanted_here, publish, pace)?;
        watcher.refresh().await?;
        let task = tokio::spawn(watcher.run(stopped));
        Ok(Self { wanted, states, stop, task })
    }

    /// Changes what is looked after.
    pub fn want(&self, wanted: Wanted) {
        self.wanted.send_if_modified(|old| {
            let differs = *old != wanted;
            *old = wanted;
            differs
        });
    }

    /// Changes a part of what is looked after.
    pub fn modify(&self, change: impl FnOnce(&mut Wanted)) {
        let mut wanted = self.wanted.borrow().clone();
        change(&mut wanted);
        self.want(wanted);
    }

    /// The state of now and of whenever it changes.
    pub fn states(&self) -> watch::Receiver<Arc<NetState>> {
        self.states.clone()
    }

    /// Ends, and gives up the neighbours it kept. Without this call they stay:
    /// the kernel path goes on without a daemon.
    pub async fn stop(self) {
        self.stop.send(()).ok();
        self.task.await.ok();
    }
}

/// Gives up every neighbour that lb keeps in this network namespace; returns
/// how many. For `lb detach` without a daemon.
pub async fn release_neighbours() -> Result<usize, NetError> {
    neighbours::release_all(&Netlink::open()?).await
}
