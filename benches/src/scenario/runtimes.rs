use anyhow::Result;

use super::Scenario;
use crate::driver::Bench;
use crate::row::Row;
use crate::spec::{Codec, Placement, Runtime, Spec, Spin, Worker};

const RUNTIMES: [(Runtime, &str); 3] = [
    (Runtime::MultiThread, "multi-thread"),
    (Runtime::CurrentThread, "current-thread"),
    (Runtime::Blocking, "blocking"),
];

pub(super) fn run(bench: &mut Bench<'_>) -> Result<()> {
    let mut rows = Vec::new();
    for worker in [Worker::Pure, Worker::Native] {
        for (placement, callers) in [
            (Placement::Across, 1),
            (Placement::Free, 1),
            (Placement::Free, 256),
        ] {
            for (runtime, name) in RUNTIMES {
                let spec = Spec {
                    runtime,
                    ..bench.pool(Codec::MsgPack, worker, Spin::Auto, placement)
                };
                let row = Row::closed(Scenario::Runtimes, spec, callers);
                if !bench.quick() || worker == Worker::Native {
                    rows.push(row.with_case(name));
                }
            }
        }
    }
    bench.measure(rows)
}
