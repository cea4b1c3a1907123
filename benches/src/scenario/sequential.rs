use anyhow::Result;

use super::{Scenario, peers};
use crate::driver::Bench;
use crate::row::Row;
use crate::spec::{Codec, Placement, Spec, Spin, Subject, Worker};

pub(super) fn run(bench: &mut Bench<'_>) -> Result<()> {
    let mut rows = Vec::new();
    for placement in [Placement::Across, Placement::Same, Placement::Free] {
        let mut add = |spec| rows.push(Row::closed(Scenario::Sequential, spec, 1));
        for floor in [
            Subject::FloorFutex,
            Subject::FloorRustEcho,
            Subject::FloorPythonEcho,
        ] {
            add(Spec::plain(floor, Some(placement)));
        }
        for codec in [Codec::Json, Codec::MsgPack] {
            for worker in [Worker::Pure, Worker::Native] {
                for spin in [Spin::Off, Spin::Auto] {
                    let rare = codec == Codec::Json || spin == Spin::Off;
                    if !bench.quick() || placement == Placement::Across || !rare {
                        add(bench.pool(codec, worker, spin, placement));
                    }
                }
            }
        }
    }
    for placement in [Placement::Across, Placement::Free] {
        rows.extend(peers::rows(bench, Scenario::Sequential, placement, 1));
    }
    peers::measure(bench, rows)
}
