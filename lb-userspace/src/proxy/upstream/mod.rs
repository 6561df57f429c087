//! Towards servers: connections, kept alive by each worker for itself, and requests over them.

mod body;
mod conn;
mod connect;
mod pool;
mod send;
mod upload;
pub(crate) mod write;

pub(crate) use body::UpstreamBody;
pub(crate) use conn::Conn;
pub(crate) use connect::{ConnectError, connect};
pub(crate) use pool::{ByWord, Pool};
pub(crate) use send::{SendError, Sent, send};
