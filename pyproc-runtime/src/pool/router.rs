//! Which worker a call goes to.

use std::fmt::Debug;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What a router may know of a slot that has room for a call.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// The slot's place in the pool, from 0.
    pub slot: usize,
    /// How many calls are in flight on it.
    pub in_flight: usize,
}

impl Candidate {
    /// A candidate, for tests of a router.
    pub fn new(slot: usize, in_flight: usize) -> Self {
        Self { slot, in_flight }
    }
}

/// A policy that chooses among the slots that have room.
///
/// It is called under the pool's admission lock, once per call: it must be quick, and must not call the pool. When it
/// panics, the call goes to the first candidate.
pub trait Router: Debug + Send + Sync + 'static {
    /// The index *in `candidates`* of the slot that the call goes to.
    ///
    /// `candidates` is never empty and is ordered by slot; `slots` is the number of slots in the pool. An index
    /// out of bounds is taken as the last candidate.
    fn route(&self, candidates: &[Candidate], slots: usize) -> usize;
}

/// Chooses the slot with the fewest calls in flight, and among equals the next in turn.
///
/// It is the default because calls differ in length: a turn-taking router sends a short call behind a long one
/// while another worker has nothing to do.
#[derive(Debug, Default)]
pub struct LeastLoaded {
    turn: AtomicUsize,
}

impl Router for LeastLoaded {
    fn route(&self, candidates: &[Candidate], slots: usize) -> usize {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % slots;
        let load = |index: &usize| {
            let candidate = &candidates[*index];
            (candidate.in_flight, (candidate.slot + slots - turn) % slots)
        };
        (0..candidates.len()).min_by_key(load).unwrap_or(0)
    }
}

/// Sends each call to the next slot in turn, skipping those without room. Fair for calls of equal length.
#[derive(Debug, Default)]
pub struct RoundRobin {
    turn: AtomicUsize,
}

impl Router for RoundRobin {
    fn route(&self, candidates: &[Candidate], slots: usize) -> usize {
        let turn = self.turn.load(Ordering::Relaxed) % slots;
        let distance = |index: &usize| (candidates[*index].slot + slots - turn) % slots;
        let chosen = (0..candidates.len()).min_by_key(distance).unwrap_or(0);
        self.turn
            .store(candidates[chosen].slot + 1, Ordering::Relaxed);
        chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(in_flight: &[usize]) -> Vec<Candidate> {
        in_flight
            .iter()
            .enumerate()
            .map(|(slot, in_flight)| Candidate::new(slot, *in_flight))
            .collect()
    }

    #[test]
    fn least_loaded_avoids_the_busy_slot() {
        let router = LeastLoaded::default();
        for _ in 0..8 {
            assert_eq!(router.route(&candidates(&[3, 1, 2]), 3), 1);
        }
    }

    #[test]
    fn least_loaded_takes_turns_among_equals() {
        let router = LeastLoaded::default();
        let chosen: Vec<_> = (0..6)
            .map(|_| router.route(&candidates(&[0, 0, 0]), 3))
            .collect();
        assert_eq!(chosen, [0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn round_robin_takes_turns_and_skips_full_slots() {
        let router = RoundRobin::default();
        assert_eq!(router.route(&candidates(&[0, 0, 0]), 3), 0);
        // Slot 1 has no room, so it is no candidate.
        let without_one = [Candidate::new(0, 0), Candidate::new(2, 0)];
        assert_eq!(router.route(&without_one, 3), 1);
        assert_eq!(router.route(&candidates(&[0, 0, 0]), 3), 0);
        assert_eq!(router.route(&candidates(&[5, 5, 5]), 3), 1);
    }
}
