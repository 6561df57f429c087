//! What the registry holds: instances of services, their checks, keys with values.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

/// The state of a check, or of an instance: that of its worst check.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
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
    pub const fn name(self) -> &'static str {
        match self {
            Self::Passing => "passing",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }

    /// The one that is spelled so.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Passing, Self::Warning, Self::Critical].into_iter().find(|s| s.name() == name)
    }
}

/// `Weights`: an instance's share, by its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weights {
    /// While it passes.
    pub passing: u16,
    /// While it warns.
    pub warning: u16,
}

impl Default for Weights {
    fn default() -> Self {
        Self { passing: 1, warning: 1 }
    }
}

/// One instance of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Unlike any other's.
    pub id: String,
    /// Of the service.
    pub name: String,
    /// In their order.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Anything else.
    #[serde(default)]
    pub meta: BTreeMap<String, String>,
    /// IP address or host name: the registration's, else its sender's.
    pub address: String,
    /// 0 for none.
    pub port: u16,
    /// `TaggedAddresses`: by name, address and port.
    #[serde(default)]
    pub tagged: BTreeMap<String, (String, u16)>,
    /// Its shares.
    #[serde(default)]
    pub weights: Weights,
    /// Kept for those who ask.
    #[serde(default)]
    pub enable_tag_override: bool,
    /// Index of its first registration.
    #[serde(default)]
    pub created: u64,
    /// Index of its last change.
    #[serde(default)]
    pub modified: u64,
}

/// A check of an instance, or of the node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Unlike any other's.
    pub id: String,
    /// For people.
    pub name: String,
    /// Its latest verdict.
    pub status: Status,
    /// For people.
    #[serde(default)]
    pub notes: String,
    /// What it said last.
    #[serde(default)]
    pub output: String,
    /// The instance; empty: the node.
    #[serde(default)]
    pub instance: String,
    /// How it is done.
    pub kind: Kind,
    /// Between two of them.
    #[serde(default)]
    pub interval: Duration,
    /// Of one.
    #[serde(default)]
    pub timeout: Duration,
    /// An instance that is critical for so long is deregistered.
    #[serde(default)]
    pub deregister_after: Option<Duration>,
    /// Passes in a row before it passes; 0 and 1 alike: at once.
    #[serde(default)]
    pub rise: u32,
    /// Failures in a row before it is critical; 0 and 1 alike: at once.
    #[serde(default)]
    pub fall: u32,
    /// Failures in a row before it warns, where that is earlier.
    #[serde(default)]
    pub fall_to_warning: u32,
    /// Index of its first registration.
    #[serde(default)]
    pub created: u64,
    /// Index of its last change.
    #[serde(default)]
    pub modified: u64,
}

/// How a check is done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
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
    pub const fn name(&self) -> &'static str {
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
pub struct HttpCheck {
    /// `http://…` or `https://…`.
    pub url: String,
    /// Empty: GET.
    #[serde(default)]
    pub method: String,
    /// In the order of their names.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// What is sent.
    #[serde(default)]
    pub body: String,
    /// Any certificate will do.
    #[serde(default)]
    pub insecure: bool,
    /// The name its certificate must bear; empty: the URL's host.
    #[serde(default)]
    pub server_name: String,
    /// A redirect is the answer.
    #[serde(default)]
    pub no_redirects: bool,
}

/// The fields of a gRPC check.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrpcCheck {
    /// `host:port`.
    pub address: String,
    /// Of gRPC; empty: the whole server.
    #[serde(default)]
    pub service: String,
    /// Whether it speaks TLS.
    #[serde(default)]
    pub tls: bool,
    /// Any certificate will do.
    #[serde(default)]
    pub insecure: bool,
    /// The name its certificate must bear; empty: the address's host.
    #[serde(default)]
    pub server_name: String,
}

/// A key's value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair {
    /// Its bytes.
    #[serde(with = "base64_bytes")]
    pub value: Vec<u8>,
    /// The client's own.
    #[serde(default)]
    pub flags: u64,
    /// Index of its first write.
    #[serde(default)]
    pub created: u64,
    /// Index of its last write.
    #[serde(default)]
    pub modified: u64,
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
