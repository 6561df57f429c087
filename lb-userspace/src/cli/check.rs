//! `lb check -c FILE`.

use std::path::PathBuf;

use super::{Context, Failure, Run};
use crate::provider;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The main configuration file
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
}

impl Run for Args {
    fn run(self, _: &Context) -> Result<(), Failure> {
        let checked = provider::check(&self.config);
        for warning in &checked.warnings {
            eprintln!("warning: {warning}");
        }
        if checked.faults.is_empty() {
            return Ok(());
        }
        let lines: Vec<String> = checked.faults.iter().map(ToString::to_string).collect();
        Err(Failure::Input(lines.join("\n")))
    }
}
