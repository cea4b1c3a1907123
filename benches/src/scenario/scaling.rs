use anyhow::Result;

use super::Scenario;
use crate::driver::Bench;
use crate::protocol::{Function, Load};
use crate::row::Row;
use crate::spec::{Codec, Placement, Spin, Worker};

const WORKERS: [usize; 4] = [1, 2, 4, 8];

/// As many for every number of workers, so that only that differs.
const CALLERS: usize = 256;

pub(super) fn run(bench: &mut Bench<'_>) -> Result<()> {
    let mut rows = Vec::new();
    for worker in [Worker::Pure, Worker::Native] {
        for function in [Function::Predict, Function::Busy] {
            for workers in WORKERS {
                if bench.quick() && workers > 4 {
                    continue;
                }
                let one = bench.pool(Codec::MsgPack, worker, Spin::Auto, Placement::Free);
                let load = Load::Closed {
                    callers: CALLERS,
                    function,
                };
                let row = Row::new(Scenario::Scaling, one.with_workers(workers), load);
                rows.push(row.with_case(function.name()));
            }
        }
    }
    bench.measure(rows)
}
