//! From the bytes of a read to frames: many small ones, one large one, and one that comes in pieces.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput};
use pyproc_proto::{DEFAULT_MAX_FRAME, Decoder, Flags, Frame, Header, Kind, Metadata};

fn reply(body_bytes: usize) -> Vec<u8> {
    let frame = Frame {
        header: Header {
            length: 0,
            kind: Kind::Reply,
            flags: Flags::NONE,
            index: 0,
            call: 7,
        },
        deadline: None,
        metadata: Metadata::default(),
        body: Bytes::from(vec![0x2A; body_bytes]),
    };
    let mut bytes = Vec::new();
    frame.encode(&mut bytes);
    bytes
}

/// Decodes all frames that the pieces hold, and says how many there were.
fn frames<'a>(mut decoder: Decoder, pieces: impl Iterator<Item = &'a [u8]>) -> usize {
    let mut count = 0;
    for piece in pieces {
        decoder.extend(piece);
        while let Ok(Some(frame)) = decoder.next_frame() {
            black_box(&frame);
            count += 1;
        }
    }
    count
}

fn decoder(criterion: &mut Criterion) {
    let cases = [
        (
            "128 replies of 16 B in one read",
            reply(16).repeat(128),
            usize::MAX,
        ),
        ("one reply of 1 MiB in one read", reply(1 << 20), usize::MAX),
        (
            "one reply of 1 MiB in reads of 64 KiB",
            reply(1 << 20),
            64 << 10,
        ),
        (
            "128 replies of 16 B in reads of 100 B",
            reply(16).repeat(128),
            100,
        ),
    ];
    let mut group = criterion.benchmark_group("decoder");
    for (name, bytes, read_bytes) in cases {
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        let read_bytes = read_bytes.min(bytes.len());
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || Decoder::new(DEFAULT_MAX_FRAME),
                |decoder| frames(decoder, bytes.chunks(read_bytes)),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    decoder(&mut criterion);
    criterion.final_summary();
}
