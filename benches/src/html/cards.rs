//! The numbers at the head of the page.

use super::style;
use crate::row::Measured;
use crate::scenario::Scenario;
use crate::spec::{Codec, Placement, Spin, Subject, Worker};

/// A number at the head of the page.
pub(crate) struct Card {
    pub(crate) value: String,
    pub(crate) what: String,
    pub(crate) beside: String,
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
