//! The table on the terminal, which is Markdown too.

use std::fmt::Write as _;

use crate::record::Record;
use crate::row::{Measured, Unit};

/// One table for each scenario; of several runs the medians, with the lowest and the highest where it matters.
pub(crate) fn of_runs(runs: &[Vec<Measured>]) -> String {
    let lines: Vec<Line> = runs.first().map_or_else(Vec::new, |first| {
        first
            .iter()
            .map(|measured| Line::new(&same_row(runs, measured)))
            .collect()
    });
    let mut text = String::new();
    let mut rest = lines.as_slice();
    while let Some(first) = rest.first() {
        let scenario = first.scenario.clone();
        let count = rest
            .iter()
            .take_while(|line| line.scenario == scenario)
            .count();
        let (these, others) = rest.split_at(count);
        let _ = writeln!(text, "\n### {scenario}\n\n{}\n", first.about);
        table(&mut text, these);
        rest = others;
    }
    text
}

/// The same row in all runs that have it.
fn same_row<'a>(runs: &'a [Vec<Measured>], wanted: &Measured) -> Vec<&'a Measured> {
    let same = |other: &&Measured| wanted.row.is_same(&other.row);
    runs.iter()
        .filter_map(|run| run.iter().find(same))
        .collect()
}

struct Line {
    scenario: String,
    about: &'static str,
    cells: [String; HEADS.len()],
}

const HEADS: [&str; 15] = [
    "subject",
    "case",
    "codec",
    "worker",
    "spin",
    "placement",
    "workers",
    "callers",
    "bytes",
    "p50 µs",
    "p99 µs",
    "p99.9 µs",
    "per second",
    "CPU µs (host + worker)",
    "n",
];

/// The first column that holds a number.
const FIRST_NUMBER: usize = 6;

impl Line {
    fn new(same: &[&Measured]) -> Self {
        let measured = same[0];
        let records: Vec<_> = same.iter().map(|one| Record::new(one)).collect();
        let record = &records[0];
        let name = |value: serde_json::Result<serde_json::Value>| match value {
            Ok(serde_json::Value::String(text)) => text,
            _ => String::new(),
        };
        let spread = |of: fn(&Record) -> Option<f64>, format: fn(f64) -> String| {
            let mut values: Vec<_> = records.iter().filter_map(of).collect();
            spread(&mut values, format)
        };
        let rate = match record.unit {
            Some(Unit::Bytes) => bytes_per_second,
            _ => whole,
        };
        let cpu = middle(same, Measured::host_cpu_us)
            .zip(middle(same, Measured::worker_cpu_us))
            .map_or_else(String::new, |(host, worker)| {
                format!(
                    "{} = {} + {}",
                    short(host + worker),
                    short(host),
                    short(worker)
                )
            });
        Self {
            scenario: measured.row.scenario.name(),
            about: measured.row.scenario.about(),
            cells: [
                name(serde_json::to_value(record.subject)),
                measured.row.case.unwrap_or_default().to_owned(),
                name(serde_json::to_value(record.codec)),
                name(serde_json::to_value(record.worker)),
                name(serde_json::to_value(record.spin)),
                name(serde_json::to_value(record.placement)),
                count(record.workers),
                count(record.callers),
                count(record.bytes),
                spread(|record| record.p50_us, short),
                spread(|record| record.p99_us, short),
                spread(|record| record.p999_us, short),
                spread(|record| record.per_second, rate),
                cpu,
                whole(record.n as f64),
            ],
        }
    }
}

fn middle(same: &[&Measured], of: fn(&Measured) -> Option<f64>) -> Option<f64> {
    let mut values: Vec<_> = same.iter().filter_map(|one| of(one)).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// The median, with the lowest and the highest of several runs.
fn spread(values: &mut [f64], format: fn(f64) -> String) -> String {
    values.sort_by(f64::total_cmp);
    match values {
        [] => String::new(),
        [one] => format(*one),
        [low, .., high] => {
            let (low, high) = (format(*low), format(*high));
            let middle = format(values[values.len() / 2]);
            format!("{middle} ({low}–{high})")
        }
    }
}

/// Columns in which no line has anything are left out.
fn table(text: &mut String, lines: &[Line]) {
    let used: Vec<_> = (0..HEADS.len())
        .filter(|&column| lines.iter().any(|line| !line.cells[column].is_empty()))
        .collect();
    let widths: Vec<_> = used
        .iter()
        .map(|&column| {
            let cells = lines.iter().map(|line| line.cells[column].chars().count());
            cells
                .max()
                .unwrap_or(0)
                .max(HEADS[column].chars().count())
                .max(3)
        })
        .collect();
    let mut row = |cell: &dyn Fn(usize) -> String, fill: char| {
        for (&column, &width) in used.iter().zip(&widths) {
            let cell = cell(column);
            let padding: String = std::iter::repeat_n(fill, width - cell.chars().count()).collect();
            let _ = match column {
                FIRST_NUMBER.. => write!(text, "| {padding}{cell} "),
                _ => write!(text, "| {cell}{padding} "),
            };
        }
        text.push_str("|\n");
    };
    row(&|column| HEADS[column].to_owned(), ' ');
    row(
        &|column| if column < FIRST_NUMBER { "---" } else { "--:" }.to_owned(),
        '-',
    );
    for line in lines {
        row(&|column| line.cells[column].clone(), ' ');
    }
}

fn count(number: Option<usize>) -> String {
    number.map_or_else(String::new, |number| whole(number as f64))
}

/// Three digits that count.
fn short(value: f64) -> String {
    match value {
        ..10.0 => format!("{value:.2}"),
        ..100.0 => format!("{value:.1}"),
        _ => whole(value),
    }
}

/// A whole number with its thousands apart.
fn whole(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn bytes_per_second(value: f64) -> String {
    match value {
        1e9.. => format!("{:.2} GB", value / 1e9),
        1e6.. => format!("{:.1} MB", value / 1e6),
        _ => format!("{:.1} kB", value / 1e3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_legible() {
        assert_eq!(short(0.1234), "0.12");
        assert_eq!(short(12.34), "12.3");
        assert_eq!(short(1234.5), "1,234");
        assert_eq!(whole(1_234_567.0), "1,234,567");
        assert_eq!(bytes_per_second(2.5e9), "2.50 GB");
    }

    #[test]
    fn several_runs_show_their_spread() {
        assert_eq!(spread(&mut [3.0, 1.0, 2.0], whole), "2 (1–3)");
        assert_eq!(spread(&mut [3.0], whole), "3");
        assert_eq!(spread(&mut [], whole), "");
    }
}
