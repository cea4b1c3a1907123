//! The native core of the workers, in `.venv`.

use std::env;
use std::ffi::OsString;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::command::{read, run};
use crate::setup::HostPython;
use crate::step::{Context, Outcome};
use crate::workspace::Workspace;

/// Names the loop that workers run where a program does not say.
const CORE: &str = "PYPROC_CORE";

/// Builds the core with maturin and installs it into `.venv`, as a user does it: by pip. What the
/// build needs is in that environment already.
pub(crate) fn install(workspace: &Workspace) -> Result<()> {
    let environment = workspace.path(".venv");
    let mut pip = HostPython::find(workspace)?.pip(&environment);
    pip.args(["install", "--quiet", "--no-build-isolation", "--no-deps"]);
    pip.args(["--force-reinstall"]);
    pip.arg(workspace.path("pyproc-py/native"));
    pip.env("PATH", path_with(environment.join("bin").into_os_string())?);
    run(&mut pip)
}

pub(crate) fn step(context: &mut Context) -> Result<Outcome> {
    let workspace = &context.workspace;
    install(workspace)?;
    let mut import = workspace.program(workspace.python());
    import.args(["-c", "import pyproc_native; print(pyproc_native.VERSION)"]);
    let version = read(&mut import)?;
    ensure!(
        version.trim() == env!("CARGO_PKG_VERSION"),
        "the core that was installed is of version {version}"
    );
    // Its Python side is checked against a description of it that is written by hand.
    let mut stubtest = workspace.program(workspace.python());
    stubtest.args(["-m", "mypy.stubtest", "--ignore-missing-stub"]);
    run(stubtest.arg("pyproc_native"))?;
    Ok(Outcome::Passed)
}

/// Has the workers of a command's tests run the core, in whatever `python3` they find first: that
/// of `.venv`.
pub(crate) fn require(workspace: &Workspace, command: &mut Command) -> Result<()> {
    choose(workspace, command, "native")
}

/// The same for the loop of this name.
pub(crate) fn choose(workspace: &Workspace, command: &mut Command, core: &str) -> Result<()> {
    let programs = workspace.path(".venv/bin");
    command.env(CORE, core);
    command.env("PATH", path_with(programs.into_os_string())?);
    Ok(())
}

/// Has the workers of a command's tests run the pure loop.
pub(crate) fn exclude(command: &mut Command) {
    command.env(CORE, "pure");
}

/// The search path with another directory in front: pip starts maturin by its name.
fn path_with(first: OsString) -> Result<OsString> {
    let rest = env::var_os("PATH").unwrap_or_default();
    let directories = [first.into()].into_iter().chain(env::split_paths(&rest));
    env::join_paths(directories).context("a directory of PATH has a colon in its name")
}
