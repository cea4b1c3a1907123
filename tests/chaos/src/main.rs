//! Real pools under load while their workers are killed, stopped, starved and confused, and the proof that no call was
//! lost, ended twice, ran twice or got another's reply. Started by `cargo xtask chaos` and `cargo xtask soak`.
//!
//! Six pools, one for each codec and each loop and two with async functions, serve calls of mixed functions. An adversary per slot does one act after
//! the other to whoever is in it; what it does is a function of the seed. The ledger writes down every call and its end;
//! the workers append every execution to a journal, which survives them. In the end the two must agree.

mod act;
mod adversary;
mod budget;
mod clock;
mod deaths;
mod findings;
mod fleet;
mod inventory;
mod journal;
mod ledger;
mod load;
mod options;
mod plan;
mod process;
mod progress;
mod report;
mod run;
mod slope;
mod team;
mod watch;

use std::process::ExitCode;

use clap::Parser as _;

use crate::options::Cli;

fn main() -> ExitCode {
    match run::run(&Cli::parse().command) {
        Ok(report) if report.is_clean() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
