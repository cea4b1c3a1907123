//! From values to bodies and back, in each codec: a small map, a record, many floats, and bytes.

use std::hint::black_box;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};
use pyproc_proto::{Codec, Json};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Question {
    value: i64,
}

#[derive(Serialize, Deserialize)]
struct Record {
    id: u64,
    name: String,
    tags: Vec<String>,
    position: (f64, f64, f64),
    confidence: Option<f64>,
    is_checked: bool,
}

fn record() -> Record {
    Record {
        id: 1_234_567,
        name: "Iris versicolor".to_owned(),
        tags: ["plant", "flower", "blue"].map(str::to_owned).to_vec(),
        position: (48.137_154, 11.576_124, 519.0),
        confidence: Some(0.973_25),
        is_checked: true,
    }
}

fn bodies<C: Codec>(group: &mut BenchmarkGroup<'_, WallTime>, codec: &C) {
    both_ways(group, codec, "small map", &Question { value: 42 });
    both_ways(group, codec, "record", &record());
    let floats: Vec<f64> = (0..1000).map(|number| f64::from(number) / 7.0).collect();
    both_ways(group, codec, "1000 floats", &floats);
}

fn both_ways<C: Codec, T: Serialize + DeserializeOwned>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    codec: &C,
    name: &str,
    value: &T,
) {
    let mut body = Vec::new();
    codec
        .encode(value, &mut body)
        .expect("the value can be encoded");
    group.throughput(Throughput::Bytes(body.len() as u64));
    let mut output = Vec::with_capacity(body.len());
    group.bench_function(format!("{name}/encode"), |bencher| {
        bencher.iter(|| {
            output.clear();
            codec.encode(black_box(value), &mut output)
        });
    });
    group.bench_function(format!("{name}/decode"), |bencher| {
        bencher.iter(|| codec.decode::<T>(black_box(&body)));
    });
}

fn json(criterion: &mut Criterion) {
    bodies(&mut criterion.benchmark_group("json"), &Json);
}

#[cfg(feature = "msgpack")]
fn msgpack(criterion: &mut Criterion) {
    use pyproc_proto::MsgPack;
    use serde_bytes::ByteBuf;

    let mut group = criterion.benchmark_group("msgpack");
    bodies(&mut group, &MsgPack);
    let bytes = ByteBuf::from(vec![0x2A; 1 << 20]);
    both_ways(&mut group, &MsgPack, "1 MiB of bytes", &bytes);
}

#[cfg(not(feature = "msgpack"))]
fn msgpack(_: &mut Criterion) {}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    json(&mut criterion);
    msgpack(&mut criterion);
    criterion.final_summary();
}
