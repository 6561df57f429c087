//! `providers`, but for `file`.

use std::time::Duration;

use super::ClientTls;

/// Which instances count and what they serve where labels don't say: of every provider that finds
/// instances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposure {
    /// `exposedByDefault`: whether instances without `traefik.enable` count. Default true.
    pub exposed_by_default: bool,
    /// `defaultRule`: a template, sound.
    pub default_rule: String,
    /// `constraints`: an expression, sound.
    pub constraints: String,
    /// `allowEmptyServices`: whether unhealthy instances keep their routers and services.
    pub allow_empty_services: bool,
    /// What labels begin with, without the dot.
    pub prefixes: Vec<String>,
}

impl Default for Exposure {
    fn default() -> Self {
        Self {
            exposed_by_default: true,
            default_rule: Self::DEFAULT_RULE.to_owned(),
            constraints: String::new(),
            allow_empty_services: false,
            prefixes: vec!["traefik".to_owned(), "lb".to_owned()],
        }
    }
}

impl Exposure {
    /// Traefik's.
    pub const DEFAULT_RULE: &str = "Host(`{{ normalize .Name }}`)";
}

/// `providers.docker`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Docker {
    /// Which containers count.
    pub exposure: Exposure,
    /// `unix:///var/run/docker.sock`, `tcp://host:2375`, `http://…`, `https://…`.
    pub endpoint: String,
    /// Towards a TCP endpoint.
    pub tls: Option<ClientTls>,
    /// The network whose address is used where a container has several.
    pub network: Option<String>,
    /// Whether changes are followed. Default true.
    pub watch: bool,
    /// How long an answer may take. Default 10 s.
    pub timeout: Duration,
}
