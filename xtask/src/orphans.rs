//! `cargo xtask orphans`: hosts with busy workers are killed with -9, as often as one likes.

use anyhow::Result;
use clap::Args;

use crate::command::run as execute;
use crate::workspace::Workspace;

#[derive(Args)]
pub(crate) struct Options {
    /// How often a host of each kind (with connected workers, with listening ones) is killed.
    #[arg(long, default_value_t = 200)]
    repeat: usize,
}

pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let mut command = workspace.cargo(["test", "--package", "pyproc", "--test", "orphans"]);
    command.args(["--", "fault_20", "--nocapture"]);
    command.env("PYPROC_ORPHANS_REPEAT", options.repeat.to_string());
    execute(&mut command)
}
