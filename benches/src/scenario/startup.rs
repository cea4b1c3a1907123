use anyhow::Result;

use super::Scenario;
use crate::driver::Bench;
use crate::protocol::Load;
use crate::row::Row;
use crate::spec::{Codec, Placement, Spec, Spin, Subject, Worker};

pub(super) fn run(bench: &mut Bench<'_>) -> Result<()> {
    let interpreter = Spec::plain(Subject::FloorPythonStart, Some(Placement::Free));
    let mut rows = vec![row(interpreter, Load::Start, "python3 -c pass")];
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
            let cases = match bare {
                true => ["start, no msgspec", "replacement, no msgspec"],
                false => ["start", "replacement"],
            };
            rows.push(row(spec.clone(), Load::Start, cases[0]));
            rows.push(row(spec.clone().with_workers(4), Load::Start, cases[0]));
            rows.push(row(spec, Load::Replace, cases[1]));
        }
    }
    let rounds = if bench.quick() { 3 } else { 20 };
    let measured = bench.rounds(rows, rounds)?;
    bench.report(measured);
    Ok(())
}

fn row(spec: Spec, load: Load, case: &'static str) -> Row {
    Row::new(Scenario::Startup, spec, load).with_case(case)
}
