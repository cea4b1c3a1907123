//! `cargo xtask test`: everything that CI runs, step by step, up to the first failure.

use std::process;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;

use crate::faults;
use crate::step::{Context, Outcome, STEPS, Step};
use crate::tally::Tally;
use crate::workspace::Workspace;

/// A step that takes longer than this hangs; the slowest takes a few minutes on two cores.
const STEP_LIMIT: Duration = Duration::from_secs(20 * 60);

#[derive(Args)]
pub(crate) struct Options {
    /// Run only this step; may be given several times.
    #[arg(long, value_name = "STEP")]
    only: Vec<String>,
    /// Print the steps and stop.
    #[arg(long)]
    list: bool,
    /// Run nothing but the tests of the faults, in the pure and in the native loop.
    #[arg(long, conflicts_with_all = ["only", "list"])]
    faults: bool,
    /// How many times, up to the first failure.
    #[arg(long, value_name = "N", default_value_t = 1, requires = "faults")]
    repeat: u32,
}

pub(crate) fn run(workspace: Workspace, options: &Options) -> Result<()> {
    if options.list {
        for step in STEPS {
            println!("{:15} {}", step.name, step.about);
        }
        return Ok(());
    }
    if options.faults {
        return faults::run(workspace, options.repeat);
    }
    let steps = chosen(&options.only)?;
    let mut context = Context {
        workspace,
        tally: Tally::default(),
    };
    let begin = Instant::now();
    let mut rows = Vec::new();
    for step in steps {
        println!("\n=== {}: {}", step.name, step.about);
        let (outcome, took) = timed(step, &mut context);
        match outcome {
            Ok(outcome) => rows.push((step, outcome, took)),
            Err(error) => {
                bail!(
                    "step `{}` failed after {:.1} s: {error:#}\nrun it alone with: cargo xtask test --only {}",
                    step.name,
                    took.as_secs_f64(),
                    step.name
                );
            }
        }
    }

    println!("\n=== summary");
    for (step, outcome, took) in &rows {
        let remark = match outcome {
            Outcome::Passed => String::new(),
            Outcome::Skipped(reason) => format!("  skipped: {reason}"),
        };
        println!("{:15} {:7.1} s{remark}", step.name, took.as_secs_f64());
    }
    println!("{:15} {:7.1} s", "together", begin.elapsed().as_secs_f64());
    println!("{} passed, 0 failed", context.tally.passed());
    Ok(())
}

fn chosen(only: &[String]) -> Result<Vec<&'static Step>> {
    if only.is_empty() {
        return Ok(STEPS.iter().collect());
    }
    for name in only {
        if !STEPS.iter().any(|step| step.name == name) {
            let names: Vec<_> = STEPS.iter().map(|step| step.name).collect();
            bail!("no step `{name}`; the steps are {}", names.join(", "));
        }
    }
    Ok(STEPS
        .iter()
        .filter(|step| only.iter().any(|name| name == step.name))
        .collect())
}

/// Runs a step under a watchdog, because a hung test must end CI with a name and not with silence.
fn timed(step: &Step, context: &mut Context) -> (Result<Outcome>, Duration) {
    let (ended, watched) = mpsc::channel::<()>();
    let name = step.name;
    thread::spawn(move || {
        if watched.recv_timeout(STEP_LIMIT) == Err(RecvTimeoutError::Timeout) {
            eprintln!("step `{name}` hangs: not done after {STEP_LIMIT:?}");
            process::exit(124);
        }
    });
    let begin = Instant::now();
    let outcome = (step.run)(context);
    drop(ended);
    (outcome, begin.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_chosen_by_name_and_keep_their_order() {
        let only = ["clippy".to_owned(), "fmt".to_owned()];
        let names: Vec<_> = chosen(&only).unwrap().iter().map(|s| s.name).collect();
        assert_eq!(names, ["fmt", "clippy"]);
        assert_eq!(chosen(&[]).unwrap().len(), STEPS.len());
    }

    #[test]
    fn an_unknown_step_is_an_error_that_lists_the_steps() {
        let error = chosen(&["clipy".to_owned()]).err().unwrap().to_string();
        assert!(error.contains("no step `clipy`") && error.contains("clippy"));
    }

    #[test]
    fn no_two_steps_have_one_name() {
        for (index, step) in STEPS.iter().enumerate() {
            assert!(STEPS[..index].iter().all(|other| other.name != step.name));
        }
    }
}
