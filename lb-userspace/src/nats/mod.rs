//! lb as a client of NATS: events go to a JetStream stream, `lb.api.>` is answered, and drains and
//! weights that are asked for there reach all nodes through a key-value bucket.
//!
//! A [`link::Link`] is one connection. Everything that goes on over it is a session, which ends
//! when the connection breaks and is begun anew, all of it, over the next one: so that what was
//! missed meanwhile is caught up on in one way alone. Nothing here is waited for by the writer.

mod agreed;
pub(crate) mod bucket;
pub(crate) mod key;
pub(crate) mod link;
mod publish;
mod requests;
mod runtime;
mod session;
mod side;

pub(crate) use agreed::{Agreed, KEY as AGREED};
pub(crate) use side::{Needs, Side, State};
