use std::collections::HashMap;

use anyhow::Result;

use super::child::{Child, Opened};
use super::notes::Notes;
use super::progress::Progress;
use crate::options::Options;
use crate::protocol::Order;
use crate::row::{Measured, Row};
use crate::spec::{Codec, Placement, Runtime, Spec, Spin, Worker};

/// One run: what the scenarios measure with.
pub(crate) struct Bench<'a> {
    options: &'a Options,
    children: HashMap<Spec, Opened>,
    pub(super) measured: Vec<Measured>,
    pub(super) notes: Notes,
    pub(super) progress: Progress,
}

impl<'a> Bench<'a> {
    pub(super) fn new(options: &'a Options) -> Self {
        Self {
            options,
            children: HashMap::new(),
            measured: Vec::new(),
            notes: Notes::default(),
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
                            self.notes.fail(format!("{:?}: {error:#}", one.row));
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
            self.notes.fail(format!("{spec:?}: {error:#}"));
            Opened::Failed
        });
        if let Opened::Ready(child) = &opened {
            self.notes.runs(child.about());
        }
        self.children.insert(spec.clone(), opened);
    }

    /// Ends all subjects. They would be idle from now on, and some idle processes are not quite.
    pub(super) fn close(&mut self) {
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
                self.notes.skip(reason);
                Ok(false)
            }
            _ => Ok(false),
        }
    }
}
