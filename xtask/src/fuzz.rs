//! `cargo xtask fuzz`: each fuzz target of the protocol crate for a while.

use std::fs;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;

use crate::command::{run as execute, succeeds};
use crate::step::{Context, Outcome};
use crate::workspace::Workspace;

const DIRECTORY: &str = "pyproc-proto/fuzz";

/// libFuzzer's instrumentation is behind unstable flags, which a stable compiler takes with this.
const BOOTSTRAP: (&str, &str) = ("RUSTC_BOOTSTRAP", "1");

#[derive(Args)]
pub(crate) struct Options {
    /// The targets to run; without any, all of them.
    targets: Vec<String>,
    /// How long each target runs, in seconds.
    #[arg(long, default_value_t = 60)]
    seconds: u32,
}

pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    ensure!(
        succeeds(&mut workspace.cargo(["fuzz", "--version"])),
        "cargo-fuzz is not installed: run `cargo xtask setup --fuzz`"
    );
    let known = targets(workspace)?;
    let chosen = if options.targets.is_empty() {
        &known
    } else {
        &options.targets
    };
    let mut reports = Vec::new();
    for target in chosen {
        if !known.contains(target) {
            bail!("no fuzz target `{target}`; there are {}", known.join(", "));
        }
        reports.push((target, fuzz(workspace, target, options.seconds)?));
    }
    println!(
        "\n{:24} {:>12} {:>10} {:>8}",
        "target", "executions", "coverage", "corpus"
    );
    for (target, report) in reports {
        let Report {
            executions,
            coverage,
            corpus,
        } = report;
        println!("{target:24} {executions:>12} {coverage:>10} {corpus:>8}");
    }
    Ok(())
}

/// Type-checks the targets. The fuzzing engine is C++ and only needed for linking, so its build is
/// switched off.
pub(crate) fn check(context: &mut Context) -> Result<Outcome> {
    let workspace = &context.workspace;
    let manifest = format!("{DIRECTORY}/Cargo.toml");
    let mut cargo = workspace.cargo(["check", "--manifest-path", &manifest]);
    cargo.env(
        "CARGO_TARGET_DIR",
        workspace.target_dir().join("fuzz-check"),
    );
    cargo.env("CUSTOM_LIBFUZZER_PATH", "/nonexistent/libfuzzer.a");
    execute(&mut cargo)?;
    Ok(Outcome::Passed)
}

/// What libFuzzer counted.
#[derive(Debug, Default, PartialEq, Eq)]
struct Report {
    executions: u64,
    coverage: u64,
    corpus: u64,
}

fn fuzz(workspace: &Workspace, target: &str, seconds: u32) -> Result<Report> {
    let corpus = format!("{DIRECTORY}/corpus/{target}");
    fs::create_dir_all(workspace.path(&corpus))?;
    let log = workspace.target_dir().join(format!("fuzz-{target}.log"));
    let mut cargo = workspace.cargo(["fuzz", "run", "--fuzz-dir", DIRECTORY, target]);
    cargo.arg(&corpus);
    let seeds = format!("{DIRECTORY}/seeds/{target}");
    if workspace.path(&seeds).is_dir() {
        cargo.arg(&seeds);
    }
    cargo.args(["--", "-print_final_stats=1"]);
    cargo.arg(format!("-max_total_time={seconds}"));
    cargo.env(BOOTSTRAP.0, BOOTSTRAP.1);
    cargo.stderr(fs::File::create(&log)?);
    let result = execute(&mut cargo);
    let text = fs::read_to_string(&log)?;
    if result.is_err() {
        let lines: Vec<_> = text.lines().collect();
        eprintln!("{}", lines[lines.len().saturating_sub(60)..].join("\n"));
    }
    result.with_context(|| format!("fuzz target {target}; its log is {}", log.display()))?;
    let report = parse(&text);
    ensure!(report.executions > 0, "fuzz target {target} ran nothing");
    Ok(report)
}

/// Reads the last status line, `#1024 DONE cov: 310 ft: 800 corp: 120/3Kb …`.
fn parse(text: &str) -> Report {
    let mut report = Report::default();
    for line in text.lines().filter(|line| line.starts_with('#')) {
        let mut words = line[1..].split_whitespace();
        if let Some(Ok(executions)) = words.next().map(str::parse) {
            report.executions = executions;
        }
        let rest: Vec<_> = words.collect();
        for pair in rest.windows(2) {
            match pair[0] {
                "cov:" => report.coverage = number(pair[1]),
                "corp:" => report.corpus = number(pair[1]),
                _ => {}
            }
        }
    }
    report
}

/// The number that a word begins with: `120/3Kb` to 120.
fn number(word: &str) -> u64 {
    let digits: String = word.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_default()
}

/// The fuzz targets, each a file in `fuzz_targets`.
fn targets(workspace: &Workspace) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(workspace.path(DIRECTORY).join("fuzz_targets"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.file_stem().unwrap_or_default();
            names.push(name.to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_status_line_is_reported() {
        let text = "INFO: Seed: 1\n\
            #2\tINITED cov: 30 ft: 31 corp: 1/1b exec/s: 0 rss: 40Mb\n\
            #65536\tpulse  cov: 200 ft: 500 corp: 90/2Kb lim: 4 exec/s: 32768 rss: 50Mb\n\
            #99000\tDONE   cov: 310 ft: 800 corp: 120/3Kb lim: 4 exec/s: 1622 rss: 60Mb\n\
            Done 99000 runs in 61 second(s)\nstat::number_of_executed_units: 99000\n";
        let expected = Report {
            executions: 99000,
            coverage: 310,
            corpus: 120,
        };
        assert_eq!(parse(text), expected);
    }
}
