//! Which plots there are, and how each is read.

use super::bars::{Bar, Bars};
use super::chart::{Axis, Chart, Line};
use super::scale::Scale;
use super::style::{self, Style};
use crate::row::Measured;
use crate::scenario::Scenario;
use crate::spec::{Codec, Placement, Spin, Subject, Worker};

/// A plot, and how it is read.
pub(crate) struct Figure {
    pub(crate) title: &'static str,
    pub(crate) how_to_read: &'static str,
    /// The drawing; `None` where there are no rows for it.
    pub(crate) plot: Option<String>,
}

/// A number at the head of the page.
pub(crate) struct Card {
    pub(crate) value: String,
    pub(crate) what: String,
    pub(crate) beside: String,
}

/// The figures of which there are rows.
pub(crate) fn of(rows: &[Measured]) -> Vec<Figure> {
    let figures = [
        one_caller_across(rows),
        one_caller_same(rows),
        throughput(rows),
        open_loop(rows),
        payload(rows),
        processor_time(rows),
        scaling(rows),
        startup(rows),
    ];
    figures
        .into_iter()
        .filter(|figure| figure.plot.is_some())
        .collect()
}

fn one_caller_across(rows: &[Measured]) -> Figure {
    Figure {
        title: "One call, host and worker on a core each",
        how_to_read: "One caller; the next call begins when the last one is answered. Each line shows, from left to \
                      right, how long the quickest calls take, the median one (50 %), and the slowest in a hundred, \
                      a thousand, ten thousand. Lower is better; an even line has no surprises. Most of it is the \
                      waking of a sleeping core: dashed lines sleep at once, full ones first look for a while.",
        plot: one_caller(rows, Placement::Across),
    }
}

fn one_caller_same(rows: &[Measured]) -> Figure {
    Figure {
        title: "One call, host and worker on the same core",
        how_to_read: "The same where both sides share one core, as in a container that has one. No core is woken, so \
                      what is left is work: system calls, switching between the processes, encoding, and Python. \
                      Looking for a reply would keep the other side from making it, so nobody looks.",
        plot: one_caller(rows, Placement::Same),
    }
}

fn one_caller(rows: &[Measured], placement: Placement) -> Option<String> {
    let lines = rows.iter().filter(|one| {
        let spec = &one.row.spec;
        one.row.scenario == Scenario::Sequential
            && spec.placement == Some(placement)
            && spec.codec != Some(Codec::Json)
    });
    distribution(lines.map(|one| (name_with_spin(one), one)).collect())
}

fn open_loop(rows: &[Measured]) -> Figure {
    let lines = rows.iter().filter(|one| {
        one.row.scenario == Scenario::OpenLoop && one.row.spec.spin == Some(Spin::Auto)
    });
    let lines: Vec<_> = lines
        .map(|one| {
            let rate = one.per_second().unwrap_or_default();
            let load = one.row.case.unwrap_or_default();
            let name = style::name(&one.row).replace("pyproc, ", "");
            (format!("{name}, {load}: {}/s", style::count(rate)), one)
        })
        .collect();
    Figure {
        title: "Latency of calls that come by themselves",
        how_to_read: "Calls begin at random moments, as those of many independent users do, at 50 % and at 80 % \
                      (dashed) of the rate that the subject reached at most in this run. A latency counts from the moment at which \
                      the call was to begin, so whoever is late does not get away with it. Lower is better.",
        plot: distribution(lines),
    }
}

fn distribution(lines: Vec<(String, &Measured)>) -> Option<String> {
    if lines.is_empty() {
        return None;
    }
    let calls = lines.iter().map(|(_, one)| one.calls).max().unwrap_or(0);
    // The slowest in ten thousand is not known from a few thousand calls.
    let nines = if calls >= 50_000 { 4.0 } else { 3.0 };
    let last = 1.0 - 10_f64.powf(-nines);
    let lines: Vec<_> = lines
        .into_iter()
        .map(|(name, one)| {
            let shares = (0..=120).map(|step| 1.0 - 10_f64.powf(-nines * f64::from(step) / 120.0));
            let point = |share: f64| Some((share.min(last), one.quantile_us(share)?));
            let style = Style::of(&one.row);
            Line {
                name,
                style: if one.row.case == Some("80 %") {
                    style.dashed()
                } else {
                    style
                },
                points: shares.filter_map(point).collect(),
                has_dots: false,
            }
        })
        .collect();
    let values = lines
        .iter()
        .flat_map(|line| line.points.iter().map(|point| point.1));
    let chart = Chart {
        x: Axis {
            label: "share of the calls that take no longer",
            scale: Scale::Nines { nines },
            format: style::share,
        },
        y: Axis {
            label: "latency",
            scale: Scale::around(values),
            format: style::time,
        },
        lines,
    };
    Some(chart.svg())
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

fn processor_time(rows: &[Measured]) -> Figure {
    let mut bars: Vec<(f64, Bar)> = Vec::new();
    let concurrent = rows.iter().filter(|one| {
        one.row.scenario == Scenario::Concurrent
            && one.row.spec.placement == Some(Placement::Free)
            && one.row.spec.spin != Some(Spin::Off)
            && one.row.spec.codec != Some(Codec::Json)
            && one.row.spec.workers == 1
    });
    for one in concurrent {
        let rate = one.per_second().unwrap_or_default();
        let Some(parts) = one.host_cpu_us().zip(one.worker_cpu_us()) else {
            continue;
        };
        let bar = Bar {
            name: style::name(&one.row),
            class: Style::of(&one.row).class,
            parts: parts.into(),
        };
        match bars.iter_mut().find(|(_, other)| other.name == bar.name) {
            Some(other) if other.0 < rate => *other = (rate, bar),
            Some(_) => {}
            None => bars.push((rate, bar)),
        }
    }
    bars.sort_by(|a, b| b.0.total_cmp(&a.0));
    let plot = Bars {
        format: style::time,
        bars: bars.into_iter().map(|(_, bar)| bar).collect(),
    };
    Figure {
        title: "Processor time of one call, at saturation",
        how_to_read: "What the host (full colour) and the worker (pale) together spend on one call, at the number of callers at which \
                      the subject gets most calls through. Shorter is better: this is what is left for your own code.",
        plot: plot.svg(),
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

fn startup(rows: &[Measured]) -> Figure {
    let chosen = rows
        .iter()
        .filter(|one| matches!(one.row.scenario, Scenario::Startup | Scenario::Replacement));
    let bar = |one: &Measured| {
        let workers = one.row.spec.workers;
        let what = match (one.row.scenario, workers) {
            (Scenario::Replacement, _) => ", replaced".to_owned(),
            _ if one.row.spec.subject != Subject::Pyproc => String::new(),
            (_, 1) => ", 1 worker".to_owned(),
            (_, workers) => format!(", {workers} workers"),
        };
        let bare = if one.row.spec.bare { ", bare" } else { "" };
        let name = style::name(&one.row).replace("pyproc, ", "");
        Some(Bar {
            name: format!("{name}{bare}{what}"),
            class: Style::of(&one.row).class,
            parts: [one.quantile_us(0.5)?, 0.0],
        })
    };
    let plot = Bars {
        format: style::time,
        bars: chosen.filter_map(bar).collect(),
    };
    Figure {
        title: "Time until ready",
        how_to_read: "From the start of a pool until all its workers are ready, in a new process each time; “replaced” \
                      is from kill -9 to the next worker's first answer, the delay before a restart included. \
                      “bare” is an interpreter without msgspec. Shorter is better.",
        plot: plot.svg(),
    }
}

/// The numbers at the head of the page.
pub(crate) fn key_numbers(rows: &[Measured]) -> Vec<Card> {
    let worker = |worker: Worker| {
        rows.iter()
            .any(|one| one.row.spec.worker == Some(worker))
            .then_some(worker)
    };
    let Some(worker) = worker(Worker::Native).or(worker(Worker::Pure)) else {
        return Vec::new();
    };
    let pool = |scenario: Scenario, placement: Placement, callers: Option<usize>| {
        rows.iter().find(|one| {
            let spec = &one.row.spec;
            one.row.scenario == scenario
                && spec.worker == Some(worker)
                && spec.codec == Some(Codec::MsgPack)
                && spec.spin == Some(Spin::Auto)
                && spec.placement == Some(placement)
                && (callers.is_none() || one.row.callers() == callers)
        })
    };
    let echo = rows.iter().find(|one| {
        one.row.scenario == Scenario::Sequential
            && one.row.spec.subject == Subject::FloorPythonEcho
            && one.row.spec.placement == Some(Placement::Across)
    });
    let echo = echo.and_then(|one| one.quantile_us(0.5));
    let mut cards = Vec::new();
    let sequential = pool(Scenario::Sequential, Placement::Across, Some(1));
    if let Some(p50) = sequential.and_then(|one| one.quantile_us(0.5)) {
        cards.push(Card {
            value: style::time(p50),
            what: "one call, there and back".into(),
            beside: echo.map_or_else(String::new, |echo| {
                format!("a bare socket echo to Python: {}", style::time(echo))
            }),
        });
    }
    if let Some(one) = pool(Scenario::Concurrent, Placement::Free, Some(256)) {
        if let Some(rate) = one.per_second() {
            cards.push(Card {
                value: format!("{}/s", style::count(rate)),
                what: "calls through one worker".into(),
                beside: "256 callers, each with one call at a time".into(),
            });
        }
        if let Some((host, worker)) = one.host_cpu_us().zip(one.worker_cpu_us()) {
            cards.push(Card {
                value: style::time(host + worker),
                what: "processor time of a call".into(),
                beside: format!("host {}, worker {}", style::time(host), style::time(worker)),
            });
        }
    }
    let idle = pool(Scenario::Idle, Placement::Free, None);
    if let Some((host, workers)) = idle.and_then(|one| one.host_cpu_us().zip(one.worker_cpu_us())) {
        cards.push(Card {
            value: format!("{:.3} %", (host + workers) / 1e4),
            what: "of a core, by an idle pool".into(),
            beside: "4 workers and the host, after work".into(),
        });
    }
    cards
}

fn name_with_spin(one: &Measured) -> String {
    let off = one.row.spec.spin == Some(Spin::Off);
    style::name(&one.row) + if off { ", spin off" } else { "" }
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
