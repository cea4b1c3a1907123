//! Admission behind a lock, and the permits that it gives out.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

use super::admission::{Admission, Admitted, Arrival, Grant, Served};
use super::claim::Claim;
use super::line::Ticket;
use super::parcel::{Handover, Parcel};
use crate::connection::Connection;
use crate::ledger::{Ended, Failure, Issuer, Permit, Refusal, Seat};
use crate::sync::{Mutex, MutexGuard};

/// The door of a pool: every call passes it on the way in, and its permit on the way out.
#[derive(Debug)]
pub(crate) struct Gate {
    admission: Mutex<Admission<Arc<Connection>, Parcel>>,
    /// Told when a waiting call brings the next timeout forward, and when a closing pool becomes idle.
    pub(crate) changed: Notify,
}

/// A permit, and the connection that it is good for.
#[derive(Debug)]
pub(crate) struct Admittance {
    pub(crate) permit: Permit,
    pub(crate) connection: Arc<Connection>,
    /// Whether no other call is in flight in the pool.
    pub(crate) is_alone: bool,
}

/// A call's place in the waiting line. Dropping it leaves the line.
#[derive(Debug)]
#[must_use]
pub(crate) struct Place {
    gate: Arc<Gate>,
    ticket: Ticket,
}

/// A call that asked for admission and was not refused, and the turn that it has.
#[derive(Debug)]
pub(crate) enum Entrance {
    Open(Admittance, Ticket),
    Line(Place, Ticket),
}

impl Gate {
    pub(crate) fn new(admission: Admission<Arc<Connection>, Parcel>) -> Arc<Self> {
        Arc::new(Self {
            admission: Mutex::new(admission),
            changed: Notify::new(),
        })
    }

    /// Asks for admission. Where the call must wait, it leaves a parcel.
    pub(crate) fn enter(
        self: &Arc<Self>,
        claim: Claim<'_>,
        arrival: Arrival,
        now: Instant,
        parcel: impl FnOnce() -> Parcel,
    ) -> Result<Entrance, Refusal> {
        let mut admission = self.lock();
        let before = admission.poll_timeout();
        let admitted = admission.admit(claim, arrival, now, parcel)?;
        let is_alone = admission.in_flight() == 1;
        let is_earlier = admission.poll_timeout() != before;
        drop(admission);
        if is_earlier {
            self.changed.notify_one();
        }
        Ok(match admitted {
            Admitted::Granted(grant, ticket) => {
                Entrance::Open(self.admittance(grant, is_alone), ticket)
            }
            Admitted::Waiting(ticket) => {
                let gate = Arc::clone(self);
                Entrance::Line(Place { gate, ticket }, ticket)
            }
        })
    }

    /// A permit for every worker that takes calls, in the order of their slots, whatever the limits.
    pub(crate) fn enter_all(self: &Arc<Self>) -> Result<Vec<Admittance>, Refusal> {
        let grants = self.lock().admit_all(Instant::now())?;
        let grants = grants.into_iter();
        Ok(grants.map(|grant| self.admittance(grant, false)).collect())
    }

    /// A permit for this very worker, if it has nothing in flight.
    pub(crate) fn enter_idle(self: &Arc<Self>, seat: Seat) -> Option<Admittance> {
        let grant = self.lock().admit_idle(seat, Instant::now())?;
        Some(self.admittance(grant, false))
    }

    /// A worker is ready. On probation it gets one call at a time.
    pub(crate) fn open_slot(self: &Arc<Self>, connection: Arc<Connection>, is_on_probation: bool) {
        let (seat, room) = (connection.worker().seat(), connection.room());
        self.change(|admission| {
            admission.make_room(seat.slot, room);
            admission.open_slot(seat, connection, is_on_probation, Instant::now())
        });
    }

    pub(crate) fn close_slot(self: &Arc<Self>, seat: Seat) {
        self.change(|admission| {
            admission.close_slot(seat);
            Vec::new()
        });
    }

    pub(crate) fn end_probation(self: &Arc<Self>, seat: Seat) {
        self.change(|admission| admission.end_probation(seat, Instant::now()));
    }

    pub(crate) fn degrade_slot(self: &Arc<Self>, slot: usize) {
        self.change(|admission| admission.degrade_slot(slot));
    }

    /// The pool has one slot more, or has again one that had been removed.
    pub(crate) fn add_slot(self: &Arc<Self>, slot: usize) {
        self.change(|admission| admission.add_slot(slot, Instant::now()));
    }

    /// The slot takes no more calls, and goes when those that it has have ended.
    pub(crate) fn remove_slot(self: &Arc<Self>, slot: usize) {
        self.change(|admission| admission.remove_slot(slot, Instant::now()));
    }

    /// Whether a new call would find a worker that takes calls, now or when its turn comes.
    pub(crate) fn is_ready(&self) -> bool {
        self.lock().is_ready()
    }

    /// Whether the pool is open, and has a slot that was not given up for good.
    pub(crate) fn is_live(&self) -> bool {
        self.lock().is_live()
    }

    /// What every new call is refused with from now on, if that is so.
    #[cfg(feature = "tower")]
    pub(crate) fn refuses_for_good(&self) -> Option<Refusal> {
        self.lock().refuses_for_good()
    }

    pub(crate) fn fail_slot(self: &Arc<Self>, slot: usize) {
        self.change(|admission| admission.fail_slot(slot));
    }

    /// Refuses new calls, and goes on serving those that wait.
    pub(crate) fn drain(&self) {
        self.lock().drain();
    }

    /// Refuses everything.
    pub(crate) fn close(self: &Arc<Self>) {
        self.change(Admission::close);
    }

    /// It is the supervisor who calls this, in each of its turns: told of what it sees itself, it would turn for ever.
    pub(crate) fn handle_timeout(self: &Arc<Self>, now: Instant) {
        // Whoever is woken may drop another call, which leaves the line: not under the lock.
        let served = self.lock().handle_timeout(now);
        for Served { parcel, answer, .. } in served {
            if let Err(refusal) = answer {
                parcel.refuse(refusal);
            }
        }
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

    /// How many more calls may wait.
    pub(crate) fn free_in_line(&self) -> usize {
        self.lock().free_in_line()
    }

    /// How many calls were turned away from the line since the pool began to close.
    pub(crate) fn turned_away(&self) -> usize {
        self.lock().turned_away()
    }

    /// How many calls this worker has.
    pub(crate) fn seat_in_flight(&self, seat: Seat) -> usize {
        self.lock().seat_in_flight(seat)
    }

    pub(crate) fn slot_in_flight(&self, slot: usize) -> usize {
        self.lock().slot_in_flight(slot)
    }

    /// Changes the admission, and sends or refuses those whose turn has come.
    fn change(
        self: &Arc<Self>,
        change: impl FnOnce(
            &mut Admission<Arc<Connection>, Parcel>,
        ) -> Vec<Served<Arc<Connection>, Parcel>>,
    ) {
        let mut queue = VecDeque::from(self.apply(change));
        while let Some(Served {
            ticket,
            parcel,
            answer,
        }) = queue.pop_front()
        {
            match answer {
                Ok(grant) => {
                    let next = self.send(ticket, parcel, grant, queue.is_empty());
                    queue.extend(next);
                }
                Err(refusal) => parcel.refuse(refusal),
            }
        }
    }

    /// Changes the admission, and outside its lock lets go of links. Returns those whose turn has come.
    fn apply(
        &self,
        change: impl FnOnce(
            &mut Admission<Arc<Connection>, Parcel>,
        ) -> Vec<Served<Arc<Connection>, Parcel>>,
    ) -> Vec<Served<Arc<Connection>, Parcel>> {
        let (served, retired, is_quiet) = {
            let mut admission = self.lock();
            let served = change(&mut admission);
            (
                served,
                admission.take_retired(),
                admission.is_closed() && admission.is_idle(),
            )
        };
        drop(retired);
        if is_quiet {
            self.changed.notify_one();
        }
        served
    }

    /// Sends a parcel; one whose connection has closed in the meantime waits again in its old place. Returns those that
    /// are next because of that.
    fn send(
        self: &Arc<Self>,
        ticket: Ticket,
        parcel: Parcel,
        grant: Grant<Arc<Connection>>,
        is_last: bool,
    ) -> Vec<Served<Arc<Connection>, Parcel>> {
        let Admittance {
            permit, connection, ..
        } = self.admittance(grant, false);
        match parcel.send(&connection, permit, is_last) {
            Handover::Sent => Vec::new(),
            Handover::Needless(permit) => self.release(permit),
            Handover::Unsendable(reason, promise, permit) => {
                promise.keep(Err(Failure::Unsendable(reason)));
                self.release(permit)
            }
            Handover::Closed(parcel, permit) => {
                // First the slot is closed, so that neither this nor what follows comes back to it.
                let seat = connection.worker().seat();
                let mut next = self.apply(|admission| {
                    admission.close_slot(seat);
                    Vec::new()
                });
                next.extend(self.release(permit));
                next.extend(
                    self.apply(|admission| admission.put_back(ticket, parcel, Instant::now())),
                );
                next
            }
        }
    }

    /// Takes back the permit of a parcel that was not sent.
    fn release(&self, permit: Option<Permit>) -> Vec<Served<Arc<Connection>, Parcel>> {
        match permit {
            Some(permit) => {
                let seat = permit.surrender();
                self.apply(|admission| admission.release(seat, Ended::UNSENT, Instant::now()))
            }
            None => Vec::new(),
        }
    }

    fn admittance(self: &Arc<Self>, grant: Grant<Arc<Connection>>, is_alone: bool) -> Admittance {
        let issuer: Arc<dyn Issuer> = Arc::<Self>::clone(self);
        Admittance {
            permit: Permit::new(issuer, grant.seat),
            connection: grant.link,
            is_alone,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Admission<Arc<Connection>, Parcel>> {
        self.admission
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut parcel = None;
        self.gate.change(|admission| {
            parcel = admission.leave(self.ticket);
            Vec::new()
        });
    }
}

impl Issuer for Gate {
    fn take_back(self: Arc<Self>, seat: Seat, ended: Ended, now: Instant) {
        self.change(|admission| admission.release(seat, ended, now));
    }

    fn note_stream(&self, seat: Seat, now: Instant) {
        self.lock().note_stream(seat, now);
    }

    fn serve(self: Arc<Self>, now: Instant) {
        self.change(|admission| admission.serve(now));
    }
}
