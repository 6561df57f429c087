//! `events`, and how NATS is reached.

use std::{fmt, path::PathBuf, time::Duration};

use super::ClientTls;

/// `events`.
#[derive(Clone, Debug, PartialEq)]
pub struct EventSettings {
    /// `node`: who this is among lb's nodes; `None` for the host's name.
    pub node: Option<String>,
    /// `buffer`: events kept for readers that are away. Default 16,384.
    pub buffer: usize,
    /// `nats`, where events go there.
    pub nats: Option<EventStream>,
}

/// Where in NATS events go.
#[derive(Clone, Debug, PartialEq)]
pub struct EventStream {
    /// `nats`.
    pub server: Nats,
    /// `stream`. Default `LB_EVENTS`.
    pub stream: String,
    /// `subjects`: those of the stream. Default `lb.events.>`.
    pub subjects: Vec<String>,
    /// What stands in front of `NODE.health.SERVICE`: the first of `subjects` without its `.>`.
    pub prefix: String,
    /// `storage: memory`. Default file.
    pub in_memory: bool,
    /// `retention`.
    pub retention: Retention,
    /// `maxAge`; 0 for no bound. Default 24 h.
    pub max_age: Duration,
    /// `maxBytes`, where there is a bound.
    pub max_bytes: Option<u64>,
    /// `replicas`. Default 1.
    pub replicas: usize,
    /// `requests`: whether `lb.api.>` is answered. Default true.
    pub requests: bool,
    /// `bucket`: where drains and weights of all nodes are kept. Default `lb`.
    pub bucket: String,
}

/// `events.retention`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Retention {
    /// Until the bounds are reached.
    #[default]
    Limits,
    /// Until all consumers have it.
    Interest,
    /// Until one consumer has it.
    WorkQueue,
}

/// How NATS is reached.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Nats {
    /// `servers`: `nats://HOST:PORT` or `tls://…`.
    pub servers: Vec<String>,
    /// How lb says who it is.
    pub login: Login,
    /// `tls`; `None` where the servers' URLs decide.
    pub tls: Option<ClientTls>,
}

/// Who lb says it is.
#[derive(Clone, Default, PartialEq)]
pub enum Login {
    /// Nobody in particular, or what the URL says.
    #[default]
    None,
    /// `credentials`: a file of NATS's own format, with JWT and seed.
    Credentials(PathBuf),
    /// `nkey`: a file with a seed.
    Seed(PathBuf),
    /// `token`.
    Token(String),
    /// `user` and `password`.
    User(String, String),
}

impl fmt::Debug for Login {
    /// Without secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Credentials(path) => write!(f, "Credentials({})", path.display()),
            Self::Seed(path) => write!(f, "Seed({})", path.display()),
            Self::Token(_) => f.write_str("Token"),
            Self::User(user, _) => write!(f, "User({user:?})"),
        }
    }
}

impl Login {
    /// Tells one from another, without saying what it is.
    pub fn digest(&self) -> u64 {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        match self {
            Self::None => {}
            Self::Credentials(path) | Self::Seed(path) => path.hash(&mut hasher),
            Self::Token(token) => token.hash(&mut hasher),
            Self::User(user, password) => (user, password).hash(&mut hasher),
        }
        hasher.finish()
    }
}

impl Nats {
    /// The servers as they may be shown: without what stands in front of an `@`.
    pub fn shown(&self) -> String {
        let shown = self.servers.iter().map(|url| match url.split_once("://") {
            Some((scheme, rest)) => {
                format!("{scheme}://{}", rest.rsplit_once('@').map_or(rest, |(_, host)| host))
            }
            None => url.rsplit_once('@').map_or(url.clone(), |(_, host)| host.to_owned()),
        });
        shown.collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let servers = ["nats://a:secret@h1:4222", "u:secret@h2", "tls://h3"];
        let nats = Nats {
            servers: servers.map(str::to_owned).into(),
            login: Login::User("me".into(), "secret".into()),
            tls: None,
        };
        assert_eq!(nats.shown(), "nats://h1:4222, h2, tls://h3");
        assert!(
            !format!("{:?} {:?}", nats.login, Login::Token("secret".into())).contains("secret")
        );
    }
}
