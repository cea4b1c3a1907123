//! `cargo xtask test --faults --repeat N`: the tests of the faults, again and again, up to the
//! first failure. A test that fails once in a hundred runs is found here and not by a user.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use crate::command::read_both;
use crate::step::Context;
use crate::tally::Tally;
use crate::workspace::Workspace;
use crate::{native, setup};

/// What the names of these tests begin with.
const PREFIX: &str = "fault_";

/// The loops that the workers run, one after the other in each round.
const CORES: [&str; 2] = ["pure", "native"];

/// The tests of one file, compiled.
struct Binary {
    /// The root of the tests, from the root of the checkout.
    source: String,
    program: String,
}

pub(crate) fn run(workspace: Workspace, rounds: u32) -> Result<()> {
    let mut context = Context {
        workspace,
        tally: Tally::default(),
    };
    setup::step(&mut context)?;
    native::step(&mut context)?;
    let workspace = &context.workspace;
    let binaries = build(workspace)?;
    let mut passed: BTreeMap<String, u32> = BTreeMap::new();
    let mut remarks: BTreeSet<String> = BTreeSet::new();
    let mut skips = 0;
    let mut took: BTreeMap<&str, Duration> = BTreeMap::new();
    let begin = Instant::now();
    for round in 1..=rounds {
        for core in CORES {
            let start = Instant::now();
            let (mut count, mut skipped) = (0, 0);
            for binary in &binaries {
                let start = Instant::now();
                let run = test(workspace, binary, core)
                    .with_context(|| format!("round {round}, {core} loop"))?;
                *took.entry(&binary.source).or_default() += start.elapsed();
                count += run.passed.len();
                skipped += run.skipped;
                for test in run.passed {
                    *passed.entry(test).or_default() += 1;
                }
                for remark in run.remarks {
                    // Said when it is new, so that not every round repeats it, and once more at the end.
                    if remarks.insert(remark.clone()) {
                        println!("{remark}");
                    }
                }
            }
            ensure!(count > 0, "no test ran");
            println!(
                "round {round} of {rounds}, {core} loop: {count} tests passed, {skipped} skipped in {:.1} s",
                start.elapsed().as_secs_f64()
            );
            skips += skipped;
        }
    }
    println!("\n=== summary");
    for (test, count) in &passed {
        println!("{count:5} × {test}");
    }
    for (source, took) in took {
        println!("{:7.1} s in {source}", took.as_secs_f64());
    }
    for remark in remarks {
        println!("{remark}");
    }
    println!(
        "{} tests of faults, {rounds} rounds with both loops: {} passed, {skips} skipped, 0 failed, in {:.1} s",
        passed.len(),
        passed.values().sum::<u32>(),
        begin.elapsed().as_secs_f64()
    );
    Ok(())
}

/// Compiles the facade's tests, and gives those in which there is a fault.
fn build(workspace: &Workspace) -> Result<Vec<Binary>> {
    let mut command = workspace.cargo(["test", "--package", "pyproc", "--features", "msgpack"]);
    command.args(["--tests", "--no-run"]);
    let mut with_faults = Vec::new();
    for binary in executables(&read_both(&command)?) {
        let mut list = workspace.program(&binary.program);
        let listed = read_both(list.args(["--list", PREFIX]))?;
        if listed.lines().any(|line| line.ends_with(": test")) {
            with_faults.push(binary);
        }
    }
    Ok(with_faults)
}

/// Reads the lines `Executable tests/calls.rs (target/debug/deps/calls-0a1b)`.
fn executables(output: &str) -> Vec<Binary> {
    let lines = output
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("Executable "));
    lines
        .filter_map(|line| {
            let (source, program) = line.strip_suffix(')')?.rsplit_once(" (")?;
            Some(Binary {
                source: source.to_owned(),
                program: program.to_owned(),
            })
        })
        .collect()
}

/// What the tests of one file have done.
struct Run {
    /// The names of those that passed, which is all that were not skipped.
    passed: Vec<String>,
    skipped: usize,
    /// What tests have said aloud: that this machine cannot run them, or not all of them.
    remarks: Vec<String>,
}

/// Runs the faults of one file.
fn test(workspace: &Workspace, binary: &Binary, core: &str) -> Result<Run> {
    let mut command = workspace.program(&binary.program);
    command.arg(PREFIX).stdin(Stdio::null());
    native::choose(workspace, &mut command, core)?;
    let output = command
        .output()
        .with_context(|| format!("cannot start {}", binary.program))?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        eprint!("{stderr}");
        print!("{stdout}");
        bail!("{} failed: {}", binary.source, output.status);
    }
    let skipped = skipped(&stderr);
    let (skips, passed): (Vec<_>, Vec<_>) = passed(&stdout)
        .into_iter()
        .partition(|name| skipped.contains(last_part(name)));
    let name = |name: &str| format!("{}::{name}", binary.source);
    Ok(Run {
        passed: passed.into_iter().map(name).collect(),
        skipped: skips.len(),
        remarks: remarks(&stderr).map(str::to_owned).collect(),
    })
}

/// Reads the lines `test module::name ... ok`; a test that skips itself is among them.
fn passed(output: &str) -> Vec<&str> {
    output
        .lines()
        .filter_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... ok"))
        .collect()
}

/// Reads the lines `SKIPPED: name: reason`.
fn skipped(output: &str) -> BTreeSet<&str> {
    let lines = output
        .lines()
        .filter_map(|line| line.strip_prefix("SKIPPED: "));
    lines
        .filter_map(|line| Some(last_part(line.split_once(": ")?.0)))
        .collect()
}

/// The lines that say what a test did not do.
fn remarks(output: &str) -> impl Iterator<Item = &str> {
    let is_remark = |line: &&str| line.starts_with("SKIPPED: ") || line.starts_with("NOTE: ");
    output.lines().filter(is_remark)
}

fn last_part(name: &str) -> &str {
    name.rsplit("::").next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executables_are_found_in_what_cargo_prints() {
        let output = "   Compiling pyproc v0.1.0\n    Finished `test` profile\n\
            \x20 Executable unittests src/lib.rs (target/debug/deps/pyproc-0a1b)\n\
            \x20 Executable tests/faults/main.rs (/target/debug/deps/faults-0a1b)\n";
        let found: Vec<_> = executables(output)
            .into_iter()
            .map(|binary| (binary.source, binary.program))
            .collect();
        let expected = [
            ("unittests src/lib.rs", "target/debug/deps/pyproc-0a1b"),
            ("tests/faults/main.rs", "/target/debug/deps/faults-0a1b"),
        ];
        assert_eq!(found, expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
    }

    #[test]
    fn what_passed_is_counted_and_nothing_else() {
        let output = "\nrunning 3 tests\ntest wire::fault_28 ... ok\n\
            test fault_9_is_ignored ... ignored\ntest fault_1 ... ok\n\n\
            test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 7 filtered out\n";
        assert_eq!(passed(output), ["wire::fault_28", "fault_1"]);
    }
    #[test]
    fn what_was_skipped_is_told_from_what_passed() {
        let said = "some warning\nSKIPPED: fault_15_memory: no control group: none\n\
            NOTE: fault_18_child: no version 2\nSKIPPED: wire::fault_1: why\n";
        assert_eq!(
            skipped(said),
            BTreeSet::from(["fault_15_memory", "fault_1"])
        );
        assert_eq!(last_part("wire::fault_1"), "fault_1");
        assert_eq!(remarks(said).count(), 3);
    }
}
