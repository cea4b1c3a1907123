//! Each example runs, and its last line says what it promised.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail, ensure};

use crate::command::tee;
use crate::step::{Context, Outcome};
use crate::workspace::Workspace;

/// An example that runs by itself and ends.
struct Example {
    name: &'static str,
    features: &'static [&'static str],
    /// How the last line of its output begins.
    ends_with: &'static str,
}

const QUICKSTART_END: &str = "classified 150 of 150, 0 lost, accuracy 0.96";

const EXAMPLES: &[Example] = &[
    Example {
        name: "quickstart",
        features: &[],
        ends_with: QUICKSTART_END,
    },
    Example {
        name: "quickstart",
        features: &["--features", "msgpack"],
        ends_with: QUICKSTART_END,
    },
    Example {
        name: "sklearn",
        features: &[],
        ends_with: "predicted 4",
    },
    Example {
        name: "batching",
        features: &[],
        ends_with: "150 of 150 answers alike, batches ",
    },
    Example {
        name: "async_io",
        features: &[],
        ends_with: "200 calls of one worker waited 50 ms each",
    },
    Example {
        name: "tokens",
        features: &[],
        ends_with: "the connection was closed, and the generator has stopped",
    },
];

/// Examples that run until they are told to stop; `cargo test` starts and stops them.
const SERVICES: &[&str] = &["axum"];

pub(crate) fn step(context: &mut Context) -> Result<Outcome> {
    every_example_is_known(&context.workspace)?;
    for example in EXAMPLES {
        let mut command = example_command(&context.workspace, example.name);
        check_end(&tee(command.args(example.features))?, example.ends_with)?;
    }
    Ok(Outcome::Passed)
}

/// The quickstart with an interpreter of the caller's choice.
pub(crate) fn quickstart_with(workspace: &Workspace, python: &Path) -> Result<()> {
    let mut command = example_command(workspace, "quickstart");
    check_end(&tee(command.env("PYPROC_PYTHON", python))?, QUICKSTART_END)
}

fn example_command(workspace: &Workspace, name: &str) -> Command {
    workspace.cargo(["run", "--quiet", "--example", name])
}

fn check_end(output: &str, expected: &str) -> Result<()> {
    let last = output.lines().last().unwrap_or_default();
    ensure!(
        last.starts_with(expected),
        "the last line is `{last}` and should begin with `{expected}`"
    );
    Ok(())
}

/// A new example must be added here, or nothing would run it.
fn every_example_is_known(workspace: &Workspace) -> Result<()> {
    for entry in fs::read_dir(workspace.path("examples"))? {
        let path = entry?.path();
        if !path.is_dir() && path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let runs = EXAMPLES.iter().any(|example| example.name == name);
        if !runs && !SERVICES.contains(&name.as_ref()) {
            bail!("nothing runs the example `{name}`: add it to xtask/src/examples.rs");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_line_counts() {
        assert!(check_end("classified\nbye\n", "classified").is_err());
        assert!(check_end("hello\nclassified 150 of 150\n", "classified 150").is_ok());
        assert!(check_end("", "classified").is_err());
    }
}
