//! The project's own commands: `cargo xtask setup`, `test`, `bench`, `chaos`, `soak`, `orphans`, `rolling` and `fuzz`.
//!
//! They run other programs and read what those print; nothing here links a crate of the project,
//! so that a broken crate can never take the commands away that would show it.

mod bench;
mod chaos;
mod command;
mod dependencies;
mod errors_table;
mod examples;
mod faults;
mod faults_table;
mod fuzz;
mod lint;
mod native;
mod orphans;
mod python;
mod readme;
mod rolling;
mod rust_tests;
mod sanitizer;
mod setup;
mod sources;
mod step;
mod tally;
mod test;
mod test_table;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

/// The project's own commands.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Noun,
}

#[derive(Subcommand)]
enum Noun {
    /// Make `.venv` with what the tests and the examples need.
    Setup(setup::Options),
    /// Run everything that CI runs.
    Test(test::Options),
    /// Measure calls beside floors and peers; `--help` shows the options.
    Bench(bench::Options),
    /// Kill, stop, starve and confuse the workers of pools under load; `--help` shows the options.
    Chaos(chaos::Options),
    /// The same for a given time, with an eye on memory and descriptors; `--help` shows the options.
    Soak(chaos::Options),
    /// Kill hosts with -9 and look who is left of their workers.
    Orphans(orphans::Options),
    /// Restart, recycle and resize a pool under load; `--calls N`.
    Rolling(rolling::Options),
    /// Run the fuzz targets of the protocol crate.
    Fuzz(fuzz::Options),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let workspace = Workspace::find();
    let result = match cli.command {
        Noun::Setup(options) => setup::run(&workspace, &options),
        Noun::Test(options) => test::run(workspace, &options),
        Noun::Bench(options) => bench::run(&workspace, &options),
        Noun::Chaos(options) => chaos::chaos(&workspace, &options),
        Noun::Soak(options) => chaos::soak(&workspace, &options),
        Noun::Orphans(options) => orphans::run(&workspace, &options),
        Noun::Rolling(options) => rolling::run(&workspace, &options),
        Noun::Fuzz(options) => fuzz::run(&workspace, &options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
