//! `lb man`.

use clap::CommandFactory;

use super::{Cli, Context, Failure, Run, output::print};
use crate::config::names::nearest;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Of this command; of lb itself when left out
    command: Option<String>,
}

impl Run for Args {
    fn run(self, _: &Context) -> Result<(), Failure> {
        let mut lb = Cli::command();
        lb.build();
        let page = match &self.command {
            None => lb,
            Some(name) => lb
                .find_subcommand(name)
                .cloned()
                .ok_or_else(|| Failure::Usage(unknown(&Cli::command(), name)))?,
        };
        let mut text = Vec::new();
        clap_mangen::Man::new(page)
            .render(&mut text)
            .map_err(|e| Failure::Refused(format!("can't print the page: {e}")))?;
        print(&String::from_utf8_lossy(&text))
    }
}

fn unknown(lb: &clap::Command, name: &str) -> String {
    match nearest(name, lb.get_subcommands().map(clap::Command::get_name)) {
        Some(hint) => format!("no command {name:?}; did you mean {hint:?}?"),
        None => format!("no command {name:?}; see `lb --help`"),
    }
}
