use anyhow::Result;

use super::Scenario;
use crate::driver::Bench;
use crate::protocol::{Function, Load};
use crate::row::Row;
use crate::spec::{Codec, Placement, Spin, Worker};

/// The case of a function that waits.
pub(crate) const SLEEP: &str = "`time.sleep`";

/// The case of a function that computes.
pub(crate) const LOOP: &str = "an endless loop";

pub(super) fn run(bench: &mut Bench<'_>) -> Result<()> {
    let mut rows = Vec::new();
    for placement in [Placement::Across, Placement::Free] {
        for worker in [Worker::Pure, Worker::Native] {
            for (function, case) in [(Function::Doze, SLEEP), (Function::Spin, LOOP)] {
                let spec = bench.pool(Codec::MsgPack, worker, Spin::Auto, placement);
                let row = Row::new(Scenario::Cancel, spec, Load::Cancel { function });
                rows.push(row.with_case(case));
            }
        }
    }
    bench.measure(rows)
}
