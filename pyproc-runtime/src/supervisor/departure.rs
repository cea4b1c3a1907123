//! What follows when a worker is gone.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::attendance::Burial;
use super::restart::Decision;
use super::slot::Occupant;
use super::{Announced, Supervisor};
use crate::deadline;
use crate::death::DeathReport;
use crate::pool::WorkerState;
use crate::telemetry::{self, Next, Origin};

impl Supervisor {
    pub(super) fn handle_burial(
        &mut self,
        Burial {
            death,
            uptime,
            calls,
        }: Burial,
    ) {
        let seat = death.worker().seat();
        let slot = seat.slot;
        let report = Arc::clone(&death);
        self.announce(if death.is_in_good_order() {
            Announced::Drained { report }
        } else {
            Announced::Died { report }
        });
        if calls > 0 && !death.is_in_good_order() && self.stop.is_none() {
            self.shared.note_death(&death);
        }
        if self.slots[slot].forget(seat) {
            self.note_end_of_leaving(&death);
            return;
        }
        self.slots[slot].probation = None;
        let is_retiring =
            matches!(&self.slots[slot].occupant, Occupant::Running(running) if running.is_retiring);
        if is_retiring && death.is_in_good_order() && self.stop.is_none() {
            self.shared.board().gone(slot, WorkerState::Starting, None);
            self.start(slot);
        } else if !death.is_in_good_order() || !self.replace_departed(slot, uptime, &death) {
            self.replace(slot, uptime, death.to_string());
        }
        let is_given_up = self.stop.is_none() && self.slots[slot].is_given_up();
        if is_given_up {
            // It may be one that a larger pool waits for.
            self.fail_resize(seat, death.start_error());
        }
        // A pool that will not soon have all its workers has not started, even if this one was ready for a while.
        if let Some(ready) = self.ready.take_if(|_| is_given_up) {
            self.fail_start(ready, death.start_error());
        }
    }

    /// A worker that others had taken over from has ended.
    fn note_end_of_leaving(&self, death: &DeathReport) {
        if self.stop.is_none() && !death.is_in_good_order() {
            let origin = self.origin(death.worker().slot());
            telemetry::loss(&origin, &death.to_string(), Next::Replaced);
        }
    }

    /// Has a worker that left in good order replaced, unless the policy or a stop is against it.
    fn replace_departed(&mut self, slot: usize, uptime: Duration, departure: &DeathReport) -> bool {
        let policy = &self.shared.config().restart;
        let history = &mut self.slots[slot].history;
        let was_degraded = history.is_degraded();
        let decision = history.left(policy, uptime);
        self.note_recovery(slot, was_degraded);
        if self.make_way(slot, None) {
            return true;
        }
        match decision {
            Decision::RestartAfter(delay) if self.stop.is_none() => {
                let pool = self.shared.name();
                tracing::info!(target: "pyproc::pool", pool, slot, %departure, ?delay, "a new worker follows");
                self.await_next(slot, delay, None);
                true
            }
            _ => false,
        }
    }

    /// Decides about a slot whose worker has died, or could not be started.
    pub(super) fn replace(&mut self, slot: usize, uptime: Duration, failure: String) {
        if self.stop.is_some() {
            self.vacate(slot, WorkerState::Stopped, failure);
            return;
        }
        let origin = self.origin(slot);
        let policy = &self.shared.config().restart;
        let (now, jitter) = (Instant::now(), fastrand::f64());
        let history = &mut self.slots[slot].history;
        let was_degraded = history.is_degraded();
        let decision = history.died(policy, uptime, &mut self.herd, now, jitter);
        self.note_recovery(slot, was_degraded);
        if self.make_way(slot, Some(&failure)) {
            telemetry::loss(&origin, &failure, Next::Replaced);
            return;
        }
        match decision {
            Decision::RestartAfter(delay) => {
                telemetry::loss(&origin, &failure, Next::Successor { delay });
                self.await_next(slot, delay, Some(failure));
            }
            Decision::ProbeAfter(delay) => {
                telemetry::loss(&origin, &failure, Next::Probe { delay });
                self.shared
                    .board()
                    .gone(slot, WorkerState::Degraded, Some(failure));
                self.slots[slot].occupant = Occupant::Degraded(deadline::after(delay));
                self.shared.gate().degrade_slot(slot);
                self.announce(Announced::Degraded {
                    slot,
                    probe_after: delay,
                });
            }
            Decision::GiveUp => {
                telemetry::loss(&origin, &failure, Next::Nobody);
                self.vacate(slot, WorkerState::Failed, failure);
            }
        }
    }

    /// Gives the slot to the successor of the worker that has gone, if one is on its way already.
    fn make_way(&mut self, slot: usize, failure: Option<&str>) -> bool {
        let Some(successor) = self.slots[slot].successor.take() else {
            return false;
        };
        let board = self.shared.board();
        board.gone(slot, WorkerState::Starting, failure.map(str::to_owned));
        board.starting(slot, self.slots[slot].generation);
        self.slots[slot].occupant = Occupant::Starting(successor);
        true
    }

    /// The slot's last worker may have lived for long enough without anybody having noticed while it did.
    fn note_recovery(&self, slot: usize, was_degraded: bool) {
        if was_degraded && !self.slots[slot].history.is_degraded() {
            self.announce(Announced::Recovered { slot });
        }
    }

    fn await_next(&mut self, slot: usize, delay: Duration, failure: Option<String>) {
        self.shared
            .board()
            .gone(slot, WorkerState::Restarting, failure);
        self.slots[slot].occupant = Occupant::Awaited(deadline::after(delay));
        self.announce(Announced::Restarting { slot, delay });
    }

    pub(super) fn origin(&self, slot: usize) -> Origin {
        Origin {
            pool: Arc::clone(&self.shared.config().name),
            slot,
            pid: None,
        }
    }
}
