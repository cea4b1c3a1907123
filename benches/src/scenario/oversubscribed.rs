use anyhow::Result;

use super::Scenario;
use crate::driver::Bench;
use crate::protocol::{Function, Load};
use crate::row::Row;
use crate::spec::{Codec, Placement, Spec, Spin, Worker};

const WORKERS: usize = 4;
const CORES: usize = 2;

/// As many callers as workers, whose functions compute: every look for a message takes a core from a function. And
/// many callers of a function that does nothing: here it takes it from the host.
const LOADS: [(usize, Function); 2] = [(WORKERS, Function::Busy), (64, Function::Predict)];

pub(super) fn run(bench: &mut Bench<'_>) -> Result<()> {
    let mut rows = Vec::new();
    for worker in [Worker::Pure, Worker::Native] {
        for (callers, function) in LOADS {
            for spin in [Spin::Off, Spin::Auto] {
                let spec = Spec {
                    cores: Some(CORES),
                    ..bench.pool(Codec::MsgPack, worker, spin, Placement::Free)
                };
                let load = Load::Closed { callers, function };
                let row = Row::new(Scenario::Oversubscribed, spec.with_workers(WORKERS), load);
                rows.push(row.with_case(function.name()));
            }
        }
    }
    bench.measure(rows)
}
