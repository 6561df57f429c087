//! Everything that needs the kernel: packet tables through the real programs,
//! and the real daemon in network namespaces.

mod chapter;
mod control;
mod demo;
mod discovery;
mod events;
mod harness;
mod kernel;
mod l7;
mod net;
mod packets;
mod traffic;
