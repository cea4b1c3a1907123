//! Which plots there are, and how each is read.

mod distribution;
mod totals;

use super::chart::{Axis, Chart, Line};
use super::scale::Scale;
use super::style::{self, Style};
use crate::row::Measured;
use crate::scenario::Scenario;
use crate::spec::{Codec, Placement, Spin, Subject};

/// A plot, and how it is read.
pub(crate) struct Figure {
    pub(crate) title: &'static str,
    pub(crate) how_to_read: &'static str,
    /// The drawing; `None` where there are no rows for it.
    pub(crate) plot: Option<String>,
}

/// The figures of which there are rows.
pub(crate) fn of(rows: &[Measured]) -> Vec<Figure> {
    let figures = [
        distribution::one_caller_across(rows),
        distribution::one_caller_same(rows),
        throughput(rows),
        distribution::open_loop(rows),
        payload(rows),
        totals::processor_time(rows),
        scaling(rows),
        totals::startup(rows),
    ];
    figures
        .into_iter()
        .filter(|figure| figure.plot.is_some())
        .collect()
}

fn throughput(rows: &[Measured]) -> Figure {
    let floor = rows.iter().find(|one| {
        one.row.scenario == Scenario::Concurrent && one.row.spec.subject == Subject::FloorPythonEcho
    });
    let has_one_caller = rows.iter().any(|one| {
        one.row.scenario == Scenario::Concurrent
            && one.row.spec.subject == Subject::Pyproc
            && one.row.callers() == Some(1)
    });
    let of_callers: Vec<_> = rows
        .iter()
        .filter(|one| {
            // One caller of a pool is measured as service time.
            let alone = one.row.scenario == Scenario::Sequential
                && one.row.spec.subject == Subject::Pyproc
                && !has_one_caller;
            (one.row.scenario == Scenario::Concurrent || alone)
                && one.row.spec.placement == Some(Placement::Free)
                && one.row.spec.spin != Some(Spin::Off)
                && one.row.spec.workers == 1
        })
        .collect();
    let name = |one: &Measured| {
        let json = one.row.spec.codec == Some(Codec::Json) && one.row.spec.worker.is_some();
        style::name(&one.row) + if json { ", JSON" } else { "" }
    };
    let value = |one: &Measured| one.per_second();
    let mut lines = lines_by(&of_callers, name, |one| one.row.callers(), value);
    let callers = |lines: &[Line], pick: fn(f64, f64) -> f64| {
        lines
            .iter()
            .flat_map(|line| line.points.iter().map(|point| point.0))
            .reduce(pick)
    };
    let low = callers(&lines, f64::min).unwrap_or(1.0);
    let high = callers(&lines, f64::max).unwrap_or(256.0);
    if let Some((one, rate)) = floor.and_then(|one| Some((one, one.per_second()?)))
        && !lines.is_empty()
    {
        lines.push(Line {
            name: "bare Python echo, 1".into(),
            style: Style::of(&one.row).dashed(),
            points: vec![(low, rate), (high, rate)],
            has_dots: false,
        });
    }
    let values = lines
        .iter()
        .flat_map(|line| line.points.iter().map(|point| point.1));
    let scale = Scale::around(values);
    let plot = Chart {
        x: Axis {
            label: "callers at once",
            scale: Scale::Binary {
                low: low / 1.3,
                high,
            },
            format: style::count,
        },
        y: Axis {
            label: "calls/s",
            scale,
            format: style::count,
        },
        lines,
    };
    Figure {
        title: "Calls per second by callers, one worker, no pinning",
        how_to_read: "So many callers, each with one call at a time, against one worker. Both axes are logarithmic: a \
                      step of the same length is the same factor. Higher is better. Each peer is shown in the better \
                      of its documented modes; the bare Python echo has one caller and checks nothing.",
        plot: some(plot),
    }
}

fn payload(rows: &[Measured]) -> Figure {
    let chosen: Vec<_> = rows
        .iter()
        .filter(|one| {
            one.row.scenario == Scenario::Payload
                && matches!(one.row.spec.placement, Some(Placement::Across) | None)
        })
        .collect();
    let lines = lines_by(
        &chosen,
        |one| style::name(&one.row),
        |one| one.row.bytes(),
        |one| one.quantile_us(0.5),
    );
    let sizes = lines
        .iter()
        .flat_map(|line| line.points.iter().map(|point| point.0));
    let low = sizes
        .clone()
        .filter(|size| *size > 0.0)
        .fold(f64::INFINITY, f64::min);
    let high = sizes.fold(0.0, f64::max);
    let values = lines
        .iter()
        .flat_map(|line| line.points.iter().map(|point| point.1));
    let scale = Scale::around(values);
    let plot = Chart {
        x: Axis {
            label: "bytes in the argument, and the same in the result",
            scale: Scale::LogAndZero { low, high },
            format: style::bytes,
        },
        y: Axis {
            label: "latency",
            scale,
            format: style::time,
        },
        lines,
    };
    Figure {
        title: "Median latency by payload, host and worker on a core each",
        how_to_read: "One caller sends bytes and gets them back. On the left, where bodies are small, a call costs \
                      what waking costs; on the right it costs what copying costs. The bare Rust echo sends the same \
                      message whole both ways with buffers that it keeps; memcpy copies it once. Lower is better.",
        plot: some(plot),
    }
}

fn scaling(rows: &[Measured]) -> Figure {
    let chosen: Vec<_> = rows
        .iter()
        .filter(|one| one.row.scenario == Scenario::Scaling)
        .collect();
    let workers = chosen.iter().map(|one| one.row.spec.workers);
    let most = workers.max().unwrap_or(2);
    let name = |one: &Measured| {
        let worker = style::name(&one.row).replace("pyproc, ", "");
        format!("{worker}, {}", one.row.case.unwrap_or_default())
    };
    let mut lines = lines_by(
        &chosen,
        name,
        |one| Some(one.row.spec.workers),
        Measured::per_second,
    );
    for line in &mut lines {
        if line.name.contains("busy") {
            line.style = line.style.dashed();
        }
    }
    let values = lines
        .iter()
        .flat_map(|line| line.points.iter().map(|point| point.1));
    let scale = Scale::around(values);
    let plot = Chart {
        x: Axis {
            label: "workers",
            scale: Scale::Binary {
                low: 0.85,
                high: most as f64,
            },
            format: style::count,
        },
        y: Axis {
            label: "calls/s",
            scale,
            format: style::count,
        },
        lines,
    };
    Figure {
        title: "Calls per second by workers, 256 callers",
        how_to_read: "“predict” does next to nothing, so the host soon has enough to do; “busy” (dashed) computes for \
                      100 µs, so each worker keeps a core busy. There is nothing to gain beyond the number of cores, \
                      which the head of the page gives. Higher is better.",
        plot: some(plot),
    }
}

/// A line for each name, through the values of its rows.
fn lines_by(
    rows: &[&Measured],
    name: impl Fn(&Measured) -> String,
    x: impl Fn(&Measured) -> Option<usize>,
    y: impl Fn(&Measured) -> Option<f64>,
) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for one in rows {
        let Some((x, y)) = x(one).zip(y(one)) else {
            continue;
        };
        let point = (x as f64, y);
        let name = name(one);
        match lines.iter_mut().find(|line| line.name == name) {
            Some(line) => line.points.push(point),
            None => lines.push(Line {
                name,
                style: Style::of(&one.row),
                points: vec![point],
                has_dots: true,
            }),
        }
    }
    for line in &mut lines {
        line.points.sort_by(|a, b| a.0.total_cmp(&b.0));
    }
    lines
}

fn some(chart: Chart) -> Option<String> {
    (!chart.lines.is_empty()).then(|| chart.svg())
}
