//! The peers' part of a scenario: every mode is measured, and the better one reported.

use anyhow::Result;

use super::Scenario;
use crate::driver::Bench;
use crate::row::{Measured, Row};
use crate::spec::{Mode, Placement, Spec, Subject};

/// The peers, each in the modes that its documentation recommends.
const MODES: [(Subject, Mode); 5] = [
    (Subject::Grpcio, Mode::Aio),
    (Subject::Grpcio, Mode::Threads),
    (Subject::Mosec, Mode::Single),
    (Subject::Mosec, Mode::Batches),
    (Subject::Pipe, Mode::Plain),
];

/// A row for each peer and mode.
pub(super) fn rows(
    bench: &Bench<'_>,
    scenario: Scenario,
    placement: Placement,
    callers: usize,
) -> Vec<Row> {
    if !bench.peers() {
        return Vec::new();
    }
    let row = |(subject, mode): (Subject, Mode)| {
        let spec = Spec {
            mode: Some(mode),
            runtime: bench.runtime(),
            ..Spec::plain(subject, Some(placement))
        };
        Row::closed(scenario, spec, callers).with_case(mode.name())
    };
    MODES.into_iter().map(row).collect()
}

/// Of the modes of a peer at one number of callers, the one with the most calls a second.
pub(super) fn best(measured: Vec<Measured>) -> Vec<Measured> {
    let mut best: Vec<Measured> = Vec::new();
    for one in measured {
        let rival = best
            .iter_mut()
            .find(|rival| one.row.spec.mode.is_some() && rival.row.is_same(&one.row));
        match rival {
            Some(rival) if rival.per_second() < one.per_second() => *rival = one,
            Some(_) => {}
            None => best.push(one),
        }
    }
    best
}

/// Measures rows, those of peers among them.
pub(super) fn measure(bench: &mut Bench<'_>, rows: Vec<Row>) -> Result<()> {
    let rounds = bench.usual_rounds();
    let measured = bench.rounds(rows, rounds)?;
    bench.report(best(measured));
    Ok(())
}
