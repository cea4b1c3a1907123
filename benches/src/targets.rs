//! What the project wants to reach, as ratios between rows of one run.

mod run;

use std::fmt::Write as _;

use crate::record::Record;
use crate::scenario::cancel;
use crate::spec::{Codec, Placement, Subject, Worker};
use crate::table::whole;
use run::Run;

/// One line of the list of targets.
struct Target {
    name: &'static str,
    limit: Limit,
    unit: &'static str,
    value: fn(&Run<'_>) -> Option<f64>,
}

enum Limit {
    AtLeast(f64),
    AtMost(f64),
}

use Limit::{AtLeast, AtMost};

const TARGETS: &[Target] = &[
    Target {
        name: "sequential p50, native, across: of the bare Python echo",
        limit: AtMost(0.10),
        unit: "×",
        value: |run| run.echo_ratio(Worker::Native, Placement::Across),
    },
    Target {
        name: "sequential p50, native, same: of the bare Python echo",
        limit: AtMost(1.2),
        unit: "×",
        value: |run| run.echo_ratio(Worker::Native, Placement::Same),
    },
    Target {
        name: "sequential p50, pure, across: of the bare Python echo",
        limit: AtMost(0.25),
        unit: "×",
        value: |run| run.echo_ratio(Worker::Pure, Placement::Across),
    },
    Target {
        name: "256 callers, native, free, calls/s: of the bare Python echo across",
        limit: AtLeast(60.0),
        unit: "×",
        value: |run| run.saturation_ratio(Worker::Native),
    },
    Target {
        name: "256 callers, pure, free, calls/s: of the bare Python echo across",
        limit: AtLeast(13.0),
        unit: "×",
        value: |run| run.saturation_ratio(Worker::Pure),
    },
    Target {
        name: "256 callers, native, free",
        limit: AtLeast(700_000.0),
        unit: "calls/s",
        value: |run| run.saturated(Worker::Native)?.per_second,
    },
    Target {
        name: "best calls/s, native: of grpcio's best",
        limit: AtLeast(150.0),
        unit: "×",
        value: |run| run.rate_ratio(Subject::Grpcio),
    },
    Target {
        name: "best calls/s, native: of mosec's best",
        limit: AtLeast(150.0),
        unit: "×",
        value: |run| run.rate_ratio(Subject::Mosec),
    },
    Target {
        name: "sequential p50, across: grpcio's of native's",
        limit: AtLeast(40.0),
        unit: "×",
        value: |run| run.latency_ratio(Subject::Grpcio),
    },
    Target {
        name: "sequential p50, across: mosec's of native's",
        limit: AtLeast(40.0),
        unit: "×",
        value: |run| run.latency_ratio(Subject::Mosec),
    },
    Target {
        name: "CPU of both sides per call, 256 callers, native, free",
        limit: AtMost(2.9),
        unit: "µs",
        value: |run| run.saturated(Worker::Native)?.cpu_us_per_call,
    },
    Target {
        name: "idle pool of 4, native, spin auto",
        limit: AtMost(0.1),
        unit: "% of a core",
        value: |run| Some(run.idle(Worker::Native)?.cpu_us_per_call? / 1e4),
    },
    Target {
        name: "idle pool of 4, pure, spin auto",
        limit: AtMost(0.1),
        unit: "% of a core",
        value: |run| Some(run.idle(Worker::Pure)?.cpu_us_per_call? / 1e4),
    },
    Target {
        name: "oversubscribed, native, `busy`, calls/s: spin auto of off",
        limit: AtLeast(0.95),
        unit: "×",
        value: |run| run.oversubscribed(Worker::Native, 4),
    },
    Target {
        name: "oversubscribed, native, `predict`, calls/s: spin auto of off",
        limit: AtLeast(0.95),
        unit: "×",
        value: |run| run.oversubscribed(Worker::Native, 64),
    },
    Target {
        name: "oversubscribed, pure, `busy`, calls/s: spin auto of off",
        limit: AtLeast(0.95),
        unit: "×",
        value: |run| run.oversubscribed(Worker::Pure, 4),
    },
    Target {
        name: "oversubscribed, pure, `predict`, calls/s: spin auto of off",
        limit: AtLeast(0.95),
        unit: "×",
        value: |run| run.oversubscribed(Worker::Pure, 64),
    },
    Target {
        name: "64 MiB there and back, native, across: of the bare Rust echo",
        limit: AtMost(4.0),
        unit: "×",
        value: |run| run.payload_ratio(Worker::Native),
    },
    Target {
        name: "64 MiB there and back, pure, across: of the bare Rust echo",
        limit: AtMost(4.0),
        unit: "×",
        value: |run| run.payload_ratio(Worker::Pure),
    },
    Target {
        name: "1,000 async calls of 10 ms at once, native, free",
        limit: AtMost(60.0),
        unit: "ms",
        value: |run| run.naps_ms(Worker::Native),
    },
    Target {
        name: "1,000 async calls of 10 ms at once, pure, free",
        limit: AtMost(60.0),
        unit: "ms",
        value: |run| run.naps_ms(Worker::Pure),
    },
    Target {
        name: "64 callers of a function of 1 ms, native, calls/s: batched of single",
        limit: AtLeast(20.0),
        unit: "×",
        value: |run| run.batch_ratio(Worker::Native),
    },
    Target {
        name: "64 callers of a function of 1 ms, pure, calls/s: batched of single",
        limit: AtLeast(20.0),
        unit: "×",
        value: |run| run.batch_ratio(Worker::Pure),
    },
    Target {
        name: "1,000,000 stream items of 64 bytes, native, across",
        limit: AtMost(1.0),
        unit: "s",
        value: |run| run.million_items_s(Worker::Native),
    },
    Target {
        name: "stream items/s, native, across: of the bare Python sender",
        limit: AtLeast(0.5),
        unit: "×",
        value: |run| run.stream_ratio(Worker::Native),
    },
    Target {
        name: "stream items/s, pure, across: of the bare Python sender",
        limit: AtLeast(0.15),
        unit: "×",
        value: |run| run.stream_ratio(Worker::Pure),
    },
    Target {
        name: "a cancelled `time.sleep` frees its worker, p50, native, free",
        limit: AtMost(5.0),
        unit: "ms",
        value: |run| run.cancelled_ms(Worker::Native, cancel::SLEEP),
    },
    Target {
        name: "a cancelled `time.sleep` frees its worker, p50, pure, free",
        limit: AtMost(5.0),
        unit: "ms",
        value: |run| run.cancelled_ms(Worker::Pure, cancel::SLEEP),
    },
    Target {
        name: "a cancelled endless loop frees its worker, p50, native, free",
        limit: AtMost(10.0),
        unit: "ms",
        value: |run| run.cancelled_ms(Worker::Native, cancel::LOOP),
    },
    Target {
        name: "a cancelled endless loop frees its worker, p50, pure, free",
        limit: AtMost(10.0),
        unit: "ms",
        value: |run| run.cancelled_ms(Worker::Pure, cancel::LOOP),
    },
    Target {
        name: "start of a worker, pure without msgspec, above `python3 -c pass`",
        limit: AtMost(60.0),
        unit: "ms",
        value: |run| run.start_ms(Worker::Pure, Codec::Json),
    },
    Target {
        name: "start of a worker, native with msgspec, above `python3 -c pass`",
        limit: AtMost(120.0),
        unit: "ms",
        value: |run| run.start_ms(Worker::Native, Codec::MsgPack),
    },
];

/// What became of a target.
pub(crate) struct Reached {
    pub(crate) name: &'static str,
    pub(crate) limit: String,
    pub(crate) median: String,
    pub(crate) spread: String,
    pub(crate) holds: bool,
}

/// The targets of which the runs have the rows.
pub(crate) fn of_runs(runs: &[Vec<Record>]) -> Vec<Reached> {
    TARGETS
        .iter()
        .filter_map(|target| target.reached(runs))
        .collect()
}

impl Target {
    fn reached(&self, runs: &[Vec<Record>]) -> Option<Reached> {
        let values = runs.iter().filter_map(|run| (self.value)(&Run(run)));
        let mut values: Vec<_> = values.collect();
        values.sort_by(f64::total_cmp);
        let &median = values.get(values.len() / 2)?;
        let (limit, holds) = match self.limit {
            AtLeast(limit) => (format!("≥ {}", short(limit)), median >= limit),
            AtMost(limit) => (format!("≤ {}", short(limit)), median <= limit),
        };
        let unit = self.unit;
        Some(Reached {
            name: self.name,
            limit: format!("{limit} {unit}"),
            median: format!("{} {unit}", short(median)),
            spread: match values.as_slice() {
                [low, .., high] => format!("{}–{}", short(*low), short(*high)),
                _ => String::new(),
            },
            holds,
        })
    }
}

pub(crate) const ABOUT: &str = "Ratios between rows of one run; MessagePack, spin auto. The median of all runs, and their spread.";

/// The list as Markdown; nothing if it is empty.
pub(crate) fn markdown(reached: &[Reached]) -> String {
    if reached.is_empty() {
        return String::new();
    }
    let mut text = format!(
        "\n### targets\n\n{ABOUT}\n\n| what | target | reached | spread | holds |\n\
         | --- | ---: | ---: | ---: | --- |\n"
    );
    for one in reached {
        let holds = if one.holds { "yes" } else { "**no**" };
        let Reached {
            name,
            limit,
            median,
            spread,
            ..
        } = one;
        let _ = writeln!(text, "| {name} | {limit} | {median} | {spread} | {holds} |");
    }
    text
}

fn short(value: f64) -> String {
    match value {
        ..1.0 => format!("{value:.3}"),
        ..100.0 => format!("{value:.2}"),
        _ => whole(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Round;
    use crate::row::{Measured, Row};
    use crate::scenario::Scenario;
    use crate::spec::{Spec, Spin};

    fn record(spec: Spec, microseconds: u64) -> Record {
        let row = Row::closed(Scenario::Sequential, spec, 1);
        let mut measured = Measured::new(row).unwrap();
        measured.add(&Round {
            calls: 1,
            elapsed_ns: microseconds * 1000,
            host_cpu_ns: None,
            worker_cpu_ns: None,
            latencies: vec![(microseconds * 1000, 1)],
        });
        Record::new(&measured)
    }

    #[test]
    fn ratios_are_taken_within_a_run_and_the_median_of_them_counts() {
        let run = |ours| {
            let pool = Spec::pool(Codec::MsgPack, Worker::Pure, Spin::Auto, Placement::Across);
            let floor = Spec::plain(Subject::FloorPythonEcho, Some(Placement::Across));
            vec![record(pool, ours), record(floor, 100)]
        };
        let text = markdown(&of_runs(&[run(20), run(30), run(24)]));
        let line = "| ≤ 0.250 × | 0.240 × | 0.200–0.300 | yes |";
        assert!(text.contains(line), "{text}");
        assert!(!text.contains("native"), "{text}");
        assert_eq!(markdown(&of_runs(&[vec![]])), "");
    }
}
