//! The Rust tests, in the builds that users may choose.

use std::process::Command;

use anyhow::{Result, ensure};

use crate::command::{run, tee};
use crate::native;
use crate::step::{Context, Outcome};

/// The crates whose features are additive and may each be chosen alone: those of the codecs, and those given here.
const CRATES_WITH_FEATURES: [(&str, &[&str]); 3] = [
    ("pyproc-proto", &[]),
    ("pyproc-runtime", &["tower"]),
    ("pyproc", &["tower"]),
];

/// What `cargo xtask` runs, and nobody depends on.
const PROGRAMS: [&str; 2] = ["pyproc-bench", "pyproc-chaos"];

/// Beside the default set, which every other step builds, and all of them, which clippy builds.
const CODECS: [&str; 3] = ["", "json", "msgpack"];

/// What the macro accepts depends neither on the codec nor on the platform, and these tests build
/// every dependency once more.
const UI_TESTS: [&str; 2] = [
    "good_traits_compile_and_run",
    "mistakes_are_reported_where_they_are",
];

pub(crate) fn default_features(context: &mut Context) -> Result<Outcome> {
    let mut command = default_workspace(context);
    command.args(["--lib", "--bins", "--tests", "--examples"]);
    native::exclude(&mut command);
    counted(context, &mut command)
}

pub(crate) fn doctests(context: &mut Context) -> Result<Outcome> {
    let mut command = default_workspace(context);
    counted(context, command.arg("--doc"))
}

/// The benchmark and the chaos run are left out: they switch MessagePack on, for everything that is built beside them.
fn default_workspace(context: &Context) -> Command {
    let mut command = context.workspace.cargo(["test", "--workspace"]);
    for program in PROGRAMS {
        command.args(["--exclude", program]);
    }
    command
}

/// The programs' own tests; clippy has compiled them before.
pub(crate) fn programs(context: &mut Context) -> Result<Outcome> {
    let mut command = context.workspace.cargo(["test"]);
    for program in PROGRAMS {
        command.args(["--package", program]);
    }
    counted(context, &mut command)
}

pub(crate) fn msgpack(context: &mut Context) -> Result<Outcome> {
    let mut command = context.workspace.cargo(["test", "--package", "pyproc"]);
    command.args([
        "--features",
        "msgpack,tower",
        "--lib",
        "--tests",
        "--examples",
    ]);
    native::require(&context.workspace, &mut command)?;
    skip_ui_tests(&mut command);
    counted(context, &mut command)
}

/// The flag goes to every crate, so it needs a target directory of its own: alternating flags in
/// one directory would rebuild everything each time.
pub(crate) fn portable(context: &mut Context) -> Result<Outcome> {
    let mut command = context.workspace.cargo(["test"]);
    command.args(["--package", "pyproc-runtime", "--package", "pyproc"]);
    command.args(["--lib", "--tests"]);
    command.env("RUSTFLAGS", "--cfg pyproc_portable");
    native::require(&context.workspace, &mut command)?;
    let target = context.workspace.target_dir().join("portable");
    command.env("CARGO_TARGET_DIR", target);
    skip_ui_tests(&mut command);
    counted(context, &mut command)
}

/// The proofs and nothing else: with shuttle's locks, no other test runs. Here too the flag goes to
/// every crate. A little optimization pays within one run: it makes schedules seven times as quick.
pub(crate) fn concurrency(context: &mut Context) -> Result<Outcome> {
    let mut command = context.workspace.cargo(["test"]);
    command.args(["--package", "pyproc-runtime", "--lib", "proofs::"]);
    command.env("RUSTFLAGS", "--cfg pyproc_shuttle");
    command.env("CARGO_PROFILE_DEV_OPT_LEVEL", "1");
    let target = context.workspace.target_dir().join("concurrency");
    command.env("CARGO_TARGET_DIR", target);
    counted(context, &mut command)
}

pub(crate) fn features(context: &mut Context) -> Result<Outcome> {
    for (package, others) in CRATES_WITH_FEATURES {
        for features in CODECS.iter().chain(others) {
            let mut command = context.workspace.cargo(["clippy", "--package", package]);
            command.args(["--no-default-features", "--features", features]);
            run(command.args(["--", "-D", "warnings"]))?;
        }
    }
    Ok(Outcome::Passed)
}

fn skip_ui_tests(command: &mut Command) {
    command.arg("--");
    for name in UI_TESTS {
        command.args(["--skip", name]);
    }
}

fn counted(context: &mut Context, command: &mut Command) -> Result<Outcome> {
    let count = context.tally.add_cargo(&tee(command)?);
    ensure!(count > 0, "no test ran");
    Ok(Outcome::Passed)
}
