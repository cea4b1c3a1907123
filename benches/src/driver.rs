//! The driver: rounds, interleaved, and the reports in the end.

mod child;
mod progress;

use std::collections::{BTreeMap, HashMap};
use std::process::ExitCode;

use anyhow::Result;
use clap::ValueEnum as _;

use crate::html::Page;
use crate::machine::Machine;
use crate::options::Options;
use crate::protocol::Order;
use crate::record::{self, Record};
use crate::row::{Measured, Row};
use crate::scenario::Scenario;
use crate::spec::{Codec, Placement, Runtime, Spec, Spin, Worker};
use crate::{document, table, targets};
pub(crate) use child::{Child, Opened};
pub(crate) use progress::Progress;

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
    let mut troubles = Troubles::default();
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
        troubles.absorb(bench.troubles);
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
    troubles.print();
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
    Ok(troubles.exit_code())
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

/// One run: what the scenarios measure with.
pub(crate) struct Bench<'a> {
    options: &'a Options,
    children: HashMap<Spec, Opened>,
    measured: Vec<Measured>,
    troubles: Troubles,
    progress: Progress,
}

impl<'a> Bench<'a> {
    fn new(options: &'a Options) -> Self {
        Self {
            options,
            children: HashMap::new(),
            measured: Vec::new(),
            troubles: Troubles::default(),
            progress: Progress::new(),
        }
    }

    pub(crate) fn quick(&self) -> bool {
        self.options.quick
    }

    pub(crate) fn peers(&self) -> bool {
        self.options.peers
    }

    pub(crate) fn runtime(&self) -> Runtime {
        self.options.runtime
    }

    /// How many rounds a row has.
    pub(crate) fn usual_rounds(&self) -> usize {
        if self.quick() { 3 } else { 10 }
    }

    /// A pool of one worker on the runtime that was asked for.
    pub(crate) fn pool(
        &self,
        codec: Codec,
        worker: Worker,
        spin: Spin,
        placement: Placement,
    ) -> Spec {
        Spec {
            runtime: self.options.runtime,
            in_flight: self.options.in_flight,
            ..Spec::pool(codec, worker, spin, placement)
        }
    }

    /// Measures rows in interleaved rounds, the first of which only warms up.
    pub(crate) fn measure(&mut self, rows: Vec<Row>) -> Result<()> {
        let measured = self.rounds(rows, self.usual_rounds())?;
        self.report(measured);
        Ok(())
    }

    pub(crate) fn report(&mut self, measured: Vec<Measured>) {
        self.measured.extend(measured);
    }

    /// As [`measure`](Self::measure), in so many rounds; what was measured is returned and not yet reported.
    pub(crate) fn rounds(&mut self, rows: Vec<Row>, rounds: usize) -> Result<Vec<Measured>> {
        self.progress.expect(rows.len() * (rounds + 1));
        self.open_all(&rows);
        let mut measured = Vec::new();
        for row in rows {
            if self.open(&row.spec)? {
                measured.push(Measured::new(row)?);
            } else {
                self.progress.advance(rounds + 1);
            }
        }
        for round in 0..=rounds {
            for one in &mut measured {
                let order = Order {
                    load: one.row.load.clone(),
                    seconds: self.options.seconds() / rounds as f64,
                };
                if one.row.spec.started_by_order {
                    self.children.remove(&one.row.spec);
                    self.open(&one.row.spec)?;
                }
                if let Some(Opened::Ready(child)) = self.children.get_mut(&one.row.spec) {
                    match child.carry_out(&order) {
                        Ok(numbers) if round > 0 => one.add(&numbers),
                        Ok(_) => {}
                        Err(error) => {
                            self.troubles.fail(format!("{:?}: {error:#}", one.row));
                            self.children.insert(one.row.spec.clone(), Opened::Failed);
                        }
                    }
                }
                self.progress.advance(1);
            }
        }
        // A row that failed half way has numbers of a subject that does not work.
        measured.retain(|one| matches!(self.children.get(&one.row.spec), Some(Opened::Ready(_))));
        Ok(measured)
    }

    /// Gives orders to the subjects of rows, whose answers are not kept.
    pub(crate) fn prepare(&mut self, rows: &[Row], orders: &[Order]) -> Result<()> {
        for row in rows {
            if self.open(&row.spec)?
                && let Some(Opened::Ready(child)) = self.children.get_mut(&row.spec)
            {
                for order in orders {
                    child.carry_out(order)?;
                }
            }
        }
        Ok(())
    }

    /// One long round of all rows at once. Only for subjects that leave the processor alone.
    pub(crate) fn at_once(&mut self, rows: Vec<Row>, seconds: f64) -> Result<()> {
        self.progress.expect(rows.len());
        let mut measured = Vec::new();
        for row in rows {
            if self.open(&row.spec)? {
                measured.push(Measured::new(row)?);
            }
        }
        for one in &mut measured {
            let load = one.row.load.clone();
            if let Some(Opened::Ready(child)) = self.children.get_mut(&one.row.spec) {
                child.order(&Order { load, seconds })?;
            }
        }
        for one in &mut measured {
            if let Some(Opened::Ready(child)) = self.children.get_mut(&one.row.spec) {
                one.add(&child.answer()?);
            }
            self.progress.advance(1);
        }
        self.report(measured);
        Ok(())
    }

    /// Starts the subjects that are not there yet, all at once.
    fn open_all(&mut self, rows: &[Row]) {
        let mut begun: Vec<(Spec, Result<Child>)> = Vec::new();
        for spec in rows.iter().map(|row| &row.spec) {
            if !self.children.contains_key(spec) && !begun.iter().any(|(begun, _)| begun == spec) {
                begun.push((spec.clone(), Child::begin(spec)));
            }
        }
        for (spec, child) in begun {
            let opened = child.and_then(Child::opened);
            self.keep(&spec, opened);
        }
    }

    fn keep(&mut self, spec: &Spec, opened: Result<Opened>) {
        let opened = opened.unwrap_or_else(|error| {
            self.troubles.fail(format!("{spec:?}: {error:#}"));
            Opened::Failed
        });
        self.children.insert(spec.clone(), opened);
    }

    /// Ends all subjects. They would be idle from now on, and some idle processes are not quite.
    fn close(&mut self) {
        for opened in self.children.values_mut() {
            if let Opened::Ready(child) = opened {
                child.end();
            }
        }
        self.children.clear();
    }

    /// Whether the subject is there; it is started if it was not.
    pub(crate) fn open(&mut self, spec: &Spec) -> Result<bool> {
        if !self.children.contains_key(spec) {
            let opened = Child::begin(spec).and_then(Child::opened);
            self.keep(spec, opened);
        }
        match self.children.get(spec) {
            Some(Opened::Ready(_)) => Ok(true),
            Some(Opened::Unfit(reason)) => {
                self.troubles.skip(reason);
                Ok(false)
            }
            _ => Ok(false),
        }
    }
}

/// What could not be measured, and why.
#[derive(Default)]
struct Troubles {
    skipped: BTreeMap<String, usize>,
    failed: Vec<String>,
}

impl Troubles {
    fn skip(&mut self, reason: &str) {
        *self.skipped.entry(reason.to_owned()).or_default() += 1;
    }

    fn fail(&mut self, what: String) {
        self.failed.push(what);
    }

    fn absorb(&mut self, other: Self) {
        for (reason, rows) in other.skipped {
            *self.skipped.entry(reason).or_default() += rows;
        }
        self.failed.extend(other.failed);
    }

    fn print(&self) {
        for (reason, rows) in &self.skipped {
            println!("\nskipped {rows} rows: {reason}");
        }
        for what in &self.failed {
            eprintln!("\nfailed: {what}");
        }
    }

    fn exit_code(&self) -> ExitCode {
        if self.failed.is_empty() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}
