//! What the daemon sees of the host's network, and what it puts there.

mod interfaces;
pub(crate) mod kit;
mod neighbours;
mod routes;
pub(crate) mod sniff;
mod vips;
