//! Spans of OpenTelemetry: one for each request, and below it one for each time a server is asked.
//!
//! Each is encoded once, by the worker whose request it is, and waits as bytes until a thread of its
//! own has sent it by OTLP. No request ever waits for that: where too many bytes wait, further spans
//! are counted and left out. What isn't recorded costs two fields of its head, and where no
//! `tracing` is configured a branch.

mod attributes;
mod context;
mod encode;
mod export;
mod queue;
mod trace;

pub(crate) use queue::{Batch, Reading, Spans};
pub(super) use trace::finished;
pub(crate) use trace::{Current, asked, asks, begin};
