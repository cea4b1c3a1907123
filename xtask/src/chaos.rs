//! `cargo xtask chaos` and `cargo xtask soak`: the pools under load in `tests/chaos/`, built with optimizations.

use std::ffi::OsString;
use std::process::Command;

use anyhow::Result;
use clap::Args;

use crate::command::run as execute;
use crate::setup;
use crate::step::{Context, Outcome};
use crate::workspace::Workspace;

/// The program has its own options; `--help` shows them.
#[derive(Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Options {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// Few enough for the step to end within 15 s. Rare acts of the adversary are left to longer runs.
const KILLS: &str = "60";

pub(crate) fn chaos(workspace: &Workspace, options: &Options) -> Result<()> {
    run(workspace, "chaos", options)
}

pub(crate) fn soak(workspace: &Workspace, options: &Options) -> Result<()> {
    run(workspace, "soak", options)
}

/// A short run, always the same one, in the build of the other tests.
pub(crate) fn step(context: &mut Context) -> Result<Outcome> {
    let workspace = &context.workspace;
    execute(&mut workspace.cargo(["build", "--package", "pyproc-chaos"]))?;
    let mut program = program(workspace, "debug");
    execute(program.args(["chaos", "--kills", KILLS, "--seed", "1"]))?;
    Ok(Outcome::Passed)
}

fn run(workspace: &Workspace, command: &str, options: &Options) -> Result<()> {
    setup::environment_with_core(workspace)?;
    execute(&mut workspace.cargo(["build", "--release", "--package", "pyproc-chaos"]))?;
    let mut program = program(workspace, "release");
    execute(program.arg(command).args(&options.arguments))
}

/// Not by `cargo run`: files are named from where the caller stands.
fn program(workspace: &Workspace, profile: &str) -> Command {
    let program = workspace.target_dir().join(profile).join("pyproc-chaos");
    let mut program = Command::new(program);
    program.env("PYPROC_PYTHON", workspace.python());
    program
}
