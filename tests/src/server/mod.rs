//! Servers as threads inside a namespace, each telling its name. They can be
//! killed (listener gone, connections reset), stopped (connections live on) and
//! made to listen again.

pub mod echo;
pub mod http;
mod origin;
mod tcp;
pub mod udp;

pub use origin::{Hook, Origin};
pub use tcp::{Handler, TcpServer};
pub use udp::UdpEcho;
