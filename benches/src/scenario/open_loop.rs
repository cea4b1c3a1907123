use anyhow::Result;

use super::Scenario;
use crate::driver::Bench;
use crate::protocol::Load;
use crate::row::Row;
use crate::spec::{Codec, Placement, Spec, Spin, Worker};

/// Rates, as shares of what the same subject does at saturation in the same run.
const SHARES: [(f64, &str); 2] = [(0.5, "50 %"), (0.8, "80 %")];

/// Few and long, because the beginning of a round is not yet the state in which it goes on.
const ROUNDS: usize = 2;

pub(super) fn run(bench: &mut Bench<'_>) -> Result<()> {
    let mut saturated = Vec::new();
    for worker in [Worker::Pure, Worker::Native] {
        for spin in [Spin::Off, Spin::Auto] {
            let spec = bench.pool(Codec::MsgPack, worker, spin, Placement::Free);
            if !bench.quick() || spin == Spin::Auto {
                saturated.push(saturate(spec));
            }
        }
    }
    let mut rows = Vec::new();
    for measured in bench.rounds(saturated, ROUNDS)? {
        let most = measured.per_second().unwrap_or_default();
        for (share, case) in SHARES {
            let per_second = most * share;
            let spec = measured.row.spec.clone();
            let row = Row::new(Scenario::OpenLoop, spec, Load::Open { per_second });
            rows.push(row.with_case(case));
        }
    }
    let measured = bench.rounds(rows, ROUNDS)?;
    bench.report(measured);
    Ok(())
}

fn saturate(spec: Spec) -> Row {
    Row::new(Scenario::OpenLoop, spec, Load::Saturate { calls: 256 })
}
