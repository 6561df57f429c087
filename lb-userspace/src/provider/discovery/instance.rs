//! What a provider finds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Rules;

/// Something that serves: a container, a task, a registered instance of a service. It is kept on
/// disk, so that a restart serves while its source is away.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Instance {
    /// Tells it from all others of its provider.
    pub(crate) id: String,
    /// In faults and lists: `docker container "api-1"`.
    pub(crate) origin: String,
    /// Its own name, `.ContainerName` in templates.
    pub(crate) name: String,
    /// What it is an instance of, `.Name` in templates; router and service get its name where
    /// labels name none.
    pub(crate) service: String,
    /// IP address or host name; `None` where it can't be reached.
    pub(crate) address: Option<String>,
    /// Why there is no address.
    pub(crate) unreachable: String,
    /// Ports, the one to be used first.
    pub(crate) tcp: Vec<u16>,
    /// As above.
    pub(crate) udp: Vec<u16>,
    /// `traefik.…`, `lb.…` and all others.
    pub(crate) labels: BTreeMap<String, String>,
    /// For `constraints`.
    pub(crate) tags: Vec<String>,
    /// Where labels say nothing of it.
    pub(crate) weight: Option<u32>,
    /// As its source sees it.
    pub(crate) health: Health,
    /// It is being stopped: no new connections.
    pub(crate) leaving: bool,
    /// When it came, in any unit: of two that contradict each other the older one stays.
    pub(crate) since: u64,
}

/// An instance's health.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Health {
    /// Or nobody looks.
    #[default]
    Good,
    /// And why.
    Bad(String),
}

/// Why an instance serves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reason {
    NotEnabled,
    Constraint,
    Unhealthy,
    NoAddress,
    NoPort,
    BadLabel,
    Conflict,
    Unresolved,
}

impl Reason {
    /// In lists and metrics.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::NotEnabled => "not_enabled",
            Self::Constraint => "constraint",
            Self::Unhealthy => "unhealthy",
            Self::NoAddress => "no_address",
            Self::NoPort => "no_port",
            Self::BadLabel => "bad_label",
            Self::Conflict => "conflict",
            Self::Unresolved => "unresolved",
        }
    }
}

/// An instance that serves nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Skipped {
    /// [`Instance::origin`].
    pub(crate) instance: String,
    pub(crate) reason: Reason,
    /// In a sentence, where there is more to say.
    pub(crate) detail: String,
}

impl Instance {
    /// A label of lb's own, such as `enable`: with whatever prefix, in any case.
    pub(crate) fn option(&self, prefixes: &[&str], name: &str) -> Option<&str> {
        let found = self.labels.iter().find(|(key, _)| {
            crate::config::flat::after_prefix(key, prefixes)
                .is_some_and(|start| key[start..].eq_ignore_ascii_case(name))
        });
        found.map(|(_, value)| value.as_str())
    }

    /// Why it doesn't count, whatever else its labels say.
    pub(super) fn is_out(&self, rules: &Rules) -> Option<(Reason, String)> {
        let enabled = match self.option(&rules.prefixes(), "enable") {
            Some(value) if value.eq_ignore_ascii_case("true") => true,
            Some(value) if value.eq_ignore_ascii_case("false") => false,
            Some(value) => {
                let why = format!("`enable` is true or false, not {value:?}");
                return Some((Reason::BadLabel, why));
            }
            None => rules.exposed_by_default,
        };
        if !enabled {
            return Some((Reason::NotEnabled, String::new()));
        }
        if !rules.constraint.holds(&self.labels, &self.tags) {
            return Some((Reason::Constraint, String::new()));
        }
        match &self.health {
            Health::Bad(why) if !rules.allow_empty => Some((Reason::Unhealthy, why.clone())),
            _ => None,
        }
    }
}
