//! The driver: rounds, interleaved, and the reports in the end.

mod bench;
mod child;
mod notes;
mod progress;

use std::process::ExitCode;

use anyhow::Result;
use clap::ValueEnum as _;

use crate::html::Page;
use crate::machine::Machine;
use crate::options::Options;
use crate::record::{self, Record};
use crate::row::Measured;
use crate::scenario::Scenario;
use crate::spec::Runtime;
use crate::{document, table, targets};
pub(crate) use bench::Bench;
pub(crate) use child::{Child, Opened};
pub(crate) use progress::Progress;

use notes::Notes;

/// Runs the scenarios and reports.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let machine = Machine::look()?;
    println!("{machine}");
    let scenarios: Vec<_> = Scenario::value_variants()
        .iter()
        .copied()
        .filter(|scenario| options.only.is_empty() || options.only.contains(scenario))
        .filter(|scenario| options.runtime != Runtime::Blocking || scenario.can_block())
        .collect();
    let mut runs = Vec::new();
    let mut notes = Notes::default();
    for number in 0..options.repeat {
        let mut bench = Bench::new(options);
        for (place, scenario) in scenarios.iter().enumerate() {
            let stage = format!("{}/{}", place + 1, scenarios.len());
            bench
                .progress
                .stage(&scenario.name(), &stage, number + 1, options.repeat);
            scenario.run(&mut bench)?;
            bench.close();
        }
        bench.progress.end();
        notes.absorb(bench.notes);
        runs.push(bench.measured);
    }
    let records: Vec<Vec<_>> = runs
        .iter()
        .map(|run| run.iter().map(Record::new).collect())
        .collect();
    let sections = table::sections(&runs);
    let reached = targets::of_runs(&records);
    let tables = table::markdown(&sections) + &targets::markdown(&reached);
    print!("{tables}");
    notes.print();
    if let Some(file) = &options.json {
        record::write(&records.concat(), file)?;
    }
    if let Some(file) = &options.markdown {
        document::insert(file, &machine, options, &tables)?;
    }
    if let Some(file) = &options.html {
        let page = Page {
            machine: &machine,
            rows: merged(runs)?,
            sections,
            reached,
        };
        page.write(file)?;
    }
    Ok(notes.exit_code())
}

/// The rows of all runs, each with what all of them gave.
fn merged(runs: Vec<Vec<Measured>>) -> Result<Vec<Measured>> {
    let mut merged: Vec<Measured> = Vec::new();
    for measured in runs.into_iter().flatten() {
        match merged.iter_mut().find(|one| one.row.is_same(&measured.row)) {
            Some(one) => one.merge(&measured)?,
            None => merged.push(measured),
        }
    }
    Ok(merged)
}
