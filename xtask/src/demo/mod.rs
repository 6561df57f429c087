//! `cargo xtask demo`: lb at work between a client and three backends, each in
//! a network namespace of its own.

mod clients;
mod control;
mod held;
mod play;
mod screen;
mod stage;
mod steps;
mod stop;

use std::env;
use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::Args;

use crate::build;
use crate::setup::{self, Purpose};

#[derive(Args)]
pub(crate) struct Options {
    /// Leaves it up at the end, and prints how to look around and how to take it down
    #[arg(long)]
    keep: bool,
    /// Plays it: what the command itself starts, once everything is built
    #[arg(long, hide = true)]
    play: bool,
}

/// Builds lb (`$LB_BIN`, where given, is taken as it is) and plays the demo in
/// a process of its own, which cleans up whatever becomes of this one.
///
/// # Errors
/// One sentence on why this machine can't, or what did not go as it should.
pub(crate) fn run(options: &Options) -> Result<()> {
    if options.play {
        return play::run(options.keep);
    }
    let lb = match env::var_os("LB_BIN") {
        Some(lb) => {
            setup::run_built(Purpose::Demo)?;
            let lb = PathBuf::from(lb);
            ensure!(lb.is_file(), "LB_BIN names {}, which is no file", lb.display());
            lb
        }
        None => {
            setup::run(Purpose::Demo)?;
            println!("building lb: a minute or two the first time, seconds later on");
            build::debug()?
        }
    };
    control::run(&lb, options.keep)
}
