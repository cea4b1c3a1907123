use anyhow::Result;

use super::Scenario;
use crate::driver::Bench;
use crate::protocol::Load;
use crate::row::Row;
use crate::spec::{Codec, Placement, Spec, Spin, Subject, Worker};

const BYTES: usize = 64;

pub(super) fn run(bench: &mut Bench<'_>) -> Result<()> {
    // A round is one stream at least, however long that takes.
    let (items, rounds) = if bench.quick() {
        (100_000, 2)
    } else {
        (1_000_000, 5)
    };
    let mut rows = Vec::new();
    for placement in [Placement::Across, Placement::Free] {
        let load = Load::Stream {
            items,
            bytes: BYTES,
        };
        let mut add = |spec| rows.push(Row::new(Scenario::Stream, spec, load.clone()));
        for floor in [Subject::FloorRustItems, Subject::FloorPythonItems] {
            add(Spec::plain(floor, Some(placement)));
        }
        for worker in [Worker::Pure, Worker::Native] {
            add(bench.pool(Codec::MsgPack, worker, Spin::Auto, placement));
        }
    }
    let measured = bench.rounds(rows, rounds)?;
    bench.report(measured);
    Ok(())
}
