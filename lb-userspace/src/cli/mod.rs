//! The command line. Each command is one file with an `Args` that implements
//! [`Run`], and one line in [`commands!`] below.

mod change;
mod client;
mod failure;
mod output;
mod table;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use failure::Failure;

use crate::kernel::Paths;
use client::Client;
use output::Format;

/// Declares the commands: their modules, the clap enum and the dispatch.
macro_rules! commands {
    ($($(#[doc = $doc:literal])+ $module:ident => $name:ident,)+) => {
        $(mod $module;)+

        #[derive(Debug, Subcommand)]
        enum Command {
            $($(#[doc = $doc])+ $name($module::Args),)+
        }

        impl Command {
            fn run(self, context: &Context) -> Result<(), Failure> {
                match self {
                    $(Self::$name(args) => args.run(context),)+
                }
            }
        }
    };
}

commands! {
    /// Run the daemon in the foreground
    run => Run,
    /// Validate a configuration without touching the kernel
    check => Check,
    /// Show what runs
    status => Status,
    /// Show services
    services => Services,
    /// Show backends: state, weight, connections, and why one is unhealthy
    backends => Backends,
    /// Show routers and who forwards for them
    routers => Routers,
    /// Give a backend no new connections
    drain => Drain,
    /// Take `drain` back
    undrain => Undrain,
    /// Change a backend's weight until it is reset
    weight => Weight,
    /// Move traffic step by step, and back where it goes wrong
    shift => Shift,
    /// Read the configuration files now
    reload => Reload,
    /// Follow what happens: health, weights, drains, reloads, certificates, ejections, …
    events => Events,
    /// Say what would become of a flow or a request, and why
    explain => Explain,
    /// Show or export what lb's own registry holds
    registry => Registry,
    /// Show the kernel's connection table
    flows => Flows,
    /// Take lb's programs, pins and addresses off the host
    detach => Detach,
    /// Print completions for a shell
    completions => Completions,
    /// Print the manual page
    man => Man,
}

/// A command's arguments and what it does with them.
trait Run {
    fn run(self, context: &Context) -> Result<(), Failure>;
}

/// A layer 4 load balancer whose data path is in the kernel.
#[derive(Debug, Parser)]
#[command(name = "lb", version, max_term_width = 100, after_help = EXIT_CODES)]
struct Cli {
    #[command(flatten)]
    context: Context,
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 1 the input is at fault, 2 usage, \
                          3 no daemon answers, 4 the daemon refused.";

/// What every command takes.
#[derive(Debug, clap::Args)]
struct Context {
    /// How to print
    #[arg(short, long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
    /// Which daemon: names its socket, pins and state
    #[arg(long, global = true, default_value = "default", value_parser = paths, value_name = "NAME")]
    instance: Paths,
}

impl Context {
    fn client(&self) -> Client {
        Client::new(&self.instance)
    }
}

fn paths(name: &str) -> Result<Paths, String> {
    Paths::new(name).map_err(|e| e.to_string())
}

/// Parses the arguments, runs the command and reports its failure.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.command.run(&cli.context) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::from(failure.code())
        }
    }
}

#[cfg(test)]
mod tests;
