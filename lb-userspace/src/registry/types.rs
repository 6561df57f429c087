//! What the registry holds: instances of services, their checks, keys with values.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

/// The state of a check, or of an instance: that of its worst check.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    /// Sound.
    Passing,
    /// Worth a look; still served.
    Warning,
    /// Not to be used, as is every instance before its first check.
    #[default]
    Critical,
}

impl Status {
    /// As Consul spells it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Passing => "passing",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }

    /// The one that is spelled so.
    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::Passing, Self::Warning, Self::Critical].into_iter().find(|s| s.name() == name)
    }
}

/// `Weights`: an instance's share, by its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Weights {
    /// While it passes.
    pub(crate) passing: u16,
    /// While it warns.
    pub(crate) warning: u16,
}

impl Default for Weights {
    fn default() -> Self {
        Self { passing: 1, warning: 1 }
    }
}

/// One instance of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Instance {
    /// Unlike any other's.
    pub(crate) id: String,
    /// Of the service.
    pub(crate) name: String,
    /// In their order.
    #[serde(default)]
    pub(crate) tags: Vec<String>,
    /// Anything else.
    #[serde(default)]
    pub(crate) meta: BTreeMap<String, String>,
    /// IP address or host name: the registration's, else its sender's.
    pub(crate) address: String,
    /// 0 for none.
    pub(crate) port: u16,
    /// `TaggedAddresses`: by name, address and port.
    #[serde(default)]
    pub(crate) tagged: BTreeMap<String, (String, u16)>,
    /// Its shares.
    #[serde(default)]
    pub(crate) weights: Weights,
    /// Kept for those who ask.
    #[serde(default)]
    pub(crate) enable_tag_override: bool,
    /// Index of its first registration.
    #[serde(default)]
    pub(crate) created: u64,
    /// Index of its last change.
    #[serde(default)]
    pub(crate) modified: u64,
}

/// A check of an instance, or of the node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Check {
    /// Unlike any other's.
    pub(crate) id: String,
    /// For people.
    pub(crate) name: String,
    /// Its latest verdict.
    pub(crate) status: Status,
    /// For people.
    #[serde(default)]
    pub(crate) notes: String,
    /// What it said last.
    #[serde(default)]
    pub(crate) output: String,
    /// The instance; empty: the node.
    #[serde(default)]
    pub(crate) instance: String,
    /// How it is done.
    pub(crate) kind: Kind,
    /// Between two of them.
    #[serde(default)]
    pub(crate) interval: Duration,
    /// Of one.
    #[serde(default)]
    pub(crate) timeout: Duration,
    /// An instance that is critical for so long is deregistered.
    #[serde(default)]
    pub(crate) deregister_after: Option<Duration>,
    /// Passes in a row before it passes; 0 and 1 alike: at once.
    #[serde(default)]
    pub(crate) rise: u32,
    /// Failures in a row before it is critical; 0 and 1 alike: at once.
    #[serde(default)]
    pub(crate) fall: u32,
    /// Failures in a row before it warns, where that is earlier.
    #[serde(default)]
    pub(crate) fall_to_warning: u32,
    /// Index of its first registration.
    #[serde(default)]
    pub(crate) created: u64,
    /// Index of its last change.
    #[serde(default)]
    pub(crate) modified: u64,
}

/// How a check is done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// By nobody: a state that was registered, such as maintenance.
    #[default]
    Fixed,
    /// The application reports within this time.
    Ttl(Duration),
    /// A connection to `host:port`.
    Tcp(String),
    /// A request.
    Http(HttpCheck),
    /// The gRPC health protocol.
    Grpc(GrpcCheck),
    /// A program and its arguments.
    Script(Vec<String>),
}

impl Kind {
    /// Consul's `Type`.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Fixed => "",
            Self::Ttl(_) => "ttl",
            Self::Tcp(_) => "tcp",
            Self::Http(_) => "http",
            Self::Grpc(_) => "grpc",
            Self::Script(_) => "script",
        }
    }
}

/// The fields of an HTTP check.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HttpCheck {
    /// `http://…` or `https://…`.
    pub(crate) url: String,
    /// Empty: GET.
    #[serde(default)]
    pub(crate) method: String,
    /// In the order of their names.
    #[serde(default)]
    pub(crate) headers: Vec<(String, String)>,
    /// What is sent.
    #[serde(default)]
    pub(crate) body: String,
    /// Any certificate will do.
    #[serde(default)]
    pub(crate) insecure: bool,
    /// The name its certificate must bear; empty: the URL's host.
    #[serde(default)]
    pub(crate) server_name: String,
    /// A redirect is the answer.
    #[serde(default)]
    pub(crate) no_redirects: bool,
}

/// The fields of a gRPC check.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GrpcCheck {
    /// `host:port`.
    pub(crate) address: String,
    /// Of gRPC; empty: the whole server.
    #[serde(default)]
    pub(crate) service: String,
    /// Whether it speaks TLS.
    #[serde(default)]
    pub(crate) tls: bool,
    /// Any certificate will do.
    #[serde(default)]
    pub(crate) insecure: bool,
    /// The name its certificate must bear; empty: the address's host.
    #[serde(default)]
    pub(crate) server_name: String,
}

/// A key's value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pair {
    /// Its bytes.
    #[serde(with = "base64_bytes")]
    pub(crate) value: Vec<u8>,
    /// The client's own.
    #[serde(default)]
    pub(crate) flags: u64,
    /// Index of its first write.
    #[serde(default)]
    pub(crate) created: u64,
    /// Index of its last write.
    #[serde(default)]
    pub(crate) modified: u64,
}

/// Values are any bytes, the log is JSON.
mod base64_bytes {
    use base64::{Engine, engine::general_purpose::STANDARD};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<u8>, D::Error> {
        STANDARD.decode(String::deserialize(d)?).map_err(D::Error::custom)
    }
}
