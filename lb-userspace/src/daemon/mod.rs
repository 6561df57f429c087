//! `lb run`: one writer that takes inputs and brings snapshots into force, and
//! around it what produces inputs (files, checks, names, the network, the API)
//! and what reads snapshots (API, metrics).

mod command;
mod detach;
mod events;
mod explain;
mod flows;
mod forwarding;
mod input;
mod kernel;
mod leaving;
mod listeners;
mod log;
mod network;
mod notify;
mod path;
mod proxy;
mod register;
mod registry;
mod shared;
mod shift;
mod start;
mod status;
mod succession;
mod takeover;
mod writer;

use std::path::PathBuf;

pub use detach::{DetachError, detach};
pub use start::{RunError, run};

/// What `lb run` is told.
#[derive(Clone, Debug)]
pub struct Options {
    /// The main file.
    pub config: PathBuf,
    /// Of the instance.
    pub paths: crate::kernel::Paths,
    /// Whether a signal takes the kernel path down, too.
    pub detach_on_exit: bool,
    /// Whether to take the place of a daemon that runs the instance.
    pub takeover: bool,
}
