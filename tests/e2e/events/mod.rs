//! What happens, told: server-sent events, and NATS by its real server.

mod bucket;
pub(crate) mod kit;
mod requests;
mod sse;
mod stream;
