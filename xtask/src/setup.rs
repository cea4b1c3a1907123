//! `cargo xtask setup`: `.venv` in the root of the checkout.
//!
//! The Python package itself is not installed there. The examples and the tests take `.venv` as
//! their interpreter, and a worker prefers an installed package to the embedded one: the tests
//! would silently run an old copy. The native core is installed: without it there is none.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;

use crate::command::{read, run as execute, succeeds};
use crate::native;
use crate::step::{Context, Outcome};
use crate::workspace::Workspace;

/// The oldest Python that the project supports.
const OLDEST: (u32, u32) = (3, 10);

/// Written last into an environment, with all that it was made from.
const STAMP: &str = "made-by-xtask";

/// The same for what `--bench` adds.
const PEERS_STAMP: &str = "made-by-xtask-bench";

#[derive(Args)]
pub(crate) struct Options {
    /// Install the peers of `bench --peers` into `.venv` too.
    #[arg(long)]
    bench: bool,
    /// Install cargo-fuzz too, if it is missing.
    #[arg(long)]
    fuzz: bool,
}

pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    environment_with_core(workspace)?;
    if options.bench {
        peers(workspace)?;
    }
    if options.fuzz && !succeeds(&mut workspace.cargo(["fuzz", "--version"])) {
        execute(&mut workspace.cargo(["install", "--locked", "cargo-fuzz"]))?;
    }
    Ok(())
}

pub(crate) fn step(context: &mut Context) -> Result<Outcome> {
    main_environment(&context.workspace)?;
    Ok(Outcome::Passed)
}

/// `.venv`, with everything that is not made here.
pub(crate) fn main_environment(workspace: &Workspace) -> Result<()> {
    let requirements = workspace.path("xtask/requirements.txt");
    environment(workspace, &workspace.path(".venv"), &requirements)?;
    Ok(())
}

/// The same with the native core as the sources are now, where that can be built.
pub(crate) fn environment_with_core(workspace: &Workspace) -> Result<()> {
    main_environment(workspace)?;
    if let Err(error) = native::install(workspace) {
        println!("the native core is not installed, workers run the pure loop: {error:#}");
    }
    Ok(())
}

/// Adds the peers of the benchmark to `.venv`.
fn peers(workspace: &Workspace) -> Result<()> {
    let requirements = workspace.path("xtask/requirements-bench.txt");
    let wanted = fs::read_to_string(&requirements)?;
    // Beside the environment's own stamp, and gone with it when the environment is made anew.
    let stamp = workspace.path(".venv").join(PEERS_STAMP);
    if fs::read_to_string(&stamp).unwrap_or_default() == wanted {
        return Ok(());
    }
    let mut pip = HostPython::find(workspace)?.pip(&workspace.path(".venv"));
    pip.args(["install", "--quiet", "--requirement"]);
    execute(pip.arg(requirements))?;
    Ok(fs::write(stamp, wanted)?)
}

/// An environment without any of the worker's optional packages; its interpreter is returned.
pub(crate) fn bare_environment(workspace: &Workspace) -> Result<PathBuf> {
    let requirements = workspace.path("xtask/requirements-bare.txt");
    let directory = workspace.target_dir().join("venv-bare");
    environment(workspace, &directory, &requirements)
}

/// Makes an environment unless the one that is there was made from the same things.
fn environment(workspace: &Workspace, directory: &Path, requirements: &Path) -> Result<PathBuf> {
    let host = HostPython::find(workspace)?;
    let wanted = fs::read_to_string(requirements)
        .with_context(|| format!("cannot read {}", requirements.display()))?;
    let stamp = format!("{}\n{wanted}", host.version);
    let python = directory.join("bin/python");
    let made = fs::read_to_string(directory.join(STAMP)).unwrap_or_default();
    if made == stamp && succeeds(Command::new(&python).arg("--version")) {
        println!("{} is up to date", directory.display());
        return Ok(python);
    }

    println!("making {} with {}", directory.display(), host.version);
    let mut pip = host.make(directory)?;
    pip.args(["install", "--quiet", "--requirement"]);
    execute(pip.arg(requirements))?;
    fs::write(directory.join(STAMP), stamp)?;
    Ok(python)
}

/// The Python that environments are made with: `PYTHON`, else `python3`.
pub(crate) struct HostPython {
    program: OsString,
    version: String,
}

impl HostPython {
    pub(crate) fn find(workspace: &Workspace) -> Result<Self> {
        let program = env::var_os("PYTHON").unwrap_or_else(|| "python3".into());
        let version = read(workspace.program(&program).arg("--version")).with_context(|| {
            format!(
                "the tests need Python {}.{} or newer as `{}` (set PYTHON to use another)",
                OLDEST.0,
                OLDEST.1,
                program.to_string_lossy()
            )
        })?;
        let version = version.trim().to_owned();
        let numbers =
            parse_version(&version).with_context(|| format!("what version is `{version}`?"))?;
        ensure!(
            numbers >= OLDEST,
            "`{}` is {version}, but {}.{} or newer is needed; set PYTHON to a newer one",
            program.to_string_lossy(),
            OLDEST.0,
            OLDEST.1
        );
        Ok(Self { program, version })
    }

    /// Makes an empty environment and returns the pip that installs into it.
    ///
    /// Some distributions ship `venv` without `ensurepip`; there the host's own pip does it.
    pub(crate) fn make(&self, directory: &Path) -> Result<Command> {
        if self.has("venv") && self.has("ensurepip") {
            execute(self.module("venv").arg("--clear").arg(directory))?;
            let mut pip = Command::new(directory.join("bin/python"));
            pip.args(["-m", "pip"]);
            return Ok(pip);
        }
        if !self.has("pip") {
            bail!(
                "`{}` has neither ensurepip nor pip; install one of them \
                 (Debian and Ubuntu: apt-get install python3-venv)",
                self.program.to_string_lossy()
            );
        }
        if self.has("venv") {
            let mut venv = self.module("venv");
            execute(venv.args(["--clear", "--without-pip"]).arg(directory))?;
        } else {
            let tool = directory.with_extension("tool");
            let mut pip = self.module("pip");
            pip.args(["install", "--quiet", "--upgrade", "virtualenv", "--target"]);
            execute(pip.arg(&tool))?;
            let mut virtualenv = self.module("virtualenv");
            virtualenv.args(["--clear", "--no-pip"]).arg(directory);
            execute(virtualenv.env("PYTHONPATH", &tool))?;
            fs::remove_dir_all(&tool)?;
        }
        let mut pip = self.module("pip");
        pip.arg("--python").arg(directory.join("bin/python"));
        Ok(pip)
    }

    /// The pip that installs into an environment that was made before.
    pub(crate) fn pip(&self, directory: &Path) -> Command {
        let python = directory.join("bin/python");
        if succeeds(Command::new(&python).args(["-m", "pip", "--version"])) {
            let mut pip = Command::new(python);
            pip.args(["-m", "pip"]);
            return pip;
        }
        let mut pip = self.module("pip");
        pip.arg("--python").arg(python);
        pip
    }

    fn module(&self, name: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["-m", name]);
        command
    }

    fn has(&self, module: &str) -> bool {
        let mut command = Command::new(&self.program);
        succeeds(command.args(["-c", &format!("import {module}")]))
    }
}

/// `Python 3.11.7` to `(3, 11)`.
fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.strip_prefix("Python ")?.split('.');
    let major = numbers.next()?.parse().ok()?;
    let minor = numbers.next()?.parse().ok()?;
    Some((major, minor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(parse_version("Python 3.11.7"), Some((3, 11)));
        assert_eq!(parse_version("Python 3.14.0rc1"), Some((3, 14)));
        assert_eq!(parse_version("pypy"), None);
        assert!(parse_version("Python 3.9.2") < Some(OLDEST));
    }
}
