//! `lb drain SERVICE BACKEND`.

use super::{Context, Failure, Run, change::Target};
use crate::api::types::BackendChange;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    target: Target,
}

impl Run for Args {
    fn run(self, context: &Context) -> Result<(), Failure> {
        self.target.change(context, BackendChange { drain: Some(true), weight: None })
    }
}
