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
            Command::Shift { service, order, reply } => {
                let _gone = reply.send(self.begin_shift(&service, &order).await);
            }
            Command::EndShift { service, reset, reply } => {
                let _gone = reply.send(self.end_shift(&service, reset).await);
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
        if service.composed.is_some() {
            let service = service.clone();
            return self.change_part(&service, backend, change).await;
        }
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

    /// Of a weighted service: parts have weights as backends do.
    async fn change_part(
        &mut self,
        service: &Service,
        part: &str,
        change: BackendChange,
    ) -> Result<Vec<BackendRow>, ApiError> {
        let part = find::part(service, part)?.clone();
        let Some(weight) = change.weight.filter(|_| change.drain.is_none()) else {
            let why = format!("{} is a service: give it weight 0", part.qualified());
            return Err(ApiError::Refused(why));
        };
        let weight = weight.map(u32::from);
        self.handle([Event::PartWeight {
            service: service.id.clone(),
            part: part.clone(),
            weight,
        }]);
        self.bring_into_force().await;
        self.check_applied()?;
        Ok(rows::part(&self.in_force, &service.id, &part).into_iter().collect())
    }

    async fn reload(&mut self) -> Result<Reloaded, ApiError> {
        let reload = self.read_files(Scope::All);
        self.bring_into_force().await;
        if !reload.files_are_sound {
            return Err(ApiError::Invalid(self.faults.files.clone()));
        }
        self.check_applied()?;
        let faults = reload.faults.iter().map(ToString::to_string).collect();
        Ok(Reloaded { generation: self.in_force.generation, changes: reload.changes, faults })
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
