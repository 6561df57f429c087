//! What happens, told: server-sent events, and NATS by its real server.

mod bucket;
mod churn;
mod flood;
pub(crate) mod kit;
mod requests;
mod sse;
mod stream;
mod watched;
