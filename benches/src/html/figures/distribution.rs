//! How latencies are distributed.

use super::Figure;
use crate::html::chart::{Axis, Chart, Line};
use crate::html::scale::Scale;
use crate::html::style::{self, Style};
use crate::row::Measured;
use crate::scenario::Scenario;
use crate::spec::{Codec, Placement, Spin};

pub(super) fn one_caller_across(rows: &[Measured]) -> Figure {
    Figure {
        title: "One call, host and worker on a core each",
        how_to_read: "One caller; the next call begins when the last one is answered. Each line shows, from left to \
                      right, how long the quickest calls take, the median one (50 %), and the slowest in a hundred, \
                      a thousand, ten thousand. Lower is better; an even line has no surprises. Most of it is the \
                      waking of a sleeping core: dashed lines sleep at once, full ones first look for a while.",
        plot: one_caller(rows, Placement::Across),
    }
}

pub(super) fn one_caller_same(rows: &[Measured]) -> Figure {
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

pub(super) fn open_loop(rows: &[Measured]) -> Figure {
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

fn name_with_spin(one: &Measured) -> String {
    let off = one.row.spec.spin == Some(Spin::Off);
    style::name(&one.row) + if off { ", spin off" } else { "" }
}
