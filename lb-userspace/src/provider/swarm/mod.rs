//! `providers.swarm`: services of a Docker Swarm by their labels (`deploy.labels`); their running tasks
//! are servers.

mod follow;
mod task;

use super::{
    Asked,
    discovery::{Assembler, Instances, Rules},
    docker::instances,
    link::{Following, Link, Outlet, Reader, Source},
};
use crate::model::{self, Settings};

/// The provider, where `settings` asks for it.
pub(super) fn asked_for(settings: &Settings) -> Option<Asked> {
    let swarm = settings.swarm.clone()?;
    let key = ("swarm", swarm.clone(), settings.throttle);
    Some(Asked::new(&key, move |around| Link::provider(Swarm(swarm), around)))
}

/// What one manager knows.
struct Swarm(model::Swarm);

impl Source for Swarm {
    type State = Instances;

    fn name(&self) -> &'static str {
        "swarm"
    }

    fn endpoint(&self) -> String {
        self.0.docker.endpoint.clone()
    }

    fn follow<'a>(&'a self, outlet: &'a Outlet<Instances>) -> Following<'a> {
        Box::pin(follow::follow(&self.0, outlet))
    }

    fn reader(&self) -> Reader<Instances> {
        instances(Assembler::new(Rules::new(self.name(), &self.0.docker.exposure)))
    }
}
