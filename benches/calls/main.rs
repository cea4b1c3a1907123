//! What a call costs: one caller and 64 callers, JSON and MessagePack, one worker, beside the
//! floor, which is a blocking socket ping-pong with a bare Python loop. Run by `cargo xtask bench`.
//!
//! The loop is closed: every caller sends its next call when the last one is answered, so the rows
//! show service time and saturation, and say nothing about the tail under a given arrival rate.
//! Subjects take turns in short rounds, so that a machine that changes its speed changes it for all
//! of them, and every reply is verified.

mod affinity;
mod echo;
mod options;
mod report;
mod sample;
mod subject;

use std::error::Error;
use std::time::Duration;

use crate::affinity::Affinity;
use crate::echo::Echo;
use crate::options::Options;
use crate::report::Record;
use crate::sample::Sample;
use crate::subject::Subject;

/// Short enough that all subjects see the same weather, long enough to fill the caches again.
const ROUNDS: u32 = 20;

/// Calls before the first measured one, in which caches, spins and allocators find their level.
const WARM_UP: Duration = Duration::from_millis(200);

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let options = Options::from_arguments()?;
    if !options.asked {
        // `cargo test --all-targets` runs benchmarks too, without asking for a measurement.
        return Ok(());
    }
    // Before the runtime starts its threads, which inherit it.
    let affinity = Affinity::choose(options.pin)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    runtime.block_on(measure(&options, &affinity))
}

async fn measure(options: &Options, affinity: &Affinity) -> Result<()> {
    let json = Subject::start("JSON", pyproc::Json, affinity).await?;
    let msgpack = Subject::start("MessagePack", pyproc::MsgPack, affinity).await?;
    let mut json_echo = Echo::start(json.request_bytes(), affinity)?;
    let mut msgpack_echo = Echo::start(msgpack.request_bytes(), affinity)?;
    println!(
        "{}; Python {}",
        affinity.machine(),
        json.python_version().await?
    );

    let mut samples: [Sample; 6] = std::array::from_fn(|_| Sample::default());
    let round = Duration::from_secs_f64(options.seconds) / ROUNDS;
    for number in 0..=ROUNDS {
        let length = if number == 0 { WARM_UP } else { round };
        let [one, many, ping, one_packed, many_packed, ping_packed] = &mut samples;
        json_echo.ping_pong(length, ping)?;
        json.call(1, length, one).await?;
        json.call(64, length, many).await?;
        msgpack_echo.ping_pong(length, ping_packed)?;
        msgpack.call(1, length, one_packed).await?;
        msgpack.call(64, length, many_packed).await?;
        if number == 0 {
            samples.iter_mut().for_each(Sample::clear);
        }
    }
    json.stop().await?;
    msgpack.stop().await?;

    let [one, many, ping, one_packed, many_packed, ping_packed] = samples;
    let records = [
        Record::new("one caller", "floor", "JSON", 1, &ping, &ping),
        Record::new("one caller", "pyproc", "JSON", 1, &one, &ping),
        Record::new("64 callers", "pyproc", "JSON", 64, &many, &ping),
        Record::new(
            "one caller",
            "floor",
            "MessagePack",
            1,
            &ping_packed,
            &ping_packed,
        ),
        Record::new(
            "one caller",
            "pyproc",
            "MessagePack",
            1,
            &one_packed,
            &ping_packed,
        ),
        Record::new(
            "64 callers",
            "pyproc",
            "MessagePack",
            64,
            &many_packed,
            &ping_packed,
        ),
    ];
    report::print(&records);
    if let Some(file) = &options.json {
        report::write(&records, file)?;
    }
    Ok(())
}
