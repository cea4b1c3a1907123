//! `cargo xtask bench`: the benchmark driver in `benches/`, built with optimizations.

use std::ffi::OsString;
use std::process::Command;

use anyhow::Result;
use clap::Args;

use crate::command::run as execute;
use crate::setup;
use crate::workspace::Workspace;

/// The driver has its own options; `cargo xtask bench --help` shows them.
#[derive(Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Options {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    setup::environment_with_core(workspace)?;
    execute(&mut workspace.cargo(["build", "--release", "--package", "pyproc-bench"]))?;
    // Not by `cargo run`: files are named from where the caller stands, and no cargo waits beside what is measured.
    let driver = workspace.target_dir().join("release/pyproc-bench");
    let mut driver = Command::new(driver);
    driver.args(&options.arguments);
    driver.env("PYPROC_PYTHON", workspace.python());
    driver.env(
        "PYPROC_BENCH_BARE_PYTHON",
        setup::bare_environment(workspace)?,
    );
    execute(&mut driver)
}
