//! The admin API: Traefik's paths and shapes, and lb's own.

mod counts;
mod daemon;
mod encode;
mod error;
mod events;
pub(crate) mod find;
mod routes;
pub(crate) mod rows;
#[cfg(test)]
pub(crate) mod samples;
mod serve;
pub(crate) mod time;
mod traefik;
mod troubles;
pub mod types;

pub use counts::{BackendCount, Counts};
pub use daemon::{Command, Daemon, FlowQuery, Reply};
pub(crate) use encode::encode;
pub use error::ApiError;
pub use events::EventQuery;
pub use routes::{metrics_only, private, public};
pub use serve::{bind_tcp, bind_unix, serve, serve_until};
pub use troubles::Troubles;

#[cfg(test)]
mod tests;
