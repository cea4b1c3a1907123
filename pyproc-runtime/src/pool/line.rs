//! The waiting line of a pool.

use std::collections::BTreeMap;
use std::time::Instant;

/// A call's turn. Smaller tickets came earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(pub(super) u64);

/// Calls that wait, in the order of their tickets. `P` is what is needed to send one without its caller.
#[derive(Debug)]
pub(super) struct Line<P> {
    waiting: BTreeMap<Ticket, Waiting<P>>,
    /// No deadline in the line is earlier than this. Calls that leave leave it as it is, so that leaving costs no search.
    earliest: Option<Instant>,
}

#[derive(Debug)]
struct Waiting<P> {
    deadline: Option<Instant>,
    parcel: P,
}

impl<P> Line<P> {
    pub(super) fn new() -> Self {
        Self {
            waiting: BTreeMap::new(),
            earliest: None,
        }
    }

    pub(super) fn join(&mut self, ticket: Ticket, deadline: Option<Instant>, parcel: P) {
        self.waiting.insert(ticket, Waiting { deadline, parcel });
        self.earliest = earlier(self.earliest, deadline);
    }

    pub(super) fn leave(&mut self, ticket: Ticket) -> Option<P> {
        self.waiting.remove(&ticket).map(|waiting| waiting.parcel)
    }

    /// Takes out whoever came first.
    pub(super) fn pop_first(&mut self) -> Option<(Ticket, P)> {
        let (ticket, waiting) = self.waiting.pop_first()?;
        Some((ticket, waiting.parcel))
    }

    /// Takes out those whose deadline has passed.
    pub(super) fn take_expired(&mut self, now: Instant) -> Vec<(Ticket, P)> {
        if self.earliest.is_none_or(|earliest| now < earliest) {
            return Vec::new();
        }
        let is_expired = |waiting: &Waiting<P>| waiting.deadline.is_some_and(|at| at <= now);
        let all = std::mem::take(&mut self.waiting);
        let (expired, waiting): (BTreeMap<_, _>, BTreeMap<_, _>) = all
            .into_iter()
            .partition(|(_, waiting)| is_expired(waiting));
        self.earliest = waiting
            .values()
            .filter_map(|waiting| waiting.deadline)
            .min();
        self.waiting = waiting;
        expired
            .into_iter()
            .map(|(ticket, waiting)| (ticket, waiting.parcel))
            .collect()
    }

    /// When [`take_expired`](Self::take_expired) may have something to do next.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.earliest
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

fn earlier(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
