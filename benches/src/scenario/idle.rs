use anyhow::Result;

use super::Scenario;
use crate::driver::Bench;
use crate::protocol::{Function, Load, Order};
use crate::row::Row;
use crate::spec::{Codec, Placement, Spin, Worker};

const WORKERS: usize = 4;

pub(super) fn run(bench: &mut Bench<'_>) -> Result<()> {
    let mut rows = Vec::new();
    for worker in [Worker::Pure, Worker::Native] {
        for spin in [Spin::Off, Spin::Auto] {
            if bench.quick() && spin == Spin::Off {
                continue;
            }
            let spec = bench.pool(Codec::MsgPack, worker, spin, Placement::Free);
            let spec = spec.with_workers(WORKERS);
            rows.push(Row::new(Scenario::Idle, spec, Load::Idle));
        }
    }
    let seconds = if bench.quick() { 3.0 } else { 30.0 };
    // Idle after work, not idle since ever: whatever looks for more work must have given up by itself.
    let busy = Order {
        load: Load::Closed {
            callers: 16,
            function: Function::Predict,
        },
        seconds: 0.1,
    };
    let settle = Order {
        load: Load::Idle,
        seconds: 0.5,
    };
    bench.prepare(&rows, &[busy, settle])?;
    bench.at_once(rows, seconds)
}
