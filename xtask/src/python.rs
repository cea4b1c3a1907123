//! The Python package: its tests, its types, its style, and that it can be installed.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};

use crate::command::{read, run, tee};
use crate::examples;
use crate::setup::{HostPython, bare_environment};
use crate::step::{Context, Outcome};
use crate::workspace::Workspace;

/// Python beside the package, checked with the package's configuration. The scripts in `tests/apps`
/// are left out: they are there to be wrong in many ways.
const SCRIPTS: [&str; 5] = [
    "--config",
    "pyproc-py/pyproject.toml",
    "examples",
    "benches",
    "tests/chaos",
];

pub(crate) fn ruff(context: &mut Context) -> Result<Outcome> {
    let workspace = &context.workspace;
    for subcommand in [&["check"][..], &["format", "--check"]] {
        let mut package = in_package(workspace, &workspace.python());
        run(package.args(["-m", "ruff"]).args(subcommand))?;
        let mut scripts = workspace.program(workspace.python());
        run(scripts.args(["-m", "ruff"]).args(subcommand).args(SCRIPTS))?;
    }
    Ok(Outcome::Passed)
}

pub(crate) fn mypy(context: &mut Context) -> Result<Outcome> {
    let mut mypy = in_package(&context.workspace, &context.workspace.python());
    run(mypy.args(["-m", "mypy", "--strict"]))?;
    Ok(Outcome::Passed)
}

pub(crate) fn pytest(context: &mut Context) -> Result<Outcome> {
    let python = context.workspace.python();
    run_pytest(context, &python, "pure native")
}

pub(crate) fn pytest_bare(context: &mut Context) -> Result<Outcome> {
    let python = bare_environment(&context.workspace)?;
    run_pytest(context, &python, "pure")
}

/// `cores` are the loops to test, whether or not they are there.
fn run_pytest(context: &mut Context, python: &Path, cores: &str) -> Result<Outcome> {
    let mut pytest = in_package(&context.workspace, python);
    pytest.env("PYPROC_TEST_CORES", cores);
    let output = tee(pytest.args(["-m", "pytest"]))?;
    ensure!(context.tally.add_pytest(&output) > 0, "no test ran");
    Ok(Outcome::Passed)
}

/// A Python in the package's directory, where the tools find their configuration and by it the
/// package. A `PYTHONPATH` would make workers take the checkout for an installed package.
pub(crate) fn in_package(workspace: &Workspace, python: &Path) -> Command {
    let mut command = Command::new(python);
    command.current_dir(workspace.path("pyproc-py"));
    command.env_remove("PYTHONPATH");
    command
}

/// Installs the package into an empty environment and runs the quickstart with it.
pub(crate) fn install(context: &mut Context) -> Result<Outcome> {
    let workspace = &context.workspace;
    let directory = workspace.target_dir().join("venv-installed");
    let mut pip = HostPython::find(workspace)?.make(&directory)?;
    run(pip
        .args(["install", "--quiet"])
        .arg(workspace.path("pyproc-py")))?;

    let python = directory.join("bin/python");
    let mut import = Command::new(&python);
    import.args(["-c", "import pyproc; print(pyproc.__file__)"]);
    let place = read(import.current_dir(&directory))?;
    ensure!(
        Path::new(place.trim()).starts_with(&directory),
        "`import pyproc` found {place}, which is not what was installed"
    );
    examples::quickstart_with(workspace, &python)?;
    Ok(Outcome::Passed)
}
