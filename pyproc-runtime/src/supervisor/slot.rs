//! A worker's place in the pool, as the supervisor sees it.

use std::time::Instant;

use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::attendance::Order;
use super::restart::RestartHistory;
use crate::ledger::Seat;

#[derive(Debug, Default)]
pub(super) struct Slot {
    /// Which of its workers is in the slot, or was last.
    pub(super) generation: u64,
    pub(super) history: RestartHistory,
    pub(super) occupant: Occupant,
    pub(super) probation: Option<Probation>,
}

/// Who is in a slot.
#[derive(Debug, Default)]
pub(super) enum Occupant {
    #[default]
    Nobody,
    Starting(AbortHandle),
    Running(mpsc::UnboundedSender<Order>),
    /// The next one is due at this time.
    Awaited(Instant),
    /// Too many have died. Another is tried at this time.
    Degraded(Instant),
}

/// The time in which the worker of a degraded slot must prove itself.
#[derive(Debug)]
pub(super) struct Probation {
    pub(super) seat: Seat,
    pub(super) until: Instant,
}

impl Slot {
    /// When the next worker is to be started.
    pub(super) fn due(&self) -> Option<Instant> {
        match self.occupant {
            Occupant::Awaited(due) | Occupant::Degraded(due) => Some(due),
            Occupant::Nobody | Occupant::Starting(_) | Occupant::Running(_) => None,
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let probation = self.probation.as_ref().map(|probation| probation.until);
        self.due().into_iter().chain(probation).min()
    }

    /// Whether it has no worker, and will not soon have one.
    pub(super) fn is_given_up(&self) -> bool {
        matches!(self.occupant, Occupant::Nobody | Occupant::Degraded(_))
    }
}
