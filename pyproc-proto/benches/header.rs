//! The sixteen bytes before every body.

use std::hint::black_box;

use criterion::Criterion;
use pyproc_proto::{DEFAULT_MAX_FRAME, Flags, HEADER_LEN, Header, Kind};

fn header(criterion: &mut Criterion) {
    let header = Header {
        length: 64,
        kind: Kind::Request,
        flags: Flags::NONE,
        index: 3,
        call: 1_000_000,
    };
    let bytes: [u8; HEADER_LEN] = header.encode();
    criterion.bench_function("header/encode", |bencher| {
        bencher.iter(|| black_box(&header).encode());
    });
    criterion.bench_function("header/decode", |bencher| {
        bencher.iter(|| Header::decode(black_box(&bytes), DEFAULT_MAX_FRAME));
    });
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    header(&mut criterion);
    criterion.final_summary();
}
