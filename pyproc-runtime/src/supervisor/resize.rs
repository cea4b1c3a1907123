//! A pool that becomes larger or smaller.

use std::collections::{BTreeMap, VecDeque};

use tokio::sync::oneshot;

use super::slot::{Occupant, Slot};
use super::{Announced, Supervisor};
use crate::error::{Error, Result};
use crate::event::RecycleReason;
use crate::ledger::Seat;

/// The changes of size that were asked for. They are made one after the other.
#[derive(Debug, Default)]
pub(super) struct Resizing {
    asked_for: VecDeque<Change>,
    current: Option<Change>,
    /// How many workers those slots have had that are gone: a generation is never used again.
    past: BTreeMap<usize, u64>,
}

#[derive(Debug)]
struct Change {
    from: usize,
    to: usize,
    reply: oneshot::Sender<Result<()>>,
    /// Why the pool could not become larger, and becomes as small again as it was.
    failure: Option<Error>,
}

impl Resizing {
    pub(super) fn ask_for(&mut self, workers: usize, reply: oneshot::Sender<Result<()>>) {
        self.asked_for.push_back(Change {
            from: 0,
            to: workers,
            reply,
            failure: None,
        });
    }
}

impl Supervisor {
    pub(super) fn advance_resizing(&mut self) {
        if self.stop.is_some() {
            // Whoever waits for it is told that the pool is closed.
            self.resizing = Resizing::default();
            return;
        }
        self.drop_empty_slots();
        loop {
            if let Some(change) = &self.resizing.current {
                if !self.is_made(change) {
                    return;
                }
            }
            if let Some(Change {
                from,
                to,
                reply,
                failure,
            }) = self.resizing.current.take()
            {
                let result = match failure {
                    None => {
                        self.announce(Announced::Resized { from, to });
                        Ok(())
                    }
                    Some(failure) => Err(failure),
                };
                // Nobody may be waiting for it any more.
                let _ = reply.send(result);
            }
            let Some(mut change) = self.resizing.asked_for.pop_front() else {
                return;
            };
            change.from = self.slots.len();
            self.resize_to(change.to);
            self.resizing.current = Some(change);
        }
    }

    /// A worker could not be started, or was lost for good. If it is one of those that were to be added, the pool stays as
    /// large as it was.
    pub(super) fn fail_resize(&mut self, seat: Seat, error: Error) {
        let Some(change) = &mut self.resizing.current else {
            return;
        };
        if seat.slot >= change.from && change.failure.is_none() {
            change.failure = Some(error);
            std::mem::swap(&mut change.from, &mut change.to);
            let to = change.to;
            self.resize_to(to);
        }
    }

    fn is_made(&self, change: &Change) -> bool {
        let is_running = |place: &Slot| matches!(place.occupant, Occupant::Running(_));
        self.slots.len() == change.to
            && (change.failure.is_some() || self.slots.iter().skip(change.from).all(is_running))
    }

    fn resize_to(&mut self, slots: usize) {
        tracing::info!(target: "pyproc::pool", pool = self.shared.name(), from = self.slots.len(), to = slots, "resizing");
        for slot in self.slots.len()..slots {
            let generation = self.resizing.past.remove(&slot).unwrap_or(0);
            self.slots.push(Slot::new(generation));
            self.shared.board().add_slot();
            self.shared.gate().add_slot(slot);
            self.start(slot);
        }
        for slot in slots..self.slots.len() {
            self.remove_slot(slot);
        }
        self.drop_empty_slots();
    }

    fn remove_slot(&mut self, slot: usize) {
        let place = &mut self.slots[slot];
        place.is_removed = true;
        place.probation = None;
        if let Some(successor) = place.successor.take() {
            successor.abort();
        }
        place.leave();
        self.shared.gate().remove_slot(slot);
        for leaving in &self.slots[slot].leaving {
            let worker = leaving.connection.worker().clone();
            let reason = RecycleReason::Resize;
            self.announce(Announced::Recycling { worker, reason });
        }
    }

    /// Lets go of removed slots whose last worker has left.
    fn drop_empty_slots(&mut self) {
        let is_empty = |place: &Slot| place.is_removed && place.leaving.is_empty();
        while let Some(place) = self.slots.last().filter(|place| is_empty(place)) {
            let generation = place.generation;
            self.slots.pop();
            self.resizing.past.insert(self.slots.len(), generation);
            self.shared.board().remove_last_slot();
        }
    }
}
