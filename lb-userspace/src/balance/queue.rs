//! Requests that wait for a server below its `maxConnections`, in the order in which they came.
//!
//! A place that becomes free is given to the first who waits. Whoever comes looks for a place only
//! when nobody waits; counts are changed before they are looked at, on both sides, so that either
//! who leaves sees who waits or who waits sees the place.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::sync::oneshot;

use super::{NoServer, Server, Ticket};

/// Who waits for the servers of a group. Locked only where there is somebody.
#[derive(Debug, Default)]
pub(super) struct Queue {
    count: AtomicU32,
    waiting: Mutex<VecDeque<oneshot::Sender<Ticket>>>,
}

impl Queue {
    /// Whether somebody waits.
    pub(super) fn is_busy(&self) -> bool {
        self.count.load(SeqCst) > 0
    }

    /// Waits for a place. `attempt` is asked once more when this one is the first in the queue.
    pub(super) async fn wait(
        &self,
        most: u32,
        timeout: Duration,
        attempt: impl FnOnce() -> Result<Ticket, NoServer>,
    ) -> Result<Ticket, NoServer> {
        let receiver = match self.enqueue(most, attempt)? {
            Place::Now(ticket) => return Ok(ticket),
            Place::Later(receiver) => receiver,
        };
        match tokio::time::timeout(timeout, receiver).await {
            Ok(Ok(ticket)) => Ok(ticket),
            Ok(Err(_)) => Err(NoServer::None),
            Err(_) => Err(NoServer::Timeout),
        }
    }

    fn enqueue(
        &self,
        most: u32,
        attempt: impl FnOnce() -> Result<Ticket, NoServer>,
    ) -> Result<Place, NoServer> {
        let mut waiting = self.lock();
        if waiting.len() >= most as usize {
            waiting.retain(|sender| !sender.is_closed());
            self.count.store(waiting.len() as u32, SeqCst);
            if waiting.len() >= most as usize {
                return Err(NoServer::Full);
            }
        }
        let (sender, receiver) = oneshot::channel();
        waiting.push_back(sender);
        self.count.fetch_add(1, SeqCst);
        if waiting.len() > 1 {
            return Ok(Place::Later(receiver));
        }
        let place = match attempt() {
            Ok(ticket) => Ok(Place::Now(ticket)),
            Err(NoServer::Full) => return Ok(Place::Later(receiver)),
            Err(error) => Err(error),
        };
        waiting.pop_back();
        self.count.fetch_sub(1, SeqCst);
        place
    }

    /// Gives places at a server to those who wait, while there are both.
    pub(super) fn serve(&self, server: &Arc<Server>) {
        while self.is_busy() && server.enter() {
            if let Some(ticket) = self.hand_over(Ticket::of(server)) {
                ticket.give_back();
            }
        }
    }

    /// Gives a place to the first who still waits; back to the caller where nobody does.
    fn hand_over(&self, mut ticket: Ticket) -> Option<Ticket> {
        loop {
            let Some(sender) = self.pop() else { return Some(ticket) };
            match sender.send(ticket) {
                Ok(()) => return None,
                Err(unwanted) => ticket = unwanted,
            }
        }
    }

    fn pop(&self) -> Option<oneshot::Sender<Ticket>> {
        let mut waiting = self.lock();
        let sender = waiting.pop_front()?;
        self.count.fetch_sub(1, SeqCst);
        Some(sender)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<oneshot::Sender<Ticket>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Place {
    Now(Ticket),
    Later(oneshot::Receiver<Ticket>),
}
