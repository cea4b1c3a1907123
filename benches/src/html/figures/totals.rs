//! One number for each subject.

use super::Figure;
use crate::html::bars::{Bar, Bars};
use crate::html::style::{self, Style};
use crate::row::Measured;
use crate::scenario::Scenario;
use crate::spec::{Codec, Placement, Spin, Subject};

pub(super) fn processor_time(rows: &[Measured]) -> Figure {
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

pub(super) fn startup(rows: &[Measured]) -> Figure {
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
