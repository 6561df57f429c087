//! `lb weight SERVICE BACKEND N` and `… --reset`.

use super::{Context, Failure, Run, change::Target};
use crate::api::types::BackendChange;

#[derive(Debug, clap::Args)]
#[command(
    override_usage = "lb weight <SERVICE> <BACKEND> <WEIGHT>\n       lb weight <SERVICE> <BACKEND> --reset"
)]
pub(super) struct Args {
    #[command(flatten)]
    target: Target,
    /// 0 to 65535; 0 takes no new connections
    #[arg(required_unless_present = "reset", conflicts_with = "reset")]
    weight: Option<u16>,
    /// Take the configured weight again
    #[arg(long)]
    reset: bool,
}

impl Run for Args {
    fn run(self, context: &Context) -> Result<(), Failure> {
        self.target.change(context, BackendChange { drain: None, weight: Some(self.weight) })
    }
}
