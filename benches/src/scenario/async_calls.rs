use anyhow::Result;

use super::Scenario;
use crate::driver::Bench;
use crate::protocol::Load;
use crate::row::Row;
use crate::spec::{Codec, Placement, Spec, Spin, Worker};

const NAPS: usize = 1000;

pub(super) fn run(bench: &mut Bench<'_>) -> Result<()> {
    let mut rows = Vec::new();
    for worker in [Worker::Pure, Worker::Native] {
        for (calls, case) in [(NAPS, "calls"), (1, "tasks of one call")] {
            let spec = Spec {
                has_async: true,
                ..bench.pool(Codec::MsgPack, worker, Spin::Auto, Placement::Free)
            };
            let load = Load::Naps { naps: NAPS, calls };
            rows.push(Row::new(Scenario::Async, spec, load).with_case(case));
        }
    }
    bench.measure(rows)
}
