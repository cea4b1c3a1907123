//! Which worker a call goes to.

mod sticky;
mod weighted;

pub use weighted::Weighted;

use std::fmt::Debug;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// What a router may know of a slot that has room for a call.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// The slot's place in the pool, from 0.
    pub slot: usize,
    /// How many calls are in flight on it.
    pub in_flight: usize,
    /// How many of them are streams that have yielded, between whose items the worker runs other calls.
    pub streams: usize,
    /// How long its worker took for a call of late, on average; zero until it has answered one. For a worker that runs many
    /// calls at once it is the time from one answer to the next.
    pub service_time: Duration,
    /// Since when it has been busy with what it does now, or idle; `None` if it never had a call.
    pub since: Option<Instant>,
}

impl Candidate {
    /// A candidate, for tests of a router.
    pub fn new(slot: usize, in_flight: usize) -> Self {
        Self {
            slot,
            in_flight,
            streams: 0,
            service_time: Duration::ZERO,
            since: None,
        }
    }

    /// The same, whose worker takes so long for a call and is as it is since that moment.
    #[must_use]
    pub fn with_service_time(mut self, time: Duration, since: Instant) -> Self {
        self.service_time = time;
        self.since = Some(since);
        self
    }

    /// How many calls its worker has to do: those in flight, without the streams that have yielded, which may rest for as
    /// long as their readers do.
    pub fn calls(&self) -> usize {
        self.in_flight.saturating_sub(self.streams)
    }
}

/// A call that is to go somewhere.
#[non_exhaustive]
#[derive(Debug, Clone, Copy)]
pub struct Route<'a> {
    /// The slots that have room for it, by their place. Never empty.
    pub candidates: &'a [Candidate],
    /// How many slots the pool has.
    pub slots: usize,
    /// How many of them have a worker that takes calls, with room for one or not.
    pub open: usize,
    /// How many [calls](Candidate::calls) those have together.
    pub in_flight: usize,
    /// The function that is called.
    pub function: &'a str,
    /// What the call's [`key`](crate::Call::key) comes to, if it has one.
    pub key: Option<u64>,
    /// What time it is.
    pub now: Instant,
}

impl<'a> Route<'a> {
    /// A call to one of these slots of a pool of so many, for tests of a router. It has no key.
    pub fn new(candidates: &'a [Candidate], slots: usize, function: &'a str) -> Self {
        let in_flight = candidates.iter().map(Candidate::calls);
        Self {
            candidates,
            slots: slots.max(1),
            open: candidates.len(),
            in_flight: in_flight.sum(),
            function,
            key: None,
            now: Instant::now(),
        }
    }

    /// Where the call's key belongs, as an index in [`candidates`](Self::candidates); `None` if it has no key.
    ///
    /// All calls of a key go to the same slot, as long as that has no more than its share of the calls; a slot without a
    /// worker moves its own keys to others and no other keys, and has them again when its worker is back. (Rendezvous
    /// hashing, after Thaler and Ravishankar 1998; with bounded loads, after Mirrokni, Thorup and Zadimoghaddam 2018: a slot
    /// that has a quarter more calls than the average passes the next one on to the slot that is second for its key.)
    pub fn by_key(&self) -> Option<usize> {
        Some(sticky::choose(self, self.key?))
    }
}

/// A policy that chooses among the slots that have room.
///
/// It is called under the pool's admission lock, once per call: it must be quick, and must not call the pool. When it
/// panics, the call goes to the first candidate.
///
/// A router of your own decides about calls with a key, too. Those of this crate begin with
/// [`by_key`](Route::by_key):
///
/// ```
/// # use pyproc_runtime as pyproc;
/// use pyproc::{Route, Router};
///
/// /// Fills the first workers before the next ones get anything.
/// #[derive(Debug)]
/// struct Packed;
///
/// impl Router for Packed {
///     fn route(&self, route: &Route<'_>) -> usize {
///         route.by_key().unwrap_or(0)
///     }
/// }
/// ```
pub trait Router: Debug + Send + Sync + 'static {
    /// The index *in the route's candidates* of the slot that the call goes to. An index out of bounds is taken as the last
    /// candidate.
    fn route(&self, route: &Route<'_>) -> usize;
}

/// Chooses the slot with the fewest [calls](Candidate::calls), and among equals the next in turn.
///
/// It is the default because calls differ in length: a turn-taking router sends a short call behind a long one
/// while another worker has nothing to do.
#[derive(Debug, Default)]
pub struct LeastLoaded {
    turn: AtomicUsize,
}

impl Router for LeastLoaded {
    fn route(&self, route: &Route<'_>) -> usize {
        if let Some(chosen) = route.by_key() {
            return chosen;
        }
        let Route {
            candidates, slots, ..
        } = *route;
        if candidates.len() == 1 {
            return 0;
        }
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % slots;
        let load = |index: &usize| {
            let candidate = &candidates[*index];
            let distance = (candidate.slot + slots - turn) % slots;
            (candidate.calls(), candidate.in_flight, distance)
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
    fn route(&self, route: &Route<'_>) -> usize {
        if let Some(chosen) = route.by_key() {
            return chosen;
        }
        let Route {
            candidates, slots, ..
        } = *route;
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

    fn route(router: &impl Router, in_flight: &[usize]) -> usize {
        router.route(&Route::new(&candidates(in_flight), 3, "f"))
    }

    #[test]
    fn least_loaded_avoids_the_busy_slot() {
        let router = LeastLoaded::default();
        for _ in 0..8 {
            assert_eq!(route(&router, &[3, 1, 2]), 1);
        }
    }

    #[test]
    fn least_loaded_takes_turns_among_equals() {
        let router = LeastLoaded::default();
        let chosen: Vec<_> = (0..6).map(|_| route(&router, &[0, 0, 0])).collect();
        assert_eq!(chosen, [0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn a_stream_that_rests_is_no_load() {
        let mut candidates = candidates(&[3, 2]);
        candidates[0].streams = 3;
        let route = Route::new(&candidates, 2, "f");
        assert_eq!(route.in_flight, 2);
        for _ in 0..4 {
            assert_eq!(LeastLoaded::default().route(&route), 0);
        }
        // Where the load is the same, the worker without a stream has nothing to resume.
        candidates[1].in_flight = 0;
        let router = LeastLoaded::default();
        for _ in 0..4 {
            assert_eq!(router.route(&Route::new(&candidates, 2, "f")), 1);
        }
    }

    #[test]
    fn round_robin_takes_turns_and_skips_full_slots() {
        let router = RoundRobin::default();
        assert_eq!(route(&router, &[0, 0, 0]), 0);
        // Slot 1 has no room, so it is no candidate.
        let without_one = [Candidate::new(0, 0), Candidate::new(2, 0)];
        assert_eq!(router.route(&Route::new(&without_one, 3, "f")), 1);
        assert_eq!(route(&router, &[0, 0, 0]), 0);
        assert_eq!(route(&router, &[5, 5, 5]), 1);
    }

    #[test]
    fn a_route_of_a_test_that_forgets_the_slots_is_a_route() {
        let candidates = candidates(&[0]);
        for router in [
            &LeastLoaded::default() as &dyn Router,
            &RoundRobin::default(),
        ] {
            assert_eq!(router.route(&Route::new(&candidates, 0, "f")), 0);
        }
    }

    #[test]
    fn every_router_sends_a_key_where_it_belongs() {
        let routers: [Box<dyn Router>; 3] = [
            Box::<LeastLoaded>::default(),
            Box::<RoundRobin>::default(),
            Box::<Weighted>::default(),
        ];
        let candidates = candidates(&[0, 0, 0]);
        for key in 0..50 {
            let mut route = Route::new(&candidates, 3, "f");
            route.key = Some(key);
            let belongs = route.by_key().unwrap();
            for router in &routers {
                assert_eq!(router.route(&route), belongs, "{router:?}");
            }
        }
    }
}
