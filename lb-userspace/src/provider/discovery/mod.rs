//! Instances that say by labels what they serve: the same for Docker, Swarm, Consul's catalog, NATS
//! and lb's own registry. A provider finds [`Instance`]s; [`Assembler`] makes one document of them.

mod assemble;
pub(crate) mod constraint;
mod instance;
mod pool;
mod runs;
mod shape;
pub(crate) mod template;

use std::sync::Arc;

pub(crate) use assemble::Assembler;
pub(crate) use instance::{Health, Instance, Reason, Skipped};
#[cfg(test)]
use pool::Assembled;

use crate::model::{Exposure, Shared};
use constraint::Constraint;
use template::Template;

/// All that a source has.
pub(crate) type Instances = Vec<Shared<Instance>>;

/// Which instances count, and what they serve where their labels don't say.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    /// The provider: what stands behind the `@`.
    pub(crate) provider: &'static str,
    exposed_by_default: bool,
    allow_empty: bool,
    default_rule: Template,
    constraint: Constraint,
    /// What labels begin with.
    prefixes: Vec<String>,
}

impl Rules {
    /// From settings, which are sound: the configuration was checked.
    pub(crate) fn new(provider: &'static str, exposure: &Exposure) -> Arc<Self> {
        let nothing = Template::parse("");
        let default_rule = Template::parse(&exposure.default_rule).or(nothing);
        Arc::new(Self {
            provider,
            exposed_by_default: exposure.exposed_by_default,
            allow_empty: exposure.allow_empty_services,
            default_rule: default_rule.unwrap_or_else(|_| unreachable!("an empty template is one")),
            constraint: Constraint::parse(&exposure.constraints).unwrap_or(Constraint::Everything),
            prefixes: exposure.prefixes.clone(),
        })
    }

    fn prefixes(&self) -> Vec<&str> {
        self.prefixes.iter().map(String::as_str).collect()
    }
}

#[cfg(test)]
mod tests;
