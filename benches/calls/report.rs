use std::fs;
use std::path::Path;

use serde::Serialize;

use crate::{Result, Sample};

/// One row.
#[derive(Serialize)]
pub(crate) struct Record {
    scenario: &'static str,
    subject: &'static str,
    codec: &'static str,
    callers: usize,
    n: usize,
    p50_us: f64,
    p99_us: f64,
    per_second: f64,
    /// Processor time of host and worker together; not known of the floor.
    cpu_us: Option<f64>,
    /// Time per call over the floor's time per call: below 1, calls share what the floor pays for
    /// each of them.
    ratio_to_floor: f64,
}

impl Record {
    pub(crate) fn new(
        scenario: &'static str,
        subject: &'static str,
        codec: &'static str,
        callers: usize,
        sample: &Sample,
        floor: &Sample,
    ) -> Self {
        let [p50_us, p99_us] = sample.quantiles_us([0.5, 0.99]);
        Self {
            scenario,
            subject,
            codec,
            callers,
            n: sample.calls(),
            p50_us,
            p99_us,
            per_second: sample.per_second(),
            cpu_us: sample.cpu_us(),
            ratio_to_floor: floor.per_second() / sample.per_second(),
        }
    }
}

/// Prints the rows as a table that Markdown understands.
pub(crate) fn print(records: &[Record]) {
    println!();
    println!(
        "| scenario   | subject | codec       |   calls | p50 µs | p99 µs | calls/s | CPU µs | × floor |"
    );
    println!(
        "| ---------- | ------- | ----------- | ------: | -----: | -----: | ------: | -----: | ------: |"
    );
    for record in records {
        let cpu = record
            .cpu_us
            .map_or("–".to_owned(), |us| format!("{us:.1}"));
        println!(
            "| {:10} | {:7} | {:11} | {:7} | {:6.1} | {:6.1} | {:7.0} | {cpu:>6} | {:7.2} |",
            record.scenario,
            record.subject,
            record.codec,
            record.n,
            record.p50_us,
            record.p99_us,
            record.per_second,
            record.ratio_to_floor,
        );
    }
}

/// Writes the rows as a JSON list.
pub(crate) fn write(records: &[Record], file: &Path) -> Result<()> {
    fs::write(file, serde_json::to_string_pretty(records)? + "\n")?;
    Ok(())
}
