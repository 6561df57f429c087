//! `cargo xtask COMMAND`: set-up, build, demo, test and bench of lb.

mod bench;
mod build;
mod demo;
mod dist;
#[allow(dead_code, reason = "lb-userspace's build script uses the rest")]
mod ebpf;
mod guided;
mod setup;
mod test;
mod tidy;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use setup::Purpose;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Set-up, build, demo, test and bench of lb")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Installs what building and testing lb needs; the other commands call it themselves
    Setup,
    /// Builds lb with its kernel programs
    Build {
        /// Optimised
        #[arg(long)]
        release: bool,
        #[command(flatten)]
        optimised: Optimised,
    },
    /// Shows lb at work between a client and three backends, in under a minute
    Demo(demo::Options),
    /// Runs every check and test there is, and fails if any can't run
    Test(test::Options),
    /// Measures what packets, connections and changes cost, and holds them to marks
    Bench(bench::Options),
    /// Checks the invariants of ARCHITECTURE.md
    Tidy,
    /// Packs the optimised binary, examples, unit file and documentation
    Dist(Optimised),
}

/// How the optimised binary is made.
#[derive(clap::Args)]
struct Optimised {
    /// Optimised for the ways that requests take under the loads of the bench: built twice, for about an
    /// hour, on a machine that the bench can run on
    #[arg(long)]
    guided: bool,
    /// What the optimised binary has beyond the default: otel (a debug build has everything)
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    features: Vec<String>,
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("xtask: {fault:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Setup => {
            setup::run(Purpose::Bench)?;
            println!("all that lb needs is here");
            Ok(())
        }
        Command::Build { release, optimised } => {
            let (guided, features) = (optimised.guided, &optimised.features);
            let built = match release || guided {
                true => build::optimised(guided, features),
                false => build::debug(),
            };
            built.map(drop)
        }
        Command::Demo(options) => demo::run(&options),
        Command::Test(options) => test::run(&options),
        Command::Bench(options) => bench::run(&options),
        Command::Tidy => tidy::run(),
        Command::Dist(optimised) => dist::run(optimised.guided, &optimised.features),
    }
}
