//! What the daemon sees of the host's network, and what it puts there.

mod interfaces;
mod kit;
mod neighbours;
mod routes;
mod sniff;
mod vips;
