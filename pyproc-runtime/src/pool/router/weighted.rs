use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::{Candidate, Route, Router};

/// Chooses the slot that will have done the call first, by how long its worker takes for a call: the calls that it has and
/// the new one, times its average of late. For workers that are not alike: those on older graphics cards, on slower cores,
/// beside greedy neighbours.
///
/// A worker that is slow gets fewer calls, and may get none for a while; so that it is not forgotten when it has become
/// faster, what was measured counts half as much with each second in which it has nothing to do. (The decay, and the
/// product of time and calls in flight, are those of the balancer "Peak EWMA" of Finagle.) A worker that is in a call for
/// longer than its average is taken to be as slow as that, and one that has calls and has not answered any yet to be as
/// slow as the slowest of all.
#[derive(Debug, Default)]
pub struct Weighted {
    turn: AtomicUsize,
}

/// After this time without a call half of what was measured is forgotten.
const HALF_LIFE: Duration = Duration::from_secs(1);

impl Router for Weighted {
    fn route(&self, route: &Route<'_>) -> usize {
        if let Some(chosen) = route.by_key() {
            return chosen;
        }
        let Route {
            candidates,
            slots,
            now,
            ..
        } = *route;
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % slots;
        let times_s = candidates
            .iter()
            .map(|candidate| service_time_s(candidate, now));
        let slowest_s = times_s.fold(0.0, f64::max);
        let weight = |candidate: &Candidate| {
            let is_untried = candidate.service_time.is_zero() && candidate.calls() > 0;
            let time_s = match is_untried {
                true => slowest_s,
                false => service_time_s(candidate, now),
            };
            let wait = time_s * (candidate.calls() + 1) as f64;
            let distance = (candidate.slot + slots - turn) % slots;
            (wait, candidate.in_flight, distance)
        };
        let first = candidates.iter().map(weight).enumerate();
        let least = first.min_by(|(_, a), (_, b)| {
            let equals = (a.1, a.2).cmp(&(b.1, b.2));
            a.0.total_cmp(&b.0).then(equals)
        });
        least.map_or(0, |(index, _)| index)
    }
}

/// How long the worker of a slot takes for a call, as far as is known now, in seconds.
fn service_time_s(candidate: &Candidate, now: Instant) -> f64 {
    let average_s = candidate.service_time.as_secs_f64();
    let elapsed = candidate
        .since
        .map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
    if candidate.calls() > 0 {
        average_s.max(elapsed.as_secs_f64())
    } else {
        average_s * (-elapsed.as_secs_f64() / HALF_LIFE.as_secs_f64()).exp2()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn chosen(router: &Weighted, now: Instant, candidates: &[Candidate]) -> usize {
        let mut route = Route::new(candidates, candidates.len(), "f");
        route.now = now;
        router.route(&route)
    }

    #[test]
    fn a_worker_that_takes_three_times_as_long_gets_a_quarter_of_the_calls() {
        let (router, now) = (Weighted::default(), Instant::now());
        let mut candidates = [
            Candidate::new(0, 0).with_service_time(MS, now),
            Candidate::new(1, 0).with_service_time(3 * MS, now),
        ];
        for _ in 0..400 {
            let chosen = chosen(&router, now, &candidates);
            candidates[chosen].in_flight += 1;
        }
        assert_eq!(candidates[0].in_flight, 300);
    }

    #[test]
    fn equal_workers_take_turns_and_unknown_ones_come_first() {
        let (router, now) = (Weighted::default(), Instant::now());
        let known = [0, 1, 2].map(|slot| Candidate::new(slot, 0).with_service_time(MS, now));
        let turns = [(); 4].map(|()| chosen(&router, now, &known));
        assert_eq!(turns, [0, 1, 2, 0]);
        let one_is_new = [known[0], Candidate::new(1, 0), known[2]];
        assert_eq!(chosen(&router, now, &one_is_new), 1);
    }

    #[test]
    fn a_worker_that_has_not_answered_yet_gets_one_call_and_not_all() {
        let (router, now) = (Weighted::default(), Instant::now());
        let known = Candidate::new(0, 1).with_service_time(20 * MS, now);
        let mut new = Candidate::new(1, 0);
        assert_eq!(chosen(&router, now, &[known, new]), 1);
        (new.in_flight, new.since) = (1, Some(now));
        let mut candidates = [known, new];
        for _ in 0..100 {
            let later = now + MS / 100;
            let chosen = chosen(&router, later, &candidates);
            candidates[chosen].in_flight += 1;
        }
        assert_eq!(candidates.map(|candidate| candidate.in_flight), [51, 51]);
    }

    #[test]
    fn where_no_worker_has_answered_yet_the_one_with_fewest_calls_is_next() {
        let (router, now) = (Weighted::default(), Instant::now());
        let busy = |slot, in_flight, since| {
            let mut candidate = Candidate::new(slot, in_flight);
            candidate.since = Some(since);
            candidate
        };
        let candidates = [busy(0, 2, now), busy(1, 3, now + 9 * MS)];
        assert_eq!(chosen(&router, now + 10 * MS, &candidates), 0);
    }

    #[test]
    fn a_slow_worker_is_tried_again_after_a_while() {
        let (router, now) = (Weighted::default(), Instant::now());
        let slow = Candidate::new(0, 0).with_service_time(100 * MS, now);
        let at = |later: Duration| {
            let quick = Candidate::new(1, 0).with_service_time(10 * MS, now + later);
            chosen(&router, now + later, &[slow, quick])
        };
        assert_eq!([at(MS), at(3000 * MS), at(4000 * MS)], [1, 1, 0]);
    }

    #[test]
    fn a_worker_that_is_in_a_long_call_is_avoided_whatever_it_did_before() {
        let (router, now) = (Weighted::default(), Instant::now());
        let candidates = [
            Candidate::new(0, 1).with_service_time(MS, now),
            Candidate::new(1, 3).with_service_time(2 * MS, now + 49 * MS),
        ];
        assert_eq!(chosen(&router, now + 50 * MS, &candidates), 1);
    }

    #[test]
    fn a_worker_whose_streams_rest_is_idle() {
        let (router, now) = (Weighted::default(), Instant::now());
        let mut resting = Candidate::new(0, 1).with_service_time(MS, now);
        resting.streams = 1;
        let later = now + 60_000 * MS;
        let busy = Candidate::new(1, 1).with_service_time(MS, later);
        assert_eq!(chosen(&router, later, &[resting, busy]), 0);
    }
}
