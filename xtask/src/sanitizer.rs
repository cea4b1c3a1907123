//! The address sanitizer over every module with unsafe code (`UNSAFE_ALLOWED` in `sources`): it ends the
//! process at the first access to memory that was not allocated, or is not any more.
//!
//! The sanitizer is behind an unstable flag, which a stable compiler takes with `RUSTC_BOOTSTRAP`,
//! and its flags go to every crate, so what is built here lies in a directory of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::command::{read, run, tee};
use crate::lint::host;
use crate::python;
use crate::step::{Context, Outcome};
use crate::workspace::Workspace;

/// Unit tests of the runtime that touch its unsafe modules.
const UNITS: [&str; 2] = ["lane::", "state_page::"];

/// Scenarios in which every byte goes through the lane, in all sizes.
const SCENARIOS: [&str; 2] = ["json_protocol::", "ledger::"];

/// Tests of the Python package in which a worker with the native core reads, writes, maps and waits.
const PYTHON_TESTS: [&str; 5] = [
    "tests/test_interrupt.py",
    "tests/test_lane.py",
    "tests/test_large.py",
    "tests/test_state_page.py",
    "tests/test_worker.py",
];

/// Leaks are looked for elsewhere, and an interpreter never gives everything back. What is freed is
/// kept for a while, in order to find those who use it; not so much of it that tests of how much
/// memory workers take would see it.
const OPTIONS: (&str, &str) = ("ASAN_OPTIONS", "detect_leaks=0:quarantine_size_mb=1");

/// The socket's lane and the state page, on the host's side.
pub(crate) fn runtime(context: &mut Context) -> Result<Outcome> {
    let toolchain = match Toolchain::find(&context.workspace)? {
        Ok(toolchain) => toolchain,
        Err(missing) => return Ok(Outcome::Skipped(missing)),
    };
    for (target, filters) in [("--lib", &UNITS[..]), ("--test=scenarios", &SCENARIOS)] {
        let mut tests = toolchain.cargo(&context.workspace, "test");
        tests.args(["--package", "pyproc-runtime", target, "--"]);
        tests.args(filters).env(OPTIONS.0, OPTIONS.1);
        let count = context.tally.add_cargo(&tee(&mut tests)?);
        ensure!(count > 0, "no test ran");
    }
    Ok(Outcome::Passed)
}

/// The native core, in workers whose interpreter takes all of its memory from the sanitizer.
///
/// A module that an interpreter loads cannot bring the sanitizer's runtime along: it must be there
/// before the first allocation. That of the C compiler is of the same make.
pub(crate) fn native(context: &mut Context) -> Result<Outcome> {
    let workspace = &context.workspace;
    let toolchain = match Toolchain::find(workspace)? {
        Ok(toolchain) => toolchain,
        Err(missing) => return Ok(Outcome::Skipped(missing)),
    };
    let Some(preloaded) = runtime_of_c(workspace) else {
        return Ok(Outcome::Skipped("`cc` knows no libasan.so".into()));
    };
    let mut build = toolchain.cargo(workspace, "build");
    build.args(["--package", "pyproc-native"]);
    run(build.env("PYO3_PYTHON", workspace.python()))?;

    let built = directory(workspace)
        .join(&toolchain.host)
        .join("debug/libpyproc_native.so");
    let module = directory(workspace).join("module");
    fs::create_dir_all(&module)?;
    fs::copy(&built, module.join("pyproc_native.so"))
        .with_context(|| format!("cannot copy {}", built.display()))?;

    let mut import = instrumented(workspace, &preloaded, &module);
    import.args(["-c", "import pyproc_native; print(pyproc_native.__file__)"]);
    let found = read(&mut import)?;
    ensure!(
        Path::new(found.trim()).starts_with(&module),
        "workers would run the core in {found}"
    );
    let mut pytest = instrumented(workspace, &preloaded, &module);
    pytest.env("PYPROC_TEST_CORES", "native");
    pytest.args(["-m", "pytest", "-q", "-p", "no:cacheprovider"]);
    pytest.args(PYTHON_TESTS);
    let output = tee(&mut pytest)?;
    ensure!(context.tally.add_pytest(&output) > 0, "no test ran");
    Ok(Outcome::Passed)
}

/// An interpreter that has the sanitizer under it and finds the instrumented core first.
fn instrumented(workspace: &Workspace, preloaded: &Path, module: &Path) -> Command {
    let mut python = python::in_package(workspace, &workspace.python());
    python.env("LD_PRELOAD", preloaded);
    python.env("PYTHONPATH", module);
    // An allocator of its own would hide from the sanitizer what objects are.
    python.env("PYTHONMALLOC", "malloc");
    python.env(OPTIONS.0, OPTIONS.1);
    python
}

/// A compiler that can instrument code for its host.
struct Toolchain {
    host: String,
}

impl Toolchain {
    /// The compiler in use, or what it lacks.
    fn find(workspace: &Workspace) -> Result<Result<Self, String>> {
        let version = read(workspace.program("rustc").arg("-vV"))?;
        let host = host(&version).context("`rustc -vV` names no host")?;
        let mut library = workspace.program("rustc");
        let library = read(library.args(["--print", "target-libdir"]))?;
        let is_runtime = |name: &str| name.contains("_rt.asan");
        let mut names = fs::read_dir(library.trim())?
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        if !host.contains("linux") || !names.any(|name| is_runtime(&name)) {
            let missing = format!("this toolchain has no address sanitizer for {host}");
            return Ok(Err(missing));
        }
        let host = host.to_owned();
        Ok(Ok(Self { host }))
    }

    fn cargo(&self, workspace: &Workspace, subcommand: &str) -> Command {
        // With a target named, what runs while it is built is not instrumented.
        let mut command = workspace.cargo([subcommand, "--target", &self.host]);
        command.env("RUSTC_BOOTSTRAP", "1");
        command.env("RUSTFLAGS", "-Zsanitizer=address");
        command.env("CARGO_TARGET_DIR", directory(workspace));
        command
    }
}

fn directory(workspace: &Workspace) -> PathBuf {
    workspace.target_dir().join("sanitizer")
}

/// The sanitizer's runtime as the C compiler brings it; it names it without a path if it has none.
fn runtime_of_c(workspace: &Workspace) -> Option<PathBuf> {
    let mut compiler = workspace.program("cc");
    let name = read(compiler.arg("-print-file-name=libasan.so")).ok()?;
    let path = PathBuf::from(name.trim());
    path.is_absolute().then_some(path)
}
