//! Who may have a call in flight, on which slot, and who waits.
//!
//! [`Admission`] is a pure policy: it keeps the counts and the waiting line, and takes `now` as an argument. It hands
//! wakers back to its caller, so that none is woken under a lock. The invariants: never more than `max_in_flight`
//! calls are in flight, never more than `max_in_flight_per_worker` on one slot, never more than `max_waiting` in the
//! line (those that come back from a lost worker do not count), and the line is first come, first served.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use super::router::{Candidate, Router};

/// The limits that admission keeps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) in_flight: usize,
    pub(crate) in_flight_per_worker: usize,
    pub(crate) waiting: usize,
}

/// A place in the waiting line. Smaller tickets came earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

/// Whether a call asks for admission for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    New,
    /// It was accepted before, and comes back from a worker that was lost. It is refused neither because the line is
    /// full nor because the pool is draining: what was accepted is finished if it can be.
    Returning,
}

/// What becomes of a call that asks for admission.
#[derive(Debug)]
pub(crate) enum Admitted<L> {
    /// It may be sent: its place on this slot is taken.
    Granted(Grant<L>),
    /// It waits; ask again with the ticket.
    Waiting(Ticket),
}

/// A place taken on a slot, and the link to the worker in it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Grant<L> {
    pub(crate) slot: usize,
    pub(crate) link: L,
}

/// Why a call is not admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The waiting line is full.
    Overloaded,
    /// The deadline passed in the waiting line.
    Expired,
    /// The pool is closed.
    Closed,
    /// No slot will ever have a worker again.
    Unavailable,
}

/// The counts and the waiting line. `L` is what a grant gives access to: the connection of the slot's worker.
#[derive(Debug)]
pub(crate) struct Admission<L> {
    limits: Limits,
    router: Box<dyn Router>,
    slots: Vec<Slot<L>>,
    in_flight: usize,
    line: BTreeMap<Ticket, Waiting>,
    answered: BTreeMap<Ticket, Result<Grant<L>, Refusal>>,
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

#[derive(Debug)]
struct Slot<L> {
    state: SlotState<L>,
    in_flight: usize,
}

#[derive(Debug)]
enum SlotState<L> {
    Open { link: L, generation: u64 },
    Closed,
    Failed,
}

#[derive(Debug)]
struct Waiting {
    deadline: Option<Instant>,
    waker: Option<Waker>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// New calls are refused; those that wait are still served.
    Draining,
    Closed,
}

impl<L: Clone> Admission<L> {
    pub(crate) fn new(limits: Limits, slots: usize, router: Box<dyn Router>) -> Self {
        let slots = (0..slots)
            .map(|_| Slot {
                state: SlotState::Closed,
                in_flight: 0,
            })
            .collect();
        Self {
            limits,
            router,
            slots,
            in_flight: 0,
            line: BTreeMap::new(),
            answered: BTreeMap::new(),
            next_ticket: 0,
            phase: Phase::Open,
            turned_away: 0,
            retired: Vec::new(),
            candidates: Vec::new(),
        }
    }

    /// Admits a call at once, or gives it a ticket.
    pub(crate) fn admit(
        &mut self,
        deadline: Option<Instant>,
        arrival: Arrival,
    ) -> Result<Admitted<L>, Refusal> {
        match (self.phase, arrival) {
            (Phase::Open, _) | (Phase::Draining, Arrival::Returning) => {}
            (Phase::Draining, Arrival::New) | (Phase::Closed, _) => return Err(Refusal::Closed),
        }
        if self.all_failed() {
            return Err(self.dead_end());
        }
        if self.line.is_empty() {
            if let Some(grant) = self.take_place() {
                return Ok(Admitted::Granted(grant));
            }
        }
        if arrival == Arrival::New && self.line.len() >= self.limits.waiting {
            return Err(Refusal::Overloaded);
        }
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.line.insert(
            ticket,
            Waiting {
                deadline,
                waker: None,
            },
        );
        Ok(Admitted::Waiting(ticket))
    }

    /// Takes a place on this very slot if it is open and nothing is in flight on it.
    pub(crate) fn admit_idle(&mut self, slot: usize) -> Option<Grant<L>> {
        let is_idle = self.slots[slot].in_flight == 0 && self.in_flight < self.limits.in_flight;
        if is_idle {
            self.take_place_on(slot)
        } else {
            None
        }
    }

    /// Asks whether the ticket's turn has come. A ticket is used up by the first answer that is ready.
    pub(crate) fn poll_ticket(
        &mut self,
        ticket: Ticket,
        context: &Context<'_>,
    ) -> Poll<Result<Grant<L>, Refusal>> {
        if let Some(answer) = self.answered.remove(&ticket) {
            return Poll::Ready(answer);
        }
        let Some(waiting) = self.line.get_mut(&ticket) else {
            return Poll::Ready(Err(Refusal::Closed));
        };
        match &mut waiting.waker {
            Some(waker) => waker.clone_from(context.waker()),
            None => waiting.waker = Some(context.waker().clone()),
        }
        Poll::Pending
    }

    /// Gives a ticket back unused, and with it the place that it may already have been granted.
    pub(crate) fn leave(&mut self, ticket: Ticket) -> Vec<Waker> {
        self.line.remove(&ticket);
        match self.answered.remove(&ticket) {
            Some(Ok(grant)) => {
                self.retired.push(grant.link);
                self.release(grant.slot)
            }
            _ => Vec::new(),
        }
    }

    /// Gives a place on a slot back.
    pub(crate) fn release(&mut self, slot: usize) -> Vec<Waker> {
        self.slots[slot].in_flight -= 1;
        self.in_flight -= 1;
        self.serve_line()
    }

    /// A worker is ready in the slot.
    pub(crate) fn open_slot(&mut self, slot: usize, generation: u64, link: L) -> Vec<Waker> {
        if self.phase == Phase::Closed {
            return Vec::new();
        }
        self.set_state(slot, SlotState::Open { link, generation });
        self.serve_line()
    }

    /// Nothing more goes to this generation of the slot. A newer one is left alone.
    pub(crate) fn close_slot(&mut self, slot: usize, generation: u64) {
        if let SlotState::Open {
            generation: open, ..
        } = self.slots[slot].state
        {
            if open == generation {
                self.set_state(slot, SlotState::Closed);
            }
        }
    }

    /// The slot will have no worker again. When it was the last one, those who wait are told.
    pub(crate) fn fail_slot(&mut self, slot: usize) -> Vec<Waker> {
        self.set_state(slot, SlotState::Failed);
        if self.all_failed() {
            self.refuse_line(self.dead_end())
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
    pub(crate) fn close(&mut self) -> Vec<Waker> {
        self.phase = Phase::Closed;
        for slot in 0..self.slots.len() {
            self.set_state(slot, SlotState::Closed);
        }
        self.refuse_line(Refusal::Closed)
    }

    /// Refuses those whose deadline passed while they waited.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Vec<Waker> {
        let expired = |waiting: &Waiting| waiting.deadline.is_some_and(|deadline| deadline <= now);
        self.refuse_where(expired, Refusal::Expired)
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do next.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.line
            .values()
            .filter_map(|waiting| waiting.deadline)
            .min()
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

    pub(crate) fn slot_in_flight(&self, slot: usize) -> usize {
        self.slots[slot].in_flight
    }

    /// How many calls wait for a place.
    pub(crate) fn waiting(&self) -> usize {
        self.line.len()
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
    }

    fn all_failed(&self) -> bool {
        self.slots
            .iter()
            .all(|slot| matches!(slot.state, SlotState::Failed))
    }

    fn take_place(&mut self) -> Option<Grant<L>> {
        if self.in_flight >= self.limits.in_flight {
            return None;
        }
        let room = self.limits.in_flight_per_worker;
        let has_room =
            |slot: &Slot<L>| matches!(slot.state, SlotState::Open { .. }) && slot.in_flight < room;
        self.candidates.clear();
        self.candidates.extend(
            (self.slots.iter().enumerate())
                .filter(|(_, slot)| has_room(slot))
                .map(|(index, slot)| Candidate::new(index, slot.in_flight)),
        );
        let last = self.candidates.len().checked_sub(1)?;
        // A router of the user's own may panic. Whoever gave a place back must not pay for it.
        let route = || self.router.route(&self.candidates, self.slots.len());
        let chosen = catch_unwind(AssertUnwindSafe(route)).unwrap_or(0).min(last);
        self.take_place_on(self.candidates[chosen].slot)
    }

    fn take_place_on(&mut self, index: usize) -> Option<Grant<L>> {
        let slot = &mut self.slots[index];
        let SlotState::Open { link, .. } = &slot.state else {
            return None;
        };
        let link = link.clone();
        slot.in_flight += 1;
        self.in_flight += 1;
        Some(Grant { slot: index, link })
    }

    fn serve_line(&mut self) -> Vec<Waker> {
        let mut wakers = Vec::new();
        while !self.line.is_empty() {
            let Some(grant) = self.take_place() else {
                break;
            };
            if let Some((ticket, waiting)) = self.line.pop_first() {
                self.answered.insert(ticket, Ok(grant));
                wakers.extend(waiting.waker);
            }
        }
        wakers
    }

    /// Why nobody can be served when no slot will have a worker again: all are given up, or the pool is closing.
    fn dead_end(&self) -> Refusal {
        match self.phase {
            Phase::Open => Refusal::Unavailable,
            Phase::Draining | Phase::Closed => Refusal::Closed,
        }
    }

    fn refuse_line(&mut self, refusal: Refusal) -> Vec<Waker> {
        if refusal == Refusal::Closed {
            self.turned_away += self.line.len();
        }
        self.refuse_where(|_| true, refusal)
    }

    fn refuse_where(
        &mut self,
        condition: impl Fn(&Waiting) -> bool,
        refusal: Refusal,
    ) -> Vec<Waker> {
        let mut wakers = Vec::new();
        let refused: Vec<_> = self
            .line
            .iter()
            .filter(|(_, waiting)| condition(waiting))
            .map(|(ticket, _)| *ticket)
            .collect();
        for ticket in refused {
            wakers.extend(self.line.remove(&ticket).and_then(|waiting| waiting.waker));
            self.answered.insert(ticket, Err(refusal));
        }
        wakers
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::task::noop_waker;
    use proptest::prelude::*;

    use super::*;
    use crate::pool::router::LeastLoaded;

    fn admission(
        in_flight: usize,
        per_worker: usize,
        waiting: usize,
        slots: usize,
    ) -> Admission<usize> {
        let limits = Limits {
            in_flight,
            in_flight_per_worker: per_worker,
            waiting,
        };
        let mut admission = Admission::new(limits, slots, Box::new(LeastLoaded::default()));
        for slot in 0..slots {
            admission.open_slot(slot, 1, slot);
        }
        admission
    }

    fn granted(admission: &mut Admission<usize>) -> Grant<usize> {
        match admission.admit(None, Arrival::New) {
            Ok(Admitted::Granted(grant)) => grant,
            other => panic!("expected a grant, got {other:?}"),
        }
    }

    fn waiting(admission: &mut Admission<usize>, deadline: Option<Instant>) -> Ticket {
        match admission.admit(deadline, Arrival::New) {
            Ok(Admitted::Waiting(ticket)) => ticket,
            other => panic!("expected a ticket, got {other:?}"),
        }
    }

    fn poll(
        admission: &mut Admission<usize>,
        ticket: Ticket,
    ) -> Poll<Result<Grant<usize>, Refusal>> {
        admission.poll_ticket(ticket, &Context::from_waker(&noop_waker()))
    }

    #[test]
    fn the_line_is_first_come_first_served() {
        let mut admission = admission(1, 1, 8, 1);
        let first = granted(&mut admission);
        let (second, third) = (waiting(&mut admission, None), waiting(&mut admission, None));
        assert!(poll(&mut admission, second).is_pending());
        assert_eq!(admission.release(first.slot).len(), 1);
        assert!(poll(&mut admission, third).is_pending());
        assert!(matches!(poll(&mut admission, second), Poll::Ready(Ok(_))));
    }

    #[test]
    fn a_router_that_panics_costs_no_place() {
        #[derive(Debug)]
        struct Panics;
        impl Router for Panics {
            fn route(&self, _: &[Candidate], _: usize) -> usize {
                panic!("a router of the user's own")
            }
        }
        let mut admission = admission(2, 1, 8, 2);
        admission.router = Box::new(Panics);
        let grants = [granted(&mut admission), granted(&mut admission)];
        assert_eq!(grants.map(|grant| grant.slot), [0, 1]);
    }

    #[test]
    fn a_full_line_is_overload() {
        let mut admission = admission(1, 1, 1, 1);
        granted(&mut admission);
        waiting(&mut admission, None);
        assert!(matches!(
            admission.admit(None, Arrival::New),
            Err(Refusal::Overloaded)
        ));
    }

    #[test]
    fn a_call_that_comes_back_is_not_refused_for_a_full_line_or_a_draining_pool() {
        let mut admission = admission(1, 1, 0, 1);
        let first = granted(&mut admission);
        admission.drain();
        let Ok(Admitted::Waiting(ticket)) = admission.admit(None, Arrival::Returning) else {
            panic!("it must wait");
        };
        assert!(matches!(
            admission.admit(None, Arrival::New),
            Err(Refusal::Closed)
        ));
        admission.release(first.slot);
        assert!(matches!(poll(&mut admission, ticket), Poll::Ready(Ok(_))));
    }

    #[test]
    fn who_waits_for_the_last_worker_of_a_draining_pool_is_told_that_it_is_closed() {
        let mut admission = admission(1, 1, 8, 1);
        granted(&mut admission);
        let ticket = waiting(&mut admission, None);
        admission.drain();
        admission.fail_slot(0);
        assert!(matches!(
            poll(&mut admission, ticket),
            Poll::Ready(Err(Refusal::Closed))
        ));
        assert_eq!(admission.turned_away(), 1);
    }

    #[test]
    fn a_ticket_given_back_after_its_turn_came_frees_the_place() {
        let mut admission = admission(1, 1, 8, 1);
        let first = granted(&mut admission);
        let second = waiting(&mut admission, None);
        admission.release(first.slot);
        admission.leave(second);
        assert!(admission.is_idle());
        granted(&mut admission);
    }

    #[test]
    fn a_deadline_in_the_line_expires_that_call_alone() {
        let mut admission = admission(1, 1, 8, 1);
        granted(&mut admission);
        let now = Instant::now();
        let soon = waiting(&mut admission, Some(now + Duration::from_secs(1)));
        let later = waiting(&mut admission, Some(now + Duration::from_secs(2)));
        assert_eq!(admission.poll_timeout(), Some(now + Duration::from_secs(1)));
        admission.handle_timeout(now + Duration::from_secs(1));
        assert!(matches!(
            poll(&mut admission, soon),
            Poll::Ready(Err(Refusal::Expired))
        ));
        assert!(poll(&mut admission, later).is_pending());
    }

    #[test]
    fn an_older_generation_cannot_close_its_successor() {
        let mut admission = admission(8, 8, 8, 1);
        admission.open_slot(0, 2, 0);
        admission.close_slot(0, 1);
        granted(&mut admission);
    }

    #[test]
    fn the_last_failed_slot_tells_those_who_wait() {
        let mut admission = admission(8, 1, 8, 2);
        admission.close_slot(0, 1);
        admission.close_slot(1, 1);
        let ticket = waiting(&mut admission, None);
        admission.fail_slot(0);
        assert!(poll(&mut admission, ticket).is_pending());
        admission.fail_slot(1);
        assert!(matches!(
            poll(&mut admission, ticket),
            Poll::Ready(Err(Refusal::Unavailable))
        ));
        assert!(matches!(
            admission.admit(None, Arrival::New),
            Err(Refusal::Unavailable)
        ));
    }

    proptest! {
        /// Whatever the order of arrivals, releases, departures, deaths and revivals, no limit is overshot and no
        /// place is lost.
        #[test]
        fn no_limit_is_ever_overshot(steps in proptest::collection::vec((0_u8..6, any::<usize>()), 1..200)) {
            let mut admission = admission(5, 2, 4, 3);
            let (mut held, mut tickets): (Vec<usize>, Vec<Ticket>) = (Vec::new(), Vec::new());
            for (step, pick) in steps {
                match step {
                    0 | 1 => match admission.admit(None, Arrival::New) {
                        Ok(Admitted::Granted(grant)) => held.push(grant.slot),
                        Ok(Admitted::Waiting(ticket)) => tickets.push(ticket),
                        Err(refusal) => prop_assert_eq!(refusal, Refusal::Overloaded),
                    },
                    2 if !held.is_empty() => {
                        admission.release(held.swap_remove(pick % held.len()));
                    }
                    3 if !tickets.is_empty() => {
                        admission.leave(tickets.swap_remove(pick % tickets.len()));
                    }
                    4 => admission.close_slot(pick % 3, 1),
                    5 => {
                        admission.open_slot(pick % 3, 1, pick % 3);
                    }
                    _ => {}
                }
                tickets.retain(|ticket| match poll(&mut admission, *ticket) {
                    Poll::Ready(Ok(grant)) => {
                        held.push(grant.slot);
                        false
                    }
                    Poll::Ready(Err(_)) => false,
                    Poll::Pending => true,
                });
                prop_assert_eq!(admission.in_flight(), held.len());
                prop_assert!(held.len() <= 5);
                prop_assert!(admission.waiting() <= 4);
                for slot in 0..3 {
                    let on_slot = held.iter().filter(|held| **held == slot).count();
                    prop_assert_eq!(admission.slot_in_flight(slot), on_slot);
                    prop_assert!(on_slot <= 2);
                }
            }
        }
    }
}
