//! What the API asks of the daemon behind it.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::SystemTime,
};

use serde::Deserialize;
use tokio::sync::{mpsc, oneshot};

use super::{
    ApiError, Troubles,
    counts::Counts,
    types::{
        BackendChange, BackendRow, ExplainHttpQuery, ExplainQuery, Explained, ExplainedHttp,
        FlowRow, Reloaded, ShiftOrder, ShiftRow, Status,
    },
};
use crate::{
    events::Hub,
    model::{Id, Protocol, Snapshot},
    registry::View,
};

/// Reads of what is in force; none of them waits for the writer. Those that
/// say so may take a while and belong on a blocking thread.
pub trait Daemon: Send + Sync + 'static {
    /// The snapshot in force; the empty one of generation 0 before the first.
    fn snapshot(&self) -> Arc<Snapshot>;
    /// When the daemon started.
    fn started(&self) -> SystemTime;
    /// Everything that `lb status` shows. Blocking.
    fn status(&self) -> Result<Status, ApiError>;
    /// The kernel's counters. Blocking.
    fn counts(&self) -> Result<Counts, ApiError>;
    /// The kernel's connection table. Blocking.
    fn flows(&self, query: &FlowQuery) -> Result<Vec<FlowRow>, ApiError>;
    /// VIPs in the kernel, with their services.
    fn vips(&self) -> Vec<(SocketAddr, Protocol, Id)>;
    /// By address: why the kernel path can't reach a backend now.
    fn obstacles(&self) -> BTreeMap<IpAddr, String>;
    /// Routers and middlewares that don't serve as asked, and why. Blocking.
    fn troubles(&self) -> Troubles;
    /// What would become of a request. Blocking.
    fn explain_http(&self, query: &ExplainHttpQuery) -> Result<ExplainedHttp, ApiError>;
    /// Prometheus text. Blocking.
    fn metrics(&self) -> Result<String, ApiError>;
    /// What happens.
    fn events(&self) -> &Arc<Hub>;
    /// lb's own registry, where there is one.
    fn registry(&self) -> Option<View>;
    /// Whether the daemon is on its way out.
    fn is_stopping(&self) -> bool;
    /// Where changes go.
    fn commands(&self) -> &mpsc::Sender<Command>;
}

/// Where the writer answers a command.
pub type Reply<T> = oneshot::Sender<Result<T, ApiError>>;

/// A change, or a question that only the writer can answer.
#[derive(Debug)]
pub enum Command {
    /// Of weight or drain; answers with the backends as they are then.
    Change {
        /// The service in the operator's words.
        service: String,
        /// The backend in the operator's words.
        backend: String,
        /// What to change.
        change: BackendChange,
        /// To here.
        reply: Reply<Vec<BackendRow>>,
    },
    /// Reads the configuration files again.
    Reload {
        /// To here.
        reply: Reply<Reloaded>,
    },
    /// Begins to move traffic.
    Shift {
        /// The service in the operator's words.
        service: String,
        /// Whence, whither and how.
        order: ShiftOrder,
        /// To here.
        reply: Reply<ShiftRow>,
    },
    /// Ends that: takes it back.
    EndShift {
        /// The service in the operator's words.
        service: String,
        /// Whether weights become the configured ones.
        reset: bool,
        /// To here, with all that there are.
        reply: Reply<Vec<ShiftRow>>,
    },
    /// Runs a packet through the dry-run programs.
    Explain {
        /// Which.
        query: ExplainQuery,
        /// To here.
        reply: Reply<Explained>,
    },
    /// Takes everything off the host and ends the daemon.
    Detach {
        /// To here, with what was removed.
        reply: Reply<Vec<String>>,
    },
}

/// `GET /api/l4/flows?…`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FlowQuery {
    /// In the operator's words.
    pub service: Option<String>,
    /// `IP`, `IP:PORT` or `IP/LEN`.
    pub client: Option<String>,
    /// `IP` or `IP:PORT`.
    pub backend: Option<String>,
    /// A name of `lb_common::TcpState`.
    pub state: Option<String>,
    /// At most so many; 0 (the default) for all.
    pub limit: usize,
}
