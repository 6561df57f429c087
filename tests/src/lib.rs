//! The harness of lb's tests, demo and benchmarks: network namespaces of their
//! own, links between them, servers and clients inside, and the real `lb`.
//!
//! Everything made here carries the name of its process (`lbt-<pid>-…`), goes
//! away on drop, and is removed by [`reaper`] when its process died before.

pub mod bytecode;
pub mod client;
pub mod daemon;
pub mod docker;
pub mod engine;
pub mod lab;
pub mod link;
pub mod netns;
pub mod pattern;
pub mod reaper;
pub mod server;
pub mod shell;

pub use daemon::Daemon;
pub use docker::Docker;
pub use lab::{Back, Front, Lab, Shape};
pub use netns::Namespace;
