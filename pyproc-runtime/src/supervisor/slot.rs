//! A worker's place in the pool, as the supervisor sees it.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::attendance::Order;
use super::recycle::Wear;
use super::restart::RestartHistory;
use crate::connection::Connection;
use crate::ledger::Seat;

#[derive(Debug)]
pub(super) struct Slot {
    /// Which of its workers was started last.
    pub(super) generation: u64,
    pub(super) history: RestartHistory,
    pub(super) occupant: Occupant,
    pub(super) probation: Option<Probation>,
    /// The start of the worker that is to take over from the one that runs.
    pub(super) successor: Option<AbortHandle>,
    /// Workers that finish what they have, and that others have taken over from.
    pub(super) leaving: Vec<Attended>,
    /// The pool has become smaller. The slot is there only until its last worker has left.
    pub(super) is_removed: bool,
}

/// Who is in a slot.
#[derive(Debug, Default)]
pub(super) enum Occupant {
    #[default]
    Nobody,
    Starting(AbortHandle),
    Running(Attended),
    /// The next one is due at this time.
    Awaited(Instant),
    /// Too many have died. Another is tried at this time.
    Degraded(Instant),
}

/// A worker that is ready, and its attendant.
#[derive(Debug)]
pub(super) struct Attended {
    pub(super) connection: Arc<Connection>,
    pub(super) orders: mpsc::UnboundedSender<Order>,
    pub(super) wear: Wear,
    /// It was told to finish what it has, and to end.
    pub(super) is_retiring: bool,
}

/// The time in which the worker of a degraded slot must prove itself.
#[derive(Debug)]
pub(super) struct Probation {
    pub(super) seat: Seat,
    pub(super) until: Instant,
}

impl Slot {
    /// A slot that has had so many workers.
    pub(super) fn new(generation: u64) -> Self {
        Self {
            generation,
            history: RestartHistory::default(),
            occupant: Occupant::Nobody,
            probation: None,
            successor: None,
            leaving: Vec::new(),
            is_removed: false,
        }
    }

    /// A worker moves in. One that was there before leaves when it has finished what it has.
    pub(super) fn settle(&mut self, running: Attended) {
        self.successor = None;
        self.leave();
        self.occupant = Occupant::Running(running);
    }

    /// Nobody is in the slot any more. A worker that was there leaves when it has finished what it has.
    pub(super) fn leave(&mut self) {
        match std::mem::take(&mut self.occupant) {
            Occupant::Running(mut running) => {
                running.retire();
                self.leaving.push(running);
            }
            Occupant::Starting(task) => task.abort(),
            Occupant::Nobody | Occupant::Awaited(_) | Occupant::Degraded(_) => {}
        }
    }

    /// Whether this was a worker that was leaving. It is forgotten.
    pub(super) fn forget(&mut self, seat: Seat) -> bool {
        let before = self.leaving.len();
        self.leaving.retain(|leaving| leaving.seat() != seat);
        self.leaving.len() < before
    }

    /// All its workers that run.
    pub(super) fn running(&self) -> impl Iterator<Item = &Attended> {
        let occupant = match &self.occupant {
            Occupant::Running(running) => Some(running),
            _ => None,
        };
        occupant.into_iter().chain(&self.leaving)
    }

    /// When the next worker is to be started.
    pub(super) fn due(&self) -> Option<Instant> {
        match self.occupant {
            Occupant::Awaited(due) | Occupant::Degraded(due) => Some(due),
            Occupant::Nobody | Occupant::Starting(_) | Occupant::Running(_) => None,
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let probation = self.probation.as_ref().map(|probation| probation.until);
        let wear = match &self.occupant {
            Occupant::Running(running) => running.wear.poll_timeout(),
            _ => None,
        };
        self.due().into_iter().chain(probation).chain(wear).min()
    }

    /// Whether it has no worker, and will not soon have one.
    pub(super) fn is_given_up(&self) -> bool {
        matches!(self.occupant, Occupant::Nobody | Occupant::Degraded(_))
    }
}

impl Attended {
    pub(super) fn seat(&self) -> Seat {
        self.connection.worker().seat()
    }

    /// Tells it to finish what it has, and to end.
    pub(super) fn retire(&mut self) {
        self.order(Order::Retire);
        self.is_retiring = true;
    }

    pub(super) fn order(&self, order: Order) {
        // An attendant that is gone has buried its worker.
        let _ = self.orders.send(order);
    }
}
