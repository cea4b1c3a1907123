use anyhow::Result;

use super::{Scenario, peers};
use crate::driver::Bench;
use crate::row::Row;
use crate::spec::{Codec, Placement, Spec, Spin, Subject, Worker};

const CALLERS: [usize; 3] = [32, 64, 256];

/// The numbers of callers among which each peer has its best.
const MORE_CALLERS: [usize; 7] = [1, 4, 8, 16, 32, 64, 256];
const FEW_CALLERS: [usize; 3] = [1, 32, 256];

pub(super) fn run(bench: &mut Bench<'_>) -> Result<()> {
    let quick = bench.quick();
    let mut rows = Vec::new();
    let mut add = |spec, callers| rows.push(Row::closed(Scenario::Concurrent, spec, callers));
    // What saturation is compared with: the bare Python loop, which answers one message at a time.
    add(
        Spec::plain(Subject::FloorPythonEcho, Some(Placement::Across)),
        1,
    );
    for placement in [Placement::Free, Placement::Across] {
        for codec in [Codec::MsgPack, Codec::Json] {
            for worker in [Worker::Pure, Worker::Native] {
                for spin in [Spin::Off, Spin::Auto] {
                    let rare = placement == Placement::Across || spin == Spin::Off;
                    for callers in CALLERS {
                        if !quick || !rare && (codec == Codec::MsgPack || callers == 256) {
                            add(bench.pool(codec, worker, spin, placement), callers);
                        }
                    }
                }
            }
        }
    }
    for worker in [Worker::Pure, Worker::Native] {
        for callers in CALLERS {
            if !quick || callers == 256 {
                let one = bench.pool(Codec::MsgPack, worker, Spin::Auto, Placement::Free);
                add(one.with_workers(2), callers);
            }
        }
    }
    let callers: &[usize] = if quick { &FEW_CALLERS } else { &MORE_CALLERS };
    for &callers in callers {
        if !quick && !CALLERS.contains(&callers) {
            for worker in [Worker::Pure, Worker::Native] {
                let spec = bench.pool(Codec::MsgPack, worker, Spin::Auto, Placement::Free);
                rows.push(Row::closed(Scenario::Concurrent, spec, callers));
            }
        }
        rows.extend(peers::rows(
            bench,
            Scenario::Concurrent,
            Placement::Free,
            callers,
        ));
    }
    peers::measure(bench, rows)
}
