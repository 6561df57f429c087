//! What the API asks of the writer.

use super::writer::{Ending, Writer};
use crate::{
    api::{
        ApiError, Command, Daemon, find, rows,
        types::{BackendChange, BackendRow, Reloaded},
    },
    model::{Backend, BackendId, Service},
    provider::Scope,
    reconcile::Event,
};

impl Writer {
    /// Does it and answers; the caller may have gone meanwhile.
    pub(super) async fn obey(&mut self, command: Command) -> Option<Ending> {
        match command {
            Command::Change { service, backend, change, reply } => {
                let _gone = reply.send(self.change(&service, &backend, change).await);
            }
            Command::Reload { reply } => {
                let _gone = reply.send(self.reload().await);
            }
            Command::Explain { query, reply } => {
                let _gone = reply.send(self.explain(&query));
            }
            Command::Detach { reply } => {
                let detached = self.detach().await;
                let ending = detached.is_ok().then_some(Ending::Detached);
                let _gone = reply.send(detached.map_err(|e| ApiError::Refused(e.to_string())));
                return ending;
            }
        }
        None
    }

    async fn change(
        &mut self,
        service: &str,
        backend: &str,
        change: BackendChange,
    ) -> Result<Vec<BackendRow>, ApiError> {
        let snapshot = self.reconciler.snapshot().clone();
        let service = find::service(&snapshot, service)?;
        let wanted: Vec<BackendId> = find::backends(service, backend)?
            .iter()
            .map(|b| BackendId { service: service.id.clone(), address: b.address })
            .collect();
        self.handle(wanted.iter().flat_map(|backend| events(backend, change)));
        self.bring_into_force().await;
        self.check_applied()?;
        let is_wanted = |s: &Service, b: &Backend| {
            wanted.iter().any(|w| w.service == s.id && w.address == b.address)
        };
        let counts = tokio::task::block_in_place(|| self.shared.counts())?;
        Ok(rows::backends(&self.in_force, &counts, &self.shared.obstacles(), is_wanted))
    }

    async fn reload(&mut self) -> Result<Reloaded, ApiError> {
        let reload = self.read_files(Scope::All);
        self.bring_into_force().await;
        if !reload.faults.is_empty() {
            return Err(ApiError::Invalid(self.faults.files.clone()));
        }
        self.check_applied()?;
        Ok(Reloaded { generation: self.in_force.generation, changes: reload.changes })
    }

    /// Whether the latest snapshot is in force.
    fn check_applied(&self) -> Result<(), ApiError> {
        match &self.faults.apply {
            Some(why) => Err(ApiError::Refused(why.clone())),
            None => Ok(()),
        }
    }
}

/// What a change asks for one backend.
fn events(backend: &BackendId, change: BackendChange) -> impl Iterator<Item = Event> + use<> {
    let (drained, weighed) = (backend.clone(), backend.clone());
    let drain = change.drain.map(|drain| Event::Drain { backend: drained, drain });
    let weight = change.weight.map(|weight| {
        let weight = weight.map(u32::from);
        Event::Weight { backend: weighed, weight }
    });
    drain.into_iter().chain(weight)
}
