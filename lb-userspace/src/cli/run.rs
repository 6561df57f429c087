//! `lb run -c FILE`.

use std::path::PathBuf;

use super::{Context, Failure, Run};
use crate::daemon::{self, Options, RunError};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The main configuration file
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
    /// Take the kernel path down, too, when a signal ends the daemon
    #[arg(long)]
    detach_on_exit: bool,
    /// Take the place of the daemon that runs, if one does: with its sockets, and no connection lost
    #[arg(long)]
    takeover: bool,
}

impl Run for Args {
    fn run(self, context: &Context) -> Result<(), Failure> {
        let options = Options {
            config: self.config,
            paths: context.instance.clone(),
            detach_on_exit: self.detach_on_exit,
            takeover: self.takeover,
        };
        daemon::run(&options).map_err(|error| match error {
            RunError::Config(_) => Failure::Input(error.to_string()),
            other => Failure::Refused(other.to_string()),
        })
    }
}
