use anyhow::Result;

use super::Scenario;
use crate::driver::Bench;
use crate::protocol::Load;
use crate::row::Row;
use crate::spec::{Codec, Placement, Spec, Spin, Subject, Worker};

pub(super) fn start(bench: &mut Bench<'_>) -> Result<()> {
    let interpreter = Spec::plain(Subject::FloorPythonStart, Some(Placement::Free));
    let floor = Row::new(Scenario::Startup, interpreter, Load::Start);
    let mut rows = vec![floor.with_case("python3 -c pass")];
    for (spec, case) in subjects(bench)? {
        for workers in [1, 4] {
            let spec = spec.clone().with_workers(workers);
            rows.push(Row::new(Scenario::Startup, spec, Load::Start).with_case(case));
        }
    }
    measure(bench, rows)
}

pub(super) fn replace(bench: &mut Bench<'_>) -> Result<()> {
    let row = |(spec, case)| Row::new(Scenario::Replacement, spec, Load::Replace).with_case(case);
    let rows = subjects(bench)?.into_iter().map(row).collect();
    measure(bench, rows)
}

/// The pools, each with what is said of it.
fn subjects(bench: &mut Bench<'_>) -> Result<Vec<(Spec, &'static str)>> {
    let mut subjects = Vec::new();
    for worker in [Worker::Pure, Worker::Native] {
        for codec in [Codec::Json, Codec::MsgPack] {
            // A worker that has JSON and nothing else, in an interpreter without msgspec, is what starts soonest.
            let bare = worker == Worker::Pure && codec == Codec::Json;
            if worker == Worker::Native && codec == Codec::Json {
                continue;
            }
            let spec = bench.pool(codec, worker, Spin::Auto, Placement::Free);
            // A subject that is started by an order cannot say before that it is unfit.
            if !bench.open(&spec)? {
                continue;
            }
            let spec = Spec {
                started_by_order: true,
                bare,
                ..spec
            };
            subjects.push((spec, if bare { "no msgspec" } else { "" }));
        }
    }
    Ok(subjects)
}

fn measure(bench: &mut Bench<'_>, rows: Vec<Row>) -> Result<()> {
    let rounds = if bench.quick() { 3 } else { 20 };
    let measured = bench.rounds(rows, rounds)?;
    bench.report(measured);
    Ok(())
}
