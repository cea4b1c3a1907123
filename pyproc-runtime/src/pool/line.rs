//! The waiting line of a pool.

use std::collections::BTreeMap;
use std::time::Instant;

use super::claim::Priority;

/// A call's turn. Smaller tickets came earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(pub(super) u64);

/// Calls that wait, in the order of their tickets within each priority. `P` is what is needed to send one without its
/// caller.
#[derive(Debug)]
pub(super) struct Line<P> {
    /// By the rank of the priority.
    waiting: [BTreeMap<Ticket, Waiting<P>>; Priority::ALL.len()],
    /// How many had their turn since somebody came before whoever had waited longest.
    passed: u32,
    /// No deadline in the line is earlier than this. Calls that leave leave it as it is, so that leaving costs no search.
    earliest: Option<Instant>,
}

#[derive(Debug)]
struct Waiting<P> {
    deadline: Option<Instant>,
    parcel: P,
}

/// So many turns in a row may be given to others than whoever has waited longest. With one turn in eight the lower
/// priorities go on, and the higher ones do not feel it.
const MAX_PASSED: u32 = 7;

impl<P> Line<P> {
    pub(super) fn new() -> Self {
        Self {
            waiting: Default::default(),
            passed: 0,
            earliest: None,
        }
    }

    pub(super) fn join(
        &mut self,
        ticket: Ticket,
        deadline: Option<Instant>,
        priority: Priority,
        parcel: P,
    ) {
        self.waiting[priority.rank()].insert(ticket, Waiting { deadline, parcel });
        self.earliest = earlier(self.earliest, deadline);
    }

    pub(super) fn leave(&mut self, ticket: Ticket) -> Option<P> {
        let mut all = self.waiting.iter_mut();
        let waiting = all.find_map(|waiting| waiting.remove(&ticket))?;
        Some(waiting.parcel)
    }

    /// Takes out whoever has the next turn.
    pub(super) fn pop_next(&mut self) -> Option<(Ticket, P)> {
        let first = |rank: &usize| self.waiting[*rank].first_key_value();
        let mut ranks = (0..self.waiting.len()).filter(|rank| first(rank).is_some());
        let highest = ranks.next()?;
        let oldest = ranks.fold(highest, |oldest, rank| {
            let ticket = |rank| first(&rank).map(|(ticket, _)| *ticket);
            if ticket(rank) < ticket(oldest) {
                rank
            } else {
                oldest
            }
        });
        let next = if oldest == highest || self.passed == MAX_PASSED {
            self.passed = 0;
            oldest
        } else {
            self.passed += 1;
            highest
        };
        let (ticket, waiting) = self.waiting[next].pop_first()?;
        Some((ticket, waiting.parcel))
    }

    /// Takes out those whose deadline has passed.
    pub(super) fn take_expired(&mut self, now: Instant) -> Vec<(Ticket, P)> {
        if self.earliest.is_none_or(|earliest| now < earliest) {
            return Vec::new();
        }
        let is_expired = |waiting: &Waiting<P>| waiting.deadline.is_some_and(|at| at <= now);
        let mut taken = Vec::new();
        self.earliest = None;
        for line in &mut self.waiting {
            let all = std::mem::take(line);
            let (expired, waiting): (BTreeMap<_, _>, BTreeMap<_, _>) = all
                .into_iter()
                .partition(|(_, waiting)| is_expired(waiting));
            let deadlines = waiting.values().filter_map(|waiting| waiting.deadline);
            self.earliest = earlier(self.earliest, deadlines.min());
            *line = waiting;
            taken.extend(
                expired
                    .into_iter()
                    .map(|(ticket, waiting)| (ticket, waiting.parcel)),
            );
        }
        taken
    }

    /// When [`take_expired`](Self::take_expired) may have something to do next.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.earliest
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.iter().map(BTreeMap::len).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.iter().all(BTreeMap::is_empty)
    }
}

fn earlier(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn join(line: &mut Line<Priority>, ticket: u64, priority: Priority) {
        line.join(Ticket(ticket), None, priority, priority);
    }

    fn served(line: &mut Line<Priority>) -> Vec<u64> {
        std::iter::from_fn(|| line.pop_next())
            .map(|(ticket, _)| ticket.0)
            .collect()
    }

    #[test]
    fn within_a_priority_it_is_first_come_first_served() {
        let mut line = Line::new();
        for (ticket, priority) in [
            (1, Priority::Low),
            (2, Priority::Normal),
            (3, Priority::High),
            (4, Priority::Normal),
            (5, Priority::High),
        ] {
            join(&mut line, ticket, priority);
        }
        assert_eq!(line.len(), 5);
        assert_eq!(served(&mut line), [3, 5, 2, 4, 1]);
        assert!(line.is_empty());
    }

    #[test]
    fn every_eighth_turn_goes_to_whoever_has_waited_longest() {
        let mut line = Line::new();
        join(&mut line, 1, Priority::Low);
        join(&mut line, 2, Priority::Low);
        let mut turns = Vec::new();
        for ticket in 3..23 {
            join(&mut line, ticket, Priority::High);
        }
        // However many come, one comes for each that is served.
        for ticket in 23..43 {
            turns.push(line.pop_next().unwrap().0.0);
            join(&mut line, ticket, Priority::High);
        }
        assert_eq!(turns.iter().position(|turn| *turn == 1), Some(7));
        assert_eq!(turns.iter().position(|turn| *turn == 2), Some(15));
    }

    proptest! {
        /// Whatever comes and goes, nobody waits for more than eight turns per call that came before it and its own, and
        /// whoever is served before an older call has a higher priority, unless it is the oldest.
        #[test]
        fn nobody_starves(steps in proptest::collection::vec((0_u8..3, 0_usize..3), 1..400)) {
            let mut line = Line::new();
            let (mut next, mut turn) = (0, 0_usize);
            // When each must have had its turn, and its priority.
            let mut due: BTreeMap<u64, (usize, Priority)> = BTreeMap::new();
            for (step, rank) in steps {
                let priority = Priority::ALL[rank];
                if step > 0 {
                    next += 1;
                    due.insert(next, (turn + 8 * (due.len() + 1), priority));
                    join(&mut line, next, priority);
                } else if let Some((ticket, priority)) = line.pop_next() {
                    turn += 1;
                    let oldest = *due.keys().next().unwrap();
                    let best = due.values().map(|(_, priority)| *priority).max().unwrap();
                    prop_assert!(ticket.0 == oldest || priority == best);
                    due.remove(&ticket.0);
                    prop_assert!(due.values().all(|(latest, _)| turn < *latest));
                }
                prop_assert_eq!(line.len(), due.len());
            }
        }
    }
}
