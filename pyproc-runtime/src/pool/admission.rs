//! Who may have a call in flight, on which slot, and who waits.
//!
//! [`Admission`] is a pure policy: it keeps the counts and the waiting line, and takes `now` as an argument. A call that
//! waits leaves a parcel with it, from which it can be sent without its caller: a future that nobody polls must not keep
//! a place from others. What was decided about parcels is handed back, so that none is sent or answered under a lock.
//!
//! The invariants: never more than `max_in_flight` calls are in flight, never more than `max_in_flight_per_worker` on one
//! worker when they are sent there, never more than `max_waiting` in the line (those that come back from a lost worker do
//! not count), and the line is first come, first served, within a [priority](super::Priority). What goes to every worker
//! ([`admit_all`](Admission::admit_all)) counts as in flight, and keeps to neither of these limits. Slots that were given up,
//! for a while or for good, take their share of the two limits of the pool with them.
//!
//! A stream has a place until it has yielded its first item. From then on its worker runs other calls between the items,
//! so it takes no place from them: somebody who calls the worker for each item of a stream would otherwise wait for
//! himself.
//!
//! Where `max_in_flight` is not given, it is what the workers may have together. What those still have that are leaving
//! does not count then: it would take places from their successors, and from the workers that stay.

mod slot;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use super::claim::{Claim, Waits};
use super::line::{Line, Ticket};
use super::pace::InFlight;
use super::router::{Candidate, Route, Router};
use crate::ledger::{Ended, Refusal, Seat};

use slot::{NOBODY, Slot, SlotState};

/// The limits that admission keeps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// `None`: as many as the workers may have together.
    pub(crate) in_flight: Option<usize>,
    pub(crate) in_flight_per_worker: InFlight,
    pub(crate) waiting: usize,
}

/// Whether a call asks for admission for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    New,
    /// It was accepted before, and comes back from a worker that was lost, to its old place in the line. It is refused
    /// neither because the line is full nor because the pool is draining: what was accepted is finished if it can be.
    Returning(Ticket),
}

/// What becomes of a call that asks for admission, and the turn that it has.
#[derive(Debug)]
pub(crate) enum Admitted<L> {
    /// It may be sent: its place on this slot is taken.
    Granted(Grant<L>, Ticket),
    /// Its parcel waits.
    Waiting(Ticket),
}

/// A place taken on a worker, and the link to it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Grant<L> {
    pub(crate) seat: Seat,
    pub(crate) link: L,
}

/// What was decided about a call that waited.
#[derive(Debug)]
#[must_use]
pub(crate) struct Served<L, P> {
    pub(crate) ticket: Ticket,
    pub(crate) parcel: P,
    pub(crate) answer: Result<Grant<L>, Refusal>,
}

/// The counts and the waiting line. `L` is what a grant gives access to: the connection of the slot's worker. `P` is
/// what a call that waits leaves behind.
#[derive(Debug)]
pub(crate) struct Admission<L, P> {
    /// What was asked for.
    limits: Limits,
    /// How many calls may be in flight in the whole pool, as long as its slots are as they are.
    max_in_flight: usize,
    /// How many may wait.
    max_waiting: usize,
    router: Box<dyn Router>,
    slots: Vec<Slot<L>>,
    /// All calls that are in flight.
    in_flight: usize,
    /// How many of them are streams that have yielded, which take no place.
    streams: usize,
    /// How many others workers have that are leaving.
    leaving: usize,
    line: Line<P>,
    next_ticket: u64,
    phase: Phase,
    /// How many that waited were told that the pool is closed.
    turned_away: usize,
    /// Links that were let go of. They are dropped by the caller, outside its lock: the last drop of a link may give
    /// permits back.
    retired: Vec<L>,
    /// Reused by every routing decision.
    candidates: Vec<Candidate>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// New calls are refused; those that wait are still served.
    Draining,
    Closed,
}

impl<L: Clone, P: Waits> Admission<L, P> {
    pub(crate) fn new(limits: Limits, slots: usize, router: Box<dyn Router>) -> Self {
        let slots: Vec<_> = (0..slots).map(|_| Slot::new()).collect();
        Self {
            limits,
            max_in_flight: limits.in_flight(slots.len(), 0),
            max_waiting: limits.waiting,
            router,
            slots,
            in_flight: 0,
            streams: 0,
            leaving: 0,
            line: Line::new(),
            next_ticket: 0,
            phase: Phase::Open,
            turned_away: 0,
            retired: Vec::new(),
            candidates: Vec::new(),
        }
    }

    /// Admits a call at once, or lets the parcel that it leaves behind wait.
    pub(crate) fn admit(
        &mut self,
        claim: Claim<'_>,
        arrival: Arrival,
        now: Instant,
        parcel: impl FnOnce() -> P,
    ) -> Result<Admitted<L>, Refusal> {
        match (self.phase, arrival) {
            (Phase::Open, _) | (Phase::Draining, Arrival::Returning(_)) => {}
            (Phase::Draining, Arrival::New) | (Phase::Closed, _) => return Err(Refusal::Closed),
        }
        if self.is_hopeless() {
            return Err(self.dead_end());
        }
        let ticket = self.ticket(arrival);
        if self.line.is_empty() && self.has_place(now) {
            if let Some(grant) = self.take_place(claim, now) {
                return Ok(Admitted::Granted(grant, ticket));
            }
        }
        if arrival == Arrival::New && self.line.len() >= self.max_waiting {
            return Err(Refusal::Overloaded);
        }
        self.line
            .join(ticket, claim.deadline, claim.priority, parcel());
        Ok(Admitted::Waiting(ticket))
    }

    /// Lets a parcel wait again that could not be sent after all, in its old place.
    pub(crate) fn put_back(
        &mut self,
        ticket: Ticket,
        parcel: P,
        now: Instant,
    ) -> Vec<Served<L, P>> {
        let refusal = match self.phase {
            Phase::Closed => Some(Refusal::Closed),
            Phase::Open | Phase::Draining => self.is_hopeless().then(|| self.dead_end()),
        };
        if let Some(refusal) = refusal {
            self.turned_away += usize::from(refusal == Refusal::Closed);
            let answer = Err(refusal);
            return vec![Served {
                ticket,
                parcel,
                answer,
            }];
        }
        self.join(ticket, parcel);
        self.serve(now)
    }

    /// Takes a place on this very worker if it is there and has nothing in flight.
    pub(crate) fn admit_idle(&mut self, seat: Seat, now: Instant) -> Option<Grant<L>> {
        let slot = self.slots.get(seat.slot)?;
        let is_idle = slot.generation == seat.generation && slot.in_flight == 0;
        if is_idle && !self.is_full() {
            self.take_place_on(seat.slot, now)
        } else {
            None
        }
    }

    /// Takes a place on every worker that takes calls, whatever the limits.
    pub(crate) fn admit_all(&mut self, now: Instant) -> Result<Vec<Grant<L>>, Refusal> {
        if self.phase != Phase::Open {
            return Err(Refusal::Closed);
        }
        if self.is_hopeless() {
            return Err(self.dead_end());
        }
        let slots = 0..self.slots.len();
        Ok(slots
            .filter_map(|slot| self.take_place_on(slot, now))
            .collect())
    }

    /// Gives a ticket back. The parcel is returned if it still waited.
    pub(crate) fn leave(&mut self, ticket: Ticket) -> Option<P> {
        self.line.leave(ticket)
    }

    /// So many calls of a worker have ended, and give their places back.
    pub(crate) fn release(&mut self, seat: Seat, ended: Ended, now: Instant) -> Vec<Served<L, P>> {
        let slot = &mut self.slots[seat.slot];
        if slot.generation == seat.generation {
            slot.in_flight -= ended.all();
            slot.streams -= ended.streams;
            if ended.calls > 0 {
                slot.note_answers(ended.calls, now);
            }
        } else {
            slot.release_leaving(seat.generation, ended);
            self.leaving -= ended.places();
        }
        self.in_flight -= ended.all();
        self.streams -= ended.streams;
        self.drop_empty_slots();
        self.serve(now)
    }

    /// A call of this worker is a stream, and has yielded its first item. Somebody may have its place;
    /// [`serve`](Self::serve) must follow.
    pub(crate) fn note_stream(&mut self, seat: Seat, now: Instant) {
        let slot = &mut self.slots[seat.slot];
        self.streams += 1;
        if slot.generation == seat.generation {
            slot.streams += 1;
            slot.note_answers(1, now);
        } else {
            slot.note_leaving_stream(seat.generation);
            self.leaving -= 1;
        }
    }

    /// The worker that will be ready in this slot next may have so many calls whatever its pace.
    pub(crate) fn make_room(&mut self, slot: usize, calls: usize) {
        if let Some(slot) = self.slots.get_mut(slot) {
            slot.room = calls;
        }
    }

    /// A worker is ready in the seat. One that was there before gets nothing more, and keeps what it has.
    pub(crate) fn open_slot(
        &mut self,
        seat: Seat,
        link: L,
        is_on_probation: bool,
        now: Instant,
    ) -> Vec<Served<L, P>> {
        if self.phase == Phase::Closed {
            return Vec::new();
        }
        self.succeed(seat);
        let open = SlotState::Open {
            link,
            is_on_probation,
        };
        self.set_state(seat.slot, open);
        self.serve(now)
    }

    /// Nothing more goes to this worker. A later one of the same slot is left alone.
    pub(crate) fn close_slot(&mut self, seat: Seat) {
        let Some(slot) = self.slots.get(seat.slot) else {
            return;
        };
        if slot.is_open() && slot.generation == seat.generation {
            self.set_state(seat.slot, SlotState::Closed);
        }
    }

    /// The worker has proved itself.
    pub(crate) fn end_probation(&mut self, seat: Seat, now: Instant) -> Vec<Served<L, P>> {
        let slot = &mut self.slots[seat.slot];
        if let SlotState::Open {
            is_on_probation, ..
        } = &mut slot.state
        {
            *is_on_probation &= slot.generation != seat.generation;
        }
        self.serve(now)
    }

    /// There is one slot more, or again one that had been removed.
    pub(crate) fn add_slot(&mut self, slot: usize, now: Instant) -> Vec<Served<L, P>> {
        if slot == self.slots.len() {
            self.slots.push(Slot::new());
        }
        self.set_state(slot, SlotState::Closed);
        self.serve(now)
    }

    /// The slot takes no more calls, and goes when those that it has have ended. When no slot that stays has or will soon
    /// have a worker, those who wait are told; and where it was one that had been given up, those that stay have a greater
    /// share.
    pub(crate) fn remove_slot(&mut self, slot: usize, now: Instant) -> Vec<Served<L, P>> {
        self.set_state(slot, SlotState::Removed);
        self.succeed(Seat {
            slot,
            generation: NOBODY,
        });
        self.drop_empty_slots();
        let mut told = self.tell_the_hopeless();
        told.extend(self.serve(now));
        told
    }

    fn drop_empty_slots(&mut self) {
        let is_empty = |slot: &Slot<L>| {
            matches!(slot.state, SlotState::Removed)
                && slot.in_flight == 0
                && slot.leaving.is_empty()
        };
        while self.slots.last().is_some_and(is_empty) {
            self.slots.pop();
        }
    }

    /// The slot's next worker is long in coming, and may die as the others did. When no slot is any better, those who
    /// wait are told.
    pub(crate) fn degrade_slot(&mut self, slot: usize) -> Vec<Served<L, P>> {
        self.give_up(slot, SlotState::Degraded)
    }

    /// The slot will have no worker again. When no slot is any better, those who wait are told.
    pub(crate) fn fail_slot(&mut self, slot: usize) -> Vec<Served<L, P>> {
        self.give_up(slot, SlotState::Failed)
    }

    fn give_up(&mut self, slot: usize, state: SlotState<L>) -> Vec<Served<L, P>> {
        self.set_state(slot, state);
        self.tell_the_hopeless()
    }

    /// Refuses those who wait if they do so in vain.
    fn tell_the_hopeless(&mut self) -> Vec<Served<L, P>> {
        if self.is_hopeless() {
            let refusal = self.dead_end();
            self.refuse_line(refusal)
        } else {
            Vec::new()
        }
    }

    /// Refuses new calls, and goes on serving those that wait.
    pub(crate) fn drain(&mut self) {
        if self.phase == Phase::Open {
            self.phase = Phase::Draining;
        }
    }

    /// Refuses everything, and lets go of the links.
    pub(crate) fn close(&mut self) -> Vec<Served<L, P>> {
        self.phase = Phase::Closed;
        for slot in 0..self.slots.len() {
            self.set_state(slot, SlotState::Closed);
        }
        self.refuse_line(Refusal::Closed)
    }

    /// Refuses those whose deadline passed while they waited.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Vec<Served<L, P>> {
        let expired = self.line.take_expired(now);
        refuse(expired, Refusal::Expired)
    }

    /// When [`handle_timeout`](Self::handle_timeout) may have something to do next.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.line.poll_timeout()
    }

    /// Whether a new call would find a worker that takes calls, now or when its turn comes.
    pub(crate) fn is_ready(&self) -> bool {
        self.phase == Phase::Open && self.slots.iter().any(Slot::is_open)
    }

    /// Whether the pool is open, and has a slot that was not given up for good.
    pub(crate) fn is_live(&self) -> bool {
        let is_lost = |slot: &Slot<L>| matches!(slot.state, SlotState::Failed | SlotState::Removed);
        self.phase != Phase::Closed && !self.slots.iter().all(is_lost)
    }

    /// What every new call is refused with from now on, if that is so.
    #[cfg(feature = "tower")]
    pub(crate) fn refuses_for_good(&self) -> Option<Refusal> {
        match (self.phase, self.is_live()) {
            (Phase::Draining | Phase::Closed, _) => Some(Refusal::Closed),
            (Phase::Open, false) => Some(Refusal::Unavailable),
            (Phase::Open, true) => None,
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.phase != Phase::Open
    }

    /// The links that were let go of since the last time.
    pub(crate) fn take_retired(&mut self) -> Vec<L> {
        std::mem::take(&mut self.retired)
    }

    /// Whether no call is in flight and none waits.
    pub(crate) fn is_idle(&self) -> bool {
        self.in_flight == 0 && self.line.is_empty()
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// How many calls are in flight on the slot's workers.
    pub(crate) fn slot_in_flight(&self, slot: usize) -> usize {
        let Some(slot) = self.slots.get(slot) else {
            return 0;
        };
        let leaving = slot.leaving.iter().map(|leaving| leaving.in_flight);
        slot.in_flight + leaving.sum::<usize>()
    }

    /// How many calls this worker has.
    pub(crate) fn seat_in_flight(&self, seat: Seat) -> usize {
        let Some(slot) = self.slots.get(seat.slot) else {
            return 0;
        };
        if slot.generation == seat.generation {
            return slot.in_flight;
        }
        let mut leaving = slot.leaving.iter();
        let leaving = leaving.find(|leaving| leaving.generation == seat.generation);
        leaving.map_or(0, |leaving| leaving.in_flight)
    }

    /// How many calls wait for a place.
    pub(crate) fn waiting(&self) -> usize {
        self.line.len()
    }

    /// How many more may.
    pub(crate) fn free_in_line(&self) -> usize {
        self.max_waiting.saturating_sub(self.line.len())
    }

    /// How many that waited were told that the pool is closed.
    pub(crate) fn turned_away(&self) -> usize {
        self.turned_away
    }

    fn set_state(&mut self, slot: usize, state: SlotState<L>) {
        if let SlotState::Open { link, .. } = std::mem::replace(&mut self.slots[slot].state, state)
        {
            self.retired.push(link);
        }
        let is_there = |slot: &&Slot<L>| !matches!(slot.state, SlotState::Removed);
        let slots = self.slots.iter().filter(is_there).count();
        let hopeful = self.slots.iter().filter(|slot| slot.is_hopeful()).count();
        let room = self.slots.iter().map(|slot| slot.room).max().unwrap_or(0);
        self.max_in_flight = share(self.limits.in_flight(slots, room), hopeful, slots);
        self.max_waiting = share(self.limits.waiting, hopeful, slots);
    }

    fn is_hopeless(&self) -> bool {
        !self.slots.iter().any(Slot::is_hopeful)
    }

    /// Whether the pool has as many calls in flight as it may.
    fn is_full(&self) -> bool {
        let spared = match self.limits.in_flight {
            Some(_) => 0,
            None => self.leaving,
        };
        self.in_flight - self.streams - spared >= self.max_in_flight
    }

    /// The slot gets this worker in place of the one that it had, which keeps the calls that it has.
    fn succeed(&mut self, seat: Seat) {
        self.leaving += self.slots[seat.slot].succeed(seat.generation);
    }

    /// Looks for the slots that have room for a call, and says whether there are any.
    fn has_place(&mut self, now: Instant) -> bool {
        self.candidates.clear();
        if self.is_full() {
            return false;
        }
        let limit = self.limits.in_flight_per_worker;
        let has_room = |slot: &Slot<L>| match slot.state {
            SlotState::Open {
                is_on_probation: true,
                ..
            } => slot.is_idle(),
            SlotState::Open { .. } => match limit {
                InFlight::AtMost(calls) => slot.places() < calls,
                InFlight::Auto => {
                    slot.is_idle() || slot.places() < slot.pace.limit(now).max(slot.room)
                }
            },
            _ => false,
        };
        self.candidates.extend(
            (self.slots.iter().enumerate())
                .filter(|(_, slot)| has_room(slot))
                .map(|(index, slot)| slot.candidate(index)),
        );
        !self.candidates.is_empty()
    }

    /// Takes a place on one of the slots that [`has_place`](Self::has_place) has found at this moment.
    fn take_place(&mut self, claim: Claim<'_>, now: Instant) -> Option<Grant<L>> {
        let last = self.candidates.len().checked_sub(1)?;
        let open = self.slots.iter().filter(|slot| slot.is_open());
        let (open, in_flight) = open.fold((0, 0), |(open, in_flight), slot| {
            (open + 1, in_flight + slot.places())
        });
        let route = Route {
            candidates: &self.candidates,
            slots: self.slots.len(),
            open,
            in_flight,
            function: claim.function,
            key: claim.key,
            now,
        };
        // A router of the user's own may panic. Whoever gave a place back must not pay for it.
        let route = || self.router.route(&route);
        let chosen = catch_unwind(AssertUnwindSafe(route)).unwrap_or(0).min(last);
        self.take_place_on(self.candidates[chosen].slot, now)
    }

    fn take_place_on(&mut self, index: usize, now: Instant) -> Option<Grant<L>> {
        let slot = &mut self.slots[index];
        let SlotState::Open { link, .. } = &slot.state else {
            return None;
        };
        let link = link.clone();
        if slot.is_idle() {
            slot.pace.begin(now);
            slot.service_time.begin(now);
        }
        slot.in_flight += 1;
        self.in_flight += 1;
        let seat = Seat {
            slot: index,
            generation: slot.generation,
        };
        Some(Grant { seat, link })
    }

    /// Serves those who wait, as far as there are places.
    pub(crate) fn serve(&mut self, now: Instant) -> Vec<Served<L, P>> {
        // Those whose time is over take no place.
        let mut served = refuse(self.line.take_expired(now), Refusal::Expired);
        while !self.line.is_empty() && self.has_place(now) {
            let Some((ticket, parcel)) = self.line.pop_next() else {
                break;
            };
            let Some(grant) = self.take_place(parcel.claim(), now) else {
                self.join(ticket, parcel);
                break;
            };
            let answer = Ok(grant);
            served.push(Served {
                ticket,
                parcel,
                answer,
            });
        }
        served
    }

    fn join(&mut self, ticket: Ticket, parcel: P) {
        let (deadline, priority) = (parcel.claim().deadline, parcel.claim().priority);
        self.line.join(ticket, deadline, priority, parcel);
    }

    fn refuse_line(&mut self, refusal: Refusal) -> Vec<Served<L, P>> {
        if refusal == Refusal::Closed {
            self.turned_away += self.line.len();
        }
        let all = std::iter::from_fn(|| self.line.pop_next());
        refuse(all, refusal)
    }

    /// Why nobody can be served when no slot has or will soon have a worker: all are given up, or the pool is closing.
    fn dead_end(&self) -> Refusal {
        let is_degraded = |slot: &Slot<L>| matches!(slot.state, SlotState::Degraded);
        match self.phase {
            Phase::Open if self.slots.iter().any(is_degraded) => Refusal::Degraded,
            Phase::Open => Refusal::Unavailable,
            Phase::Draining | Phase::Closed => Refusal::Closed,
        }
    }

    fn ticket(&mut self, arrival: Arrival) -> Ticket {
        match arrival {
            Arrival::Returning(ticket) => ticket,
            Arrival::New => {
                self.next_ticket += 1;
                Ticket(self.next_ticket)
            }
        }
    }
}

impl Limits {
    /// `room` is what the worker has room for that has most.
    fn in_flight(self, slots: usize, room: usize) -> usize {
        let most = self.in_flight_per_worker.most(room);
        self.in_flight.unwrap_or(slots.saturating_mul(most))
    }
}

/// What so many slots of a pool of so many may have of a limit. It is never nothing, unless that is what was asked for: a
/// pool that has no slot left refuses calls for that reason.
fn share(limit: usize, slots: usize, all: usize) -> usize {
    let share = (limit as u128 * slots as u128).div_ceil(all.max(1) as u128);
    usize::try_from(share).unwrap_or(limit).max(limit.min(1))
}

fn refuse<L, P>(
    parcels: impl IntoIterator<Item = (Ticket, P)>,
    refusal: Refusal,
) -> Vec<Served<L, P>> {
    let served = |(ticket, parcel)| Served {
        ticket,
        parcel,
        answer: Err(refusal),
    };
    parcels.into_iter().map(served).collect()
}

#[cfg(test)]
mod tests;
