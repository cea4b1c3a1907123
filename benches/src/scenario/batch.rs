use anyhow::Result;

use super::Scenario;
use crate::driver::Bench;
use crate::protocol::{Function, Load};
use crate::row::Row;
use crate::spec::{Codec, Placement, Spec, Spin, Worker};

const CALLERS: usize = 64;

pub(super) fn run(bench: &mut Bench<'_>) -> Result<()> {
    let mut rows = Vec::new();
    for worker in [Worker::Pure, Worker::Native] {
        for function in [Function::Single, Function::Batched] {
            let spec = Spec {
                has_batches: true,
                ..bench.pool(Codec::MsgPack, worker, Spin::Auto, Placement::Free)
            };
            let load = Load::Closed {
                callers: CALLERS,
                function,
            };
            rows.push(Row::new(Scenario::Batch, spec, load).with_case(function.name()));
        }
    }
    bench.measure(rows)
}
