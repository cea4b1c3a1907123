//! The table on the terminal, which is Markdown too.

use std::fmt::Write as _;

use crate::record::Record;
use crate::row::{Measured, Unit};
use crate::scenario::Scenario;

/// The rows of one scenario, as text. Columns in which no row has anything are left out.
pub(crate) struct Section {
    pub(crate) name: String,
    pub(crate) about: &'static str,
    pub(crate) heads: Vec<Head>,
    pub(crate) rows: Vec<Vec<String>>,
}

/// The head of a column.
#[derive(Clone, Copy)]
pub(crate) struct Head {
    pub(crate) text: &'static str,
    pub(crate) is_number: bool,
}

/// One section for each scenario; of several runs the medians, with the lowest and the highest where it matters.
pub(crate) fn sections(runs: &[Vec<Measured>]) -> Vec<Section> {
    let lines: Vec<Line> = runs.first().map_or_else(Vec::new, |first| {
        let same = first.iter().map(|measured| same_row(runs, measured));
        same.map(|same| Line::new(&same)).collect()
    });
    let groups = lines.chunk_by(|a, b| a.scenario == b.scenario);
    groups.filter_map(Section::new).collect()
}

impl Section {
    fn new(lines: &[Line]) -> Option<Self> {
        let first = lines.first()?;
        let used: Vec<_> = (0..HEADS.len())
            .filter(|&column| lines.iter().any(|line| !line.cells[column].is_empty()))
            .collect();
        let head = |&column: &usize| Head {
            text: HEADS[column],
            is_number: column >= FIRST_NUMBER,
        };
        let row = |line: &Line| {
            used.iter()
                .map(|&column| line.cells[column].clone())
                .collect()
        };
        Some(Self {
            name: first.scenario.name(),
            about: first.scenario.about(),
            heads: used.iter().map(head).collect(),
            rows: lines.iter().map(row).collect(),
        })
    }
}

/// The sections as Markdown whose columns stand below each other on a terminal too.
pub(crate) fn markdown(sections: &[Section]) -> String {
    let mut text = String::new();
    for section in sections {
        let _ = writeln!(text, "\n### {}\n\n{}\n", section.name, section.about);
        section.table(&mut text);
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
    scenario: Scenario,
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
            scenario: measured.row.scenario,
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

impl Section {
    fn table(&self, text: &mut String) {
        let width = |column: usize| {
            let cells = self.rows.iter().map(|row| row[column].chars().count());
            let head = self.heads[column].text.chars().count();
            cells.max().unwrap_or(0).max(head).max(3)
        };
        let widths: Vec<_> = (0..self.heads.len()).map(width).collect();
        let mut line = |cell: &dyn Fn(usize) -> String, fill: char| {
            for (column, (head, &width)) in self.heads.iter().zip(&widths).enumerate() {
                let cell = cell(column);
                let padding = width - cell.chars().count();
                let padding: String = std::iter::repeat_n(fill, padding).collect();
                let _ = match head.is_number {
                    true => write!(text, "| {padding}{cell} "),
                    false => write!(text, "| {cell}{padding} "),
                };
            }
            text.push_str("|\n");
        };
        line(&|column| self.heads[column].text.to_owned(), ' ');
        let rule = |column: usize| match self.heads[column].is_number {
            true => "--:".to_owned(),
            false => "---".to_owned(),
        };
        line(&rule, '-');
        for row in &self.rows {
            line(&|column| row[column].clone(), ' ');
        }
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
pub(crate) fn whole(value: f64) -> String {
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
