//! The five steps of a graceful end.

use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::attendance::Order;
use super::{Occupant, Supervisor};
use crate::deadline;
use crate::error::{Error, Result};
use crate::pool::WorkerState;

/// What a shutdown did with the calls that it found.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ShutdownReport {
    /// Calls that were in flight or waiting and have ended by themselves.
    pub finished: usize,
    /// Calls that were cut off and ended with [`ErrorKind::Closed`](crate::ErrorKind::Closed).
    pub cut: usize,
}

/// A stop that is under way.
#[derive(Debug)]
pub(super) struct Stop {
    phase: Phase,
    /// Calls that were in flight or waiting when it began.
    found: usize,
    cut: usize,
    pub(super) replies: Vec<oneshot::Sender<ShutdownReport>>,
    /// The start that has failed, and whom to tell when everything has ended.
    pub(super) failed_start: Option<(oneshot::Sender<Result<()>>, Error)>,
}

#[derive(Debug)]
enum Phase {
    /// New calls are refused, and those that were accepted are waited for.
    Draining { until: Instant },
    /// Nothing is waited for any more but the end of the workers.
    Ending,
}

impl Stop {
    pub(super) fn has_cut(&self) -> bool {
        matches!(self.phase, Phase::Ending)
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match self.phase {
            Phase::Draining { until } => Some(until),
            Phase::Ending => None,
        }
    }
}

impl Supervisor {
    /// Step 1. A stop that is under way goes on as it is, or is hurried.
    pub(super) fn begin_stop(&mut self, timeout: Duration) {
        let until = deadline::after(timeout);
        if let Some(stop) = &mut self.stop {
            if let Phase::Draining { until: old } = &mut stop.phase {
                *old = until.min(*old);
            }
            return;
        }
        let pool = self.shared.name();
        tracing::info!(target: "pyproc::pool", pool, step = 1, "shutdown: new calls are refused");
        self.shared.gate().drain();
        let (in_flight, waiting) = self.shared.gate().load();
        tracing::info!(target: "pyproc::pool", pool, step = 2, in_flight, waiting, "shutdown: waiting for calls");
        self.stop = Some(Stop {
            phase: Phase::Draining { until },
            found: in_flight + waiting,
            cut: 0,
            replies: Vec::new(),
            failed_start: None,
        });
        // Whoever waits for a worker to come back waits in vain.
        for slot in 0..self.slots.len() {
            if let Some(successor) = self.slots[slot].successor.take() {
                successor.abort();
            }
            if let Occupant::Awaited(_) | Occupant::Degraded(_) = self.slots[slot].occupant {
                self.vacate(slot, WorkerState::Stopped, String::new());
            }
        }
    }

    /// From step 2 to step 3, when the calls have ended or their time is up.
    pub(super) fn advance_stop(&mut self, now: Instant) {
        let gate = self.shared.gate();
        let is_due = match &self.stop {
            Some(Stop {
                phase: Phase::Draining { until },
                ..
            }) => *until <= now || gate.is_idle(),
            _ => false,
        };
        let Some(stop) = self.stop.as_mut().filter(|_| is_due) else {
            return;
        };
        let (in_flight, _) = gate.load();
        gate.close();
        stop.phase = Phase::Ending;
        stop.cut = in_flight + gate.turned_away();
        tracing::info!(
            target: "pyproc::pool",
            pool = self.shared.name(),
            step = 3,
            cut = stop.cut,
            "shutdown: the workers are told to end"
        );
        for slot in 0..self.slots.len() {
            for running in self.slots[slot].running() {
                running.order(Order::Stop);
            }
            if let Occupant::Starting(task) = &self.slots[slot].occupant {
                task.abort();
                self.vacate(slot, WorkerState::Stopped, String::new());
            }
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.stop.as_ref().is_some_and(Stop::has_cut) && self.tasks.is_empty()
    }

    /// Steps 4 and 5 are done: every attendant has closed its connection, and no start is left whose socket would have a
    /// name.
    pub(super) fn report(mut self) {
        let pool = self.shared.name();
        tracing::info!(target: "pyproc::pool", pool, step = 4, "shutdown: all connections are closed");
        tracing::info!(target: "pyproc::pool", pool, step = 5, "shutdown: no socket file is left");
        let Some(stop) = self.stop.take() else {
            return;
        };
        let report = ShutdownReport {
            finished: stop.found.saturating_sub(stop.cut),
            cut: stop.cut,
        };
        self.shared.set_shutdown_report(report);
        for reply in stop.replies {
            let _ = reply.send(report);
        }
        if let Some((ready, error)) = stop.failed_start {
            let _ = ready.send(Err(error));
        }
    }
}
