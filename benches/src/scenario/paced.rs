use anyhow::Result;

use super::Scenario;
use crate::driver::Bench;
use crate::protocol::Load;
use crate::row::Row;
use crate::spec::{Codec, Placement, Spec, Spin, Subject, Worker};

/// A call a millisecond.
const PACE: Load = Load::Paced { interval_us: 1000 };

pub(super) fn run(bench: &mut Bench<'_>) -> Result<()> {
    let mut rows = Vec::new();
    for placement in [Placement::Across, Placement::Same, Placement::Free] {
        if bench.quick() && placement != Placement::Across {
            continue;
        }
        let mut add = |spec| rows.push(Row::new(Scenario::Paced, spec, PACE));
        for floor in [
            Subject::FloorFutex,
            Subject::FloorRustEcho,
            Subject::FloorPythonEcho,
        ] {
            add(Spec::plain(floor, Some(placement)));
        }
        for worker in [Worker::Pure, Worker::Native] {
            for spin in [Spin::Off, Spin::Auto] {
                add(bench.pool(Codec::MsgPack, worker, spin, placement));
            }
        }
    }
    bench.measure(rows)
}
