//! What lb's own registry holds: the provider `registry`, with tags as labels as of a Consul's.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::sleep};

use super::{
    Asked,
    consul::entry::Found,
    discovery::{Assembler, Instances, Rules},
    docker::instances,
    link::{Following, Link, Outlet, Reader, Source},
};
use crate::{
    model::{RegistrySettings, Settings},
    registry::{Follow, State, Status},
};

/// Between two readings of a registry that never rests.
const PAUSE: Duration = Duration::from_millis(20);

/// Where the registry is to be found once it runs.
#[derive(Clone, Debug)]
pub(crate) struct Slot(Arc<watch::Sender<Option<Follow>>>);

impl Default for Slot {
    fn default() -> Self {
        Self(Arc::new(watch::channel(None).0))
    }
}

impl Slot {
    /// It runs, or no longer.
    pub(crate) fn set(&self, registry: Option<Follow>) {
        self.0.send_replace(registry);
    }
}

/// The provider, where there is a registry.
pub(super) fn asked_for(settings: &Settings) -> Option<Asked> {
    let registry = settings.registry.clone()?;
    let key = ("registry", registry.clone(), settings.throttle);
    Some(Asked::new(&key, move |around| {
        Link::provider(Registry(registry, around.registry.clone()), around)
    }))
}

struct Registry(RegistrySettings, Slot);

impl Source for Registry {
    type State = Instances;

    fn name(&self) -> &'static str {
        "registry"
    }

    fn endpoint(&self) -> String {
        self.0.address.to_string()
    }

    fn follow<'a>(&'a self, outlet: &'a Outlet<Instances>) -> Following<'a> {
        Box::pin(async move {
            let mut slot = self.1.0.subscribe();
            let ended = || "it ended".to_owned();
            while slot.borrow().is_none() {
                slot.changed().await.map_err(|_| ended())?;
            }
            let found = slot.borrow_and_update().clone();
            let mut registry = found.ok_or_else(ended)?;
            loop {
                tokio::select! {
                    () = registry.changed() => {}
                    // Another one runs, or none.
                    _ = slot.changed() => return Err(ended()),
                }
                let all = all(&registry.read(), &self.0.states);
                outlet.publish(all);
                // A flood of changes leaves room for all else.
                sleep(PAUSE).await;
            }
        })
    }

    fn reader(&self) -> Reader<Instances> {
        instances(Assembler::new(Rules::new(self.name(), &self.0.exposure)))
    }
}

fn all(state: &State, states: &[String]) -> Instances {
    let one = |instance: &crate::registry::Instance| {
        let status = state.status_of(&instance.id);
        let worst = state.checks_of(&instance.id).max_by_key(|check| check.status);
        let weights = instance.weights;
        Found {
            provider: "registry",
            key: instance.id.clone(),
            id: &instance.id,
            service: &instance.name,
            tags: &instance.tags,
            address: &instance.address,
            port: instance.port,
            weight: match status {
                Status::Passing => weights.passing.into(),
                Status::Warning | Status::Critical => weights.warning.into(),
            },
            status: status.name(),
            output: worst.map_or("", |check| &check.output),
            since: instance.created,
        }
        .instance(states)
        .into()
    };
    state.instances.values().map(one).collect()
}
