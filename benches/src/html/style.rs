//! How a subject looks: the same in every plot.

use crate::row::Row;
use crate::spec::{Codec, Spin, Subject, Worker};

#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    pub(crate) class: &'static str,
    is_dashed: bool,
    is_thin: bool,
}

impl Style {
    pub(crate) fn of(row: &Row) -> Self {
        let spec = &row.spec;
        let class = match spec.subject {
            Subject::Pyproc if spec.worker == Some(Worker::Native) => "native",
            Subject::Pyproc => "pure",
            Subject::FloorPythonEcho | Subject::FloorPythonItems | Subject::FloorPythonStart => {
                "floor-python"
            }
            Subject::FloorRustEcho | Subject::FloorRustItems => "floor-rust",
            Subject::FloorFutex | Subject::FloorMemcpy => "floor-futex",
            Subject::Grpcio => "grpcio",
            Subject::Mosec => "mosec",
            Subject::Pipe => "pipe",
        };
        Self {
            class,
            is_dashed: spec.spin == Some(Spin::Off) || spec.codec == Some(Codec::Json),
            is_thin: spec.subject != Subject::Pyproc,
        }
    }

    pub(crate) fn dashed(self) -> Self {
        Self {
            is_dashed: true,
            ..self
        }
    }

    /// Classes beside that of the colour.
    pub(crate) fn modifiers(self) -> String {
        let dash = if self.is_dashed { " dash" } else { "" };
        let thin = if self.is_thin { " thin" } else { "" };
        format!("{dash}{thin}")
    }
}

/// What a subject is called in a plot.
pub(crate) fn name(row: &Row) -> String {
    let spec = &row.spec;
    let plain = match spec.subject {
        Subject::Pyproc if spec.worker == Some(Worker::Native) => "pyproc, native",
        Subject::Pyproc => "pyproc, pure",
        Subject::FloorPythonEcho => "bare Python echo",
        Subject::FloorRustEcho => "bare Rust echo",
        Subject::FloorPythonItems => "bare Python sender",
        Subject::FloorRustItems => "bare Rust sender",
        Subject::FloorFutex => "futex wakes",
        Subject::FloorMemcpy => "memcpy",
        Subject::FloorPythonStart => "python3 -c pass",
        Subject::Grpcio => "grpcio",
        Subject::Mosec => "mosec",
        Subject::Pipe => "Pipe (Python only)",
    };
    plain.to_owned()
}

/// Microseconds, in the unit that reads best.
pub(crate) fn time(us: f64) -> String {
    let (value, unit) = match us {
        ..1.0 => (us * 1e3, "ns"),
        ..1e3 => (us, "µs"),
        ..1e6 => (us / 1e3, "ms"),
        _ => (us / 1e6, "s"),
    };
    format!("{} {unit}", three_digits(value))
}

/// A count, in thousands or millions.
pub(crate) fn count(value: f64) -> String {
    match value {
        ..1e3 => three_digits(value),
        ..1e6 => format!("{} k", three_digits(value / 1e3)),
        _ => format!("{} M", three_digits(value / 1e6)),
    }
}

pub(crate) fn bytes(value: f64) -> String {
    match value {
        ..1024.0 => format!("{value:.0} B"),
        ..1_048_576.0 => format!("{:.0} KiB", value / 1024.0),
        _ => format!("{:.0} MiB", value / 1_048_576.0),
    }
}

pub(crate) fn share(value: f64) -> String {
    let percent = format!("{:.2}", value * 100.0);
    let percent = percent.trim_end_matches('0').trim_end_matches('.');
    format!("{percent} %")
}

/// Three digits that count, without zeros that say nothing.
fn three_digits(value: f64) -> String {
    let text = match value {
        ..10.0 => format!("{value:.2}"),
        ..100.0 => format!("{value:.1}"),
        _ => return format!("{value:.0}"),
    };
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_unit_that_reads_best() {
        assert_eq!(time(0.25), "250 ns");
        assert_eq!(time(5.0), "5 µs");
        assert_eq!(time(1500.0), "1.5 ms");
        assert_eq!(count(1_234_567.0), "1.23 M");
        assert_eq!(count(100_000.0), "100 k");
        assert_eq!(bytes(65_536.0), "64 KiB");
        assert_eq!(share(0.999), "99.9 %");
        assert_eq!(share(0.0), "0 %");
    }
}
