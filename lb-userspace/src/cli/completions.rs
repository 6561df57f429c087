//! `lb completions SHELL`.

use clap::CommandFactory;
use clap_complete::{Shell, generate};

use super::{Cli, Context, Failure, Run, output::print};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// For which shell
    shell: Shell,
}

impl Run for Args {
    fn run(self, _: &Context) -> Result<(), Failure> {
        let mut script = Vec::new();
        generate(self.shell, &mut Cli::command(), "lb", &mut script);
        print(&String::from_utf8_lossy(&script))
    }
}
