//! `providers.docker`: containers by their labels, from the list and then by events.

pub(super) mod connect;
mod container;
mod follow;

use super::{
    Asked,
    discovery::{Assembler, Instances, Rules},
    link::{Following, Link, Outcome, Outlet, Reader, Source},
};
use crate::{
    config::build::Parsed,
    model::{self, Settings},
};

/// The provider, where `settings` asks for it.
pub(super) fn asked_for(settings: &Settings) -> Option<Asked> {
    let docker = settings.docker.clone()?;
    let key = ("docker", docker.clone(), settings.throttle);
    Some(Asked::new(&key, move |around| Link::provider(Docker(docker), around)))
}

/// Containers of one daemon.
struct Docker(model::Docker);

impl Source for Docker {
    type State = Instances;

    fn name(&self) -> &'static str {
        "docker"
    }

    fn endpoint(&self) -> String {
        self.0.endpoint.clone()
    }

    fn follow<'a>(&'a self, outlet: &'a Outlet<Instances>) -> Following<'a> {
        Box::pin(follow::follow(&self.0, outlet))
    }

    fn reader(&self) -> Reader<Instances> {
        instances(Assembler::new(Rules::new(self.name(), &self.0.exposure)))
    }
}

/// The reader of every provider whose states are instances.
pub(super) fn instances(mut assembler: Assembler) -> Reader<Instances> {
    Box::new(move |state| {
        let assembled = assembler.assemble(state);
        Outcome {
            parsed: Parsed { document: assembled.document, faults: Vec::new() },
            out: assembled.faults,
            serving: assembled.serving,
            skipped: assembled.skipped,
        }
    })
}
