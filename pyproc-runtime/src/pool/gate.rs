//! Admission behind a lock, and the permits that it gives out.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use tokio::sync::Notify;

use super::admission::{Admission, Admitted, Arrival, Grant, Refusal, Ticket};
use crate::connection::Connection;
use crate::ledger::{Issuer, Permit};

/// The door of a pool: every call passes it on the way in, and its permit on the way out.
#[derive(Debug)]
pub(crate) struct Gate {
    admission: Mutex<Admission<Arc<Connection>>>,
    /// Told when a waiting call brings the next timeout forward, and when a closing pool becomes idle.
    pub(crate) changed: Notify,
}

/// A permit, and the connection that it is good for.
#[derive(Debug)]
pub(crate) struct Admittance {
    pub(crate) permit: Permit,
    pub(crate) connection: Arc<Connection>,
}

/// A call's place in the waiting line. Dropping it leaves the line.
#[derive(Debug)]
#[must_use]
pub(crate) struct Place {
    gate: Arc<Gate>,
    ticket: Option<Ticket>,
}

/// A call that asked for admission and was not refused.
#[derive(Debug)]
pub(crate) enum Entrance {
    Open(Admittance),
    Line(Place),
}

impl Gate {
    pub(crate) fn new(admission: Admission<Arc<Connection>>) -> Arc<Self> {
        Arc::new(Self {
            admission: Mutex::new(admission),
            changed: Notify::new(),
        })
    }

    pub(crate) fn enter(
        self: &Arc<Self>,
        deadline: Option<Instant>,
        arrival: Arrival,
    ) -> Result<Entrance, Refusal> {
        let admitted = self.lock().admit(deadline, arrival)?;
        Ok(match admitted {
            Admitted::Granted(grant) => Entrance::Open(self.admittance(grant)),
            Admitted::Waiting(ticket) => {
                if deadline.is_some() {
                    self.changed.notify_one();
                }
                Entrance::Line(Place {
                    gate: Arc::clone(self),
                    ticket: Some(ticket),
                })
            }
        })
    }

    /// A permit for this very slot, if nothing is in flight on it.
    pub(crate) fn enter_idle(self: &Arc<Self>, slot: usize) -> Option<Admittance> {
        let grant = self.lock().admit_idle(slot)?;
        Some(self.admittance(grant))
    }

    pub(crate) fn open_slot(&self, slot: usize, generation: u64, connection: Arc<Connection>) {
        self.change(|admission| admission.open_slot(slot, generation, connection));
    }

    pub(crate) fn close_slot(&self, slot: usize, generation: u64) {
        self.change(|admission| {
            admission.close_slot(slot, generation);
            Vec::new()
        });
    }

    pub(crate) fn fail_slot(&self, slot: usize) {
        self.change(|admission| admission.fail_slot(slot));
    }

    /// Refuses new calls, and goes on serving those that wait.
    pub(crate) fn drain(&self) {
        self.lock().drain();
    }

    /// Refuses everything.
    pub(crate) fn close(&self) {
        self.change(Admission::close);
    }

    /// It is the supervisor who calls this, in each of its turns: told of what it sees itself, it would turn for ever.
    pub(crate) fn handle_timeout(&self, now: Instant) {
        let wakers = self.lock().handle_timeout(now);
        wakers.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.lock().poll_timeout()
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.lock().is_idle()
    }

    /// How many calls are in flight, and how many wait.
    pub(crate) fn load(&self) -> (usize, usize) {
        let admission = self.lock();
        (admission.in_flight(), admission.waiting())
    }

    /// How many calls were turned away from the line since the pool began to close.
    pub(crate) fn turned_away(&self) -> usize {
        self.lock().turned_away()
    }

    pub(crate) fn slot_in_flight(&self, slot: usize) -> usize {
        self.lock().slot_in_flight(slot)
    }

    /// Changes the admission, and outside its lock lets go of links and wakes those whose turn has come.
    fn change(&self, change: impl FnOnce(&mut Admission<Arc<Connection>>) -> Vec<Waker>) {
        let (wakers, retired, is_quiet) = {
            let mut admission = self.lock();
            let wakers = change(&mut admission);
            (
                wakers,
                admission.take_retired(),
                admission.is_closed() && admission.is_idle(),
            )
        };
        drop(retired);
        wakers.into_iter().for_each(Waker::wake);
        if is_quiet {
            self.changed.notify_one();
        }
    }

    fn admittance(self: &Arc<Self>, grant: Grant<Arc<Connection>>) -> Admittance {
        let issuer: Arc<dyn Issuer> = Arc::<Self>::clone(self);
        Admittance {
            permit: Permit::new(issuer, grant.slot),
            connection: grant.link,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Admission<Arc<Connection>>> {
        // A router of the user's own may panic under this lock. It does so before any count has changed.
        self.admission
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Waits for the place in the line to become a permit.
    pub(crate) fn poll(&mut self, context: &Context<'_>) -> Poll<Result<Admittance, Refusal>> {
        let Some(ticket) = self.ticket else {
            return Poll::Ready(Err(Refusal::Closed));
        };
        let answer = self.gate.lock().poll_ticket(ticket, context);
        answer.map(|answer| {
            self.ticket = None;
            answer.map(|grant| self.gate.admittance(grant))
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.gate.change(|admission| admission.leave(ticket));
        }
    }
}

impl Issuer for Gate {
    fn take_back(&self, slot: usize) {
        self.change(|admission| admission.release(slot));
    }
}
