//! `lb explain`.

use serde::{Deserialize, Serialize};

/// `POST /api/explain`: a flow that does not exist yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExplainQuery {
    /// `tcp` or `udp`.
    pub proto: String,
    /// `IP:PORT` of the client.
    pub src: String,
    /// `IP:PORT` it connects to.
    pub dst: String,
}

/// The answer to [`ExplainQuery`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Explained {
    /// `forward`, `pass`, `answer` or `drop`.
    pub action: String,
    /// In a sentence.
    pub summary: String,
    /// Why dropped or answered: a label of `lb_l4_drops_total`.
    pub reason: Option<String>,
    /// Entry point it comes in by.
    pub entry_point: Option<String>,
    /// `name@provider`.
    pub router: Option<String>,
    /// `name@provider`.
    pub service: Option<String>,
    /// How a backend is chosen.
    pub algorithm: Option<String>,
    /// `IP:PORT`.
    pub backend: Option<String>,
    /// Whether a flow of that tuple exists, and its state.
    pub flow: Option<String>,
    /// `IP:PORT` that the backend would see.
    pub nat: Option<String>,
    /// Interface it leaves by.
    pub interface: Option<String>,
}

/// `POST /api/explain/http`: a request that is not sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExplainHttpQuery {
    /// `GET`.
    pub method: String,
    /// `http://HOST:PORT/PATH`, `https://…`.
    pub url: String,
    /// `NAME: VALUE`; a `Host` takes the place of the URL's.
    #[serde(default)]
    pub headers: Vec<String>,
    /// Address of the client.
    #[serde(default)]
    pub client: Option<String>,
}

/// The answer to [`ExplainHttpQuery`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExplainedHttp {
    /// `forward`, `answer` (lb itself), `kernel` (not by the proxy) or `none` (nobody listens).
    pub action: String,
    /// In a sentence.
    pub summary: String,
    /// What lb itself would answer.
    pub status: Option<u16>,
    /// Why: a label of `lb_proxy_replies_total` or `lb_entrypoint_refused_total`.
    pub reason: Option<String>,
    /// Entry point it comes in by.
    pub entry_point: Option<String>,
    /// `name@provider`.
    pub router: Option<String>,
    /// The router's.
    pub rule: Option<String>,
    /// The router's, as it is in force.
    pub priority: Option<i64>,
    /// Routers of higher priority for the same host, or for any, whose rules don't match.
    pub passed_over: Vec<PassedOver>,
    /// How many more of them there are.
    pub more_passed_over: usize,
    /// `name@provider (kind)`, in the order in which a request meets them.
    pub middlewares: Vec<String>,
    /// `name@provider`.
    pub service: Option<String>,
    /// How a server is chosen, or a service among others.
    pub algorithm: Option<String>,
    /// The service's, or those of the services that it is made of.
    pub servers: Vec<ExplainedServer>,
}

/// A router in [`ExplainedHttp`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PassedOver {
    /// `name@provider`.
    pub router: String,
    /// As it is in force.
    pub priority: i64,
    /// Its rule.
    pub rule: String,
}

/// A server in [`ExplainedHttp`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExplainedServer {
    /// `name@provider`.
    pub service: String,
    /// As configured.
    pub url: String,
    /// `up`, `down`, …; `drained`, `leaving` or `ejected` behind it.
    pub state: String,
    /// In force.
    pub weight: u32,
    /// Requests that it has now.
    pub active: u32,
}
