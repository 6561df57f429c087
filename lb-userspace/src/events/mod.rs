//! What happens, told: every change of health, weight, drain, configuration, certificate, ejection,
//! circuit, provider and shift becomes one [`Event`], which whoever listens gets as CloudEvents
//! JSON: server-sent events at `/api/events`, and NATS.
//!
//! The writer alone makes events, from its own changes: [`changes`] is the difference of two
//! snapshots, [`Watched`] that of what the proxy finds out by itself. The [`Hub`] keeps the latest
//! in a ring, of which each reader has a place of its own: no reader holds up the writer, and one
//! that falls behind loses what the ring has given up, which is counted.

mod changes;
mod event;
mod hub;
mod subject;
mod watched;

pub use changes::changes;
pub use event::{Event, What};
pub use hub::{Counts, Hub, Loss, Next, Place, Reader};
pub(crate) use subject::token;
pub use watched::Watched;
