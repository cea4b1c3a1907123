use anyhow::Result;

use super::Scenario;
use crate::driver::Bench;
use crate::protocol::Load;
use crate::row::Row;
use crate::spec::{Codec, Placement, Spec, Spin, Subject, Worker};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

const SIZES: [usize; 9] = [
    0,
    KIB,
    16 * KIB,
    64 * KIB,
    256 * KIB,
    MIB,
    4 * MIB,
    16 * MIB,
    64 * MIB,
];

const QUICK_SIZES: [usize; 5] = [0, 4 * KIB, 64 * KIB, MIB, 64 * MIB];

/// The largest body with its header.
const MAX_FRAME: usize = 65 * MIB;

pub(super) fn run(bench: &mut Bench<'_>) -> Result<()> {
    let quick = bench.quick();
    let sizes: &[usize] = if quick { &QUICK_SIZES } else { &SIZES };
    let mut rows = Vec::new();
    for &bytes in sizes {
        let mut add = |spec| rows.push(Row::new(Scenario::Payload, spec, Load::Echo { bytes }));
        add(Spec::plain(Subject::FloorMemcpy, None));
        for placement in [Placement::Across, Placement::Free] {
            if quick && placement == Placement::Free {
                continue;
            }
            add(Spec::plain(Subject::FloorRustEcho, Some(placement)));
            for worker in [Worker::Pure, Worker::Native] {
                let spec = bench.pool(Codec::MsgPack, worker, Spin::Auto, placement);
                add(Spec {
                    max_frame: Some(MAX_FRAME),
                    ..spec
                });
            }
        }
    }
    bench.measure(rows)
}
