//! `cargo xtask bench`: the benchmark driver in `benches/`, built with optimizations.

use std::env;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::command::run as execute;
use crate::setup;
use crate::workspace::Workspace;

#[derive(Args)]
pub(crate) struct Options {
    /// How long each row is measured, in seconds, over all rounds together.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Write the rows to this file too, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    setup::main_environment(workspace)?;
    let mut cargo = workspace.cargo(["bench", "--package", "pyproc", "--bench", "calls"]);
    cargo.args(["--features", "msgpack", "--", "--seconds"]);
    cargo.arg(options.seconds.to_string());
    if let Some(file) = &options.json {
        // Cargo starts the driver in the package's directory, not in the caller's.
        cargo.arg("--json").arg(env::current_dir()?.join(file));
    }
    cargo.env("PYPROC_PYTHON", workspace.python());
    execute(&mut cargo)
}
