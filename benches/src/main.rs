//! What a call costs, side by side with floors and peers, in one run. Started by `cargo xtask bench`.
//!
//! The program is three programs. Without a subcommand it is the *driver*: it plans rows, hands out rounds, and
//! reports. Each subject lives in a *child* of the driver, because subjects differ in where their threads may run, and
//! because one subject's threads, sockets and memory must not be another's. `echo` is the far side of a floor.
//!
//! Subjects take turns in short rounds, so that a machine that changes its speed changes it for all of them; every
//! reply is verified; processor time is counted on both sides.

mod child;
mod compare;
mod cores;
mod cpu;
mod document;
mod driver;
mod html;
mod load;
mod machine;
mod options;
mod protocol;
mod record;
mod row;
mod scenario;
mod spec;
mod statistics;
mod table;
mod targets;

use std::process::ExitCode;

use clap::Parser as _;

use crate::options::{Cli, Role};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.role {
        None => match &cli.options.compare {
            Some(commit) => compare::run(commit, &cli.options),
            None => driver::run(&cli.options),
        },
        Some(Role::Child { spec }) => child::run(&spec),
        Some(Role::Echo) => child::echo(),
        Some(Role::Items) => child::items(),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
