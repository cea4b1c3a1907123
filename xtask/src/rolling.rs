//! `cargo xtask rolling`: a pool that is restarted, recycled and resized under load, for as many calls as one likes.

use anyhow::Result;
use clap::Args;

use crate::command::run as execute;
use crate::workspace::Workspace;

#[derive(Args)]
pub(crate) struct Options {
    /// How many calls are made. Not one of them may fail.
    #[arg(long, default_value_t = 100_000)]
    calls: u64,
}

pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let mut command = workspace.cargo(["test", "--package", "pyproc", "--test", "faults"]);
    command.args(["--", "fault_72_rolling", "--nocapture"]);
    command.env("PYPROC_ROLLING_CALLS", options.calls.to_string());
    execute(&mut command)
}
