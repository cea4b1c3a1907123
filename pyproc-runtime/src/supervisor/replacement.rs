//! The replacement of workers that live: one after the other, each by a successor that is ready before.

use std::collections::VecDeque;
use std::time::Instant;

use tokio::sync::oneshot;

use super::slot::{Occupant, Slot};
use super::{Announced, Supervisor};
use crate::config::Source;
use crate::deadline;
use crate::error::{Error, Result};
use crate::event::RecycleReason;
use crate::ledger::Seat;
use crate::telemetry::{self, Next};
use crate::worker::resident_bytes;

/// Whose turn it is to be replaced. One at a time, so that a pool has no more than one worker too many, or one too few;
/// but a worker that was told to leave and does not, because of a call that does not end, holds nobody up for long.
#[derive(Debug, Default)]
pub(super) struct Replacements {
    current: Option<Replacement>,
    /// How long the current one waits for a worker that was told to leave.
    patience: Option<Instant>,
    rolls: VecDeque<Roll>,
    /// Those rolling restarts that have only to wait for workers that do not leave.
    ending: Vec<Roll>,
    worn: VecDeque<Replacement>,
}

/// A worker that is to be replaced.
#[derive(Debug, Clone, Copy)]
struct Replacement {
    seat: Seat,
    reason: RecycleReason,
}

/// A rolling restart.
#[derive(Debug)]
struct Roll {
    todo: VecDeque<Seat>,
    /// Workers that others have taken over from, and that have not left.
    late: Vec<Seat>,
    reply: oneshot::Sender<Result<()>>,
}

/// How far a replacement is.
enum Progress {
    Done,
    /// Its successor has taken over, but it does not leave.
    Late,
    Waits,
}

impl Replacements {
    /// Asks for the replacement of all these workers.
    pub(super) fn roll(
        &mut self,
        seats: impl Iterator<Item = Seat>,
        reply: oneshot::Sender<Result<()>>,
    ) {
        let todo = seats.collect();
        self.rolls.push_back(Roll {
            todo,
            late: Vec::new(),
            reply,
        });
    }

    /// Asks for the replacement of one worker.
    pub(super) fn ask_for(&mut self, seat: Seat, reason: RecycleReason) {
        let is_known = |replacement: &Replacement| replacement.seat == seat;
        if !self.worn.iter().chain(&self.current).any(is_known) {
            self.worn.push_back(Replacement { seat, reason });
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.patience
    }

    /// A worker could not be started. If it was to replace another, that replacement has failed; and with it the rolling
    /// restart, if it was part of one. Otherwise the error is handed back.
    pub(super) fn fail(&mut self, seat: Seat, error: Error) -> Option<Error> {
        let is_its = |current: &mut Replacement| {
            current.seat.slot == seat.slot && current.seat.generation < seat.generation
        };
        let Some(current) = self.current.take_if(is_its) else {
            return Some(error);
        };
        self.patience = None;
        if current.reason == RecycleReason::Restart {
            if let Some(roll) = self.rolls.pop_front() {
                // Nobody may be waiting for it any more.
                let _ = roll.reply.send(Err(error));
            }
        }
        None
    }

    /// The current one is done.
    fn go_on(&mut self) {
        self.current = None;
        self.patience = None;
    }

    /// The current one is done as far as others are concerned.
    fn go_on_without(&mut self, late: Replacement) {
        self.go_on();
        if let (RecycleReason::Restart, Some(roll)) = (late.reason, self.rolls.front_mut()) {
            roll.late.push(late.seat);
        }
    }

    /// The replacement that is under way, or the next one.
    fn current(&mut self) -> Option<Replacement> {
        while self.current.is_none() {
            let Some(roll) = self.rolls.front_mut() else {
                self.current = self.worn.pop_front();
                break;
            };
            match roll.todo.pop_front() {
                Some(seat) => {
                    let reason = RecycleReason::Restart;
                    self.current = Some(Replacement { seat, reason });
                }
                None => self.ending.extend(self.rolls.pop_front()),
            }
        }
        self.current
    }
}

impl Supervisor {
    /// Asks for the replacement of the slot's worker if it is worn.
    pub(super) fn look_at_wear(&mut self, slot: usize, now: Instant) {
        let Occupant::Running(running) = &mut self.slots[slot].occupant else {
            return;
        };
        let connection = &running.connection;
        // The process of a worker that somebody else started may be on another machine's side of a container.
        let pid = match self.shared.config().source {
            Source::Start(_) => connection.worker().pid(),
            Source::Attach(_) => None,
        };
        let served = || connection.calls_served();
        let memory_bytes = || resident_bytes(pid?);
        if let Some(reason) = running.wear.judge(now, served, memory_bytes) {
            // It is asked about again only if its replacement fails.
            running.wear.rest();
            self.replacements.ask_for(running.seat(), reason);
        }
    }

    pub(super) fn advance_replacements(&mut self, now: Instant) {
        if self.stop.is_some() {
            // Whoever waits for a rolling restart is told that the pool is closed.
            self.replacements = Replacements::default();
            return;
        }
        while let Some(replacement) = self.replacements.current() {
            match self.advance(replacement, now) {
                Progress::Waits => break,
                Progress::Late => self.replacements.go_on_without(replacement),
                Progress::Done => self.replacements.go_on(),
            }
        }
        self.end_rolls();
    }

    fn advance(&mut self, Replacement { seat, reason }: Replacement, now: Instant) -> Progress {
        let slot = seat.slot;
        let is_rolling = reason == RecycleReason::Restart;
        let Some(place) = self.slots.get(slot).filter(|place| !place.is_removed) else {
            return Progress::Done;
        };
        let is_old = |generation: u64| generation <= seat.generation;
        let mut leaving = place.leaving.iter();
        let is_old_leaving = leaving.any(|leaving| is_old(leaving.seat().generation));
        match &place.occupant {
            Occupant::Running(running) if !is_old(running.seat().generation) => {
                if !is_old_leaving {
                    return Progress::Done;
                }
            }
            // A rolling restart has to see its successor start, too.
            Occupant::Running(running) if running.is_retiring && is_rolling => {
                return Progress::Waits;
            }
            Occupant::Running(running) if running.is_retiring => {}
            Occupant::Running(_) if place.successor.is_some() => return Progress::Waits,
            // Its predecessor has not even left yet.
            Occupant::Running(_) if is_old_leaving && !is_rolling => {
                self.put_off_wear(slot);
                return Progress::Done;
            }
            Occupant::Running(_) if self.would_leave_nobody(slot) => return Progress::Waits,
            Occupant::Running(_) => {
                self.begin_replacement(slot, reason);
                if is_rolling || self.slots[slot].successor.is_some() {
                    return Progress::Waits;
                }
            }
            // It was worn, and has died by itself.
            _ if !is_rolling => return Progress::Done,
            Occupant::Starting(_) | Occupant::Awaited(_) => return Progress::Waits,
            // What a restart brings may be just what it needs.
            Occupant::Degraded(_) | Occupant::Nobody => {
                self.start(slot);
                return Progress::Waits;
            }
        }
        let longest = || deadline::after(self.shared.config().restart.long_delay());
        match *self.replacements.patience.get_or_insert_with(longest) {
            until if until <= now => Progress::Late,
            _ => Progress::Waits,
        }
    }

    /// Whether all others that run are about to leave, and this one would do so without a successor.
    fn would_leave_nobody(&self, slot: usize) -> bool {
        let others = self.slots.iter().enumerate();
        let mut others = others
            .filter(|(other, _)| *other != slot)
            .filter_map(|(_, place)| match &place.occupant {
                Occupant::Running(running) => Some(running.is_retiring),
                _ => None,
            })
            .peekable();
        let has_surge = self.shared.config().recycle.has_surge();
        !has_surge && others.peek().is_some() && others.all(|is_retiring| is_retiring)
    }

    /// Tells of the rolling restarts whose last worker has left.
    fn end_rolls(&mut self) {
        let slots = &self.slots;
        let is_there = |seat: &Seat| {
            let mut running = slots.get(seat.slot).into_iter().flat_map(Slot::running);
            running.any(|running| running.seat().generation <= seat.generation)
        };
        let ending = std::mem::take(&mut self.replacements.ending);
        let (ending, ended): (Vec<_>, Vec<_>) = ending
            .into_iter()
            .partition(|roll| roll.late.iter().any(is_there));
        self.replacements.ending = ending;
        for roll in ended {
            // Nobody may be waiting for it any more.
            let _ = roll.reply.send(Ok(()));
        }
    }

    /// Has the slot's worker leave, when its successor is ready or at once.
    pub(super) fn begin_replacement(&mut self, slot: usize, reason: RecycleReason) {
        // One that errs has no calls any more, so its place may as well be empty.
        let is_ejected = matches!(reason, RecycleReason::Errors { .. });
        let has_surge = self.shared.config().recycle.has_surge() && !is_ejected;
        let Occupant::Running(running) = &mut self.slots[slot].occupant else {
            return;
        };
        let worker = running.connection.worker().clone();
        tracing::info!(target: "pyproc::pool", %worker, %reason, has_surge, "the worker is replaced");
        if has_surge {
            self.slots[slot].successor = Some(self.launch(slot));
        } else {
            running.retire();
            self.shared.close_slot(&worker);
        }
        self.announce(Announced::Recycling { worker, reason });
    }

    /// The slot's successor could not be started, so its worker stays, and is left alone for a while.
    pub(super) fn keep(&mut self, slot: usize, failure: &str) {
        telemetry::loss(&self.origin(slot), failure, Next::Kept);
        self.shared.board().note_failure(slot, failure);
        self.put_off_wear(slot);
    }

    fn put_off_wear(&mut self, slot: usize) {
        let until = deadline::after(self.shared.config().restart.long_delay());
        if let Occupant::Running(running) = &mut self.slots[slot].occupant {
            running.wear.put_off(until);
        }
    }
}
