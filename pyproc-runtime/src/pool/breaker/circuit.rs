//! The state of one breaker. A pure policy: it is told what happens, and when.

use std::time::{Duration, Instant};

use crate::deadline::later;

/// Whether calls flow.
#[derive(Debug, Default)]
pub(super) struct Circuit {
    /// How many failures there were in a row.
    failures: u32,
    phase: Phase,
}

#[derive(Debug, Default, Clone, Copy, PartialEq)]
enum Phase {
    #[default]
    Closed,
    /// Nothing is let through until then.
    Open(Instant),
    /// One call is being tried. Should nothing be heard of it, the next one is let through then.
    HalfOpen(Instant),
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Passes,
    /// It decides whether the others will pass.
    IsTried,
    IsRefused,
}

impl Circuit {
    pub(super) fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    /// Whether all depends on one call now.
    pub(super) fn is_half_open(&self) -> bool {
        matches!(self.phase, Phase::HalfOpen(_))
    }

    pub(super) fn judge(&mut self, open_for: Duration, now: Instant) -> Verdict {
        match self.phase {
            Phase::Closed => Verdict::Passes,
            Phase::Open(until) | Phase::HalfOpen(until) if until <= now => {
                self.phase = Phase::HalfOpen(later(now, open_for));
                Verdict::IsTried
            }
            Phase::Open(_) | Phase::HalfOpen(_) => Verdict::IsRefused,
        }
    }

    /// Something has failed. Says whether that opens it.
    pub(super) fn fail(&mut self, limit: u32, open_for: Duration, now: Instant) -> bool {
        self.failures = self.failures.saturating_add(1);
        match self.phase {
            Phase::Closed if self.failures < limit => false,
            // What fails now was let through before.
            Phase::Open(_) => false,
            Phase::Closed | Phase::HalfOpen(_) => {
                self.phase = Phase::Open(later(now, open_for));
                true
            }
        }
    }

    /// Something has succeeded. Says whether that closes it.
    pub(super) fn succeed(&mut self) -> bool {
        match self.phase {
            Phase::Closed => {
                self.failures = 0;
                false
            }
            // What succeeds now was let through before, and says nothing of what comes.
            Phase::Open(_) => false,
            Phase::HalfOpen(_) => {
                *self = Self::default();
                true
            }
        }
    }

    /// There was a success among the failures. Only a call that was tried can close what is open.
    pub(super) fn break_row(&mut self) {
        if self.is_closed() {
            self.failures = 0;
        }
    }

    /// The call that was tried has shown nothing. The next one is tried.
    pub(super) fn abstain(&mut self, now: Instant) {
        if let Phase::HalfOpen(_) = self.phase {
            self.phase = Phase::Open(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn failures_in_a_row_open_it_and_a_success_between_them_does_not_let_it_come_to_that() {
        let (mut circuit, now) = (Circuit::default(), Instant::now());
        let fails = |circuit: &mut Circuit| circuit.fail(3, S, now);
        assert_eq!([0; 2].map(|_| fails(&mut circuit)), [false, false]);
        assert!(!circuit.succeed());
        assert_eq!(
            [0; 3].map(|_| fails(&mut circuit)),
            [false, false, true],
            "three in a row"
        );
        assert_eq!(circuit.judge(S, now), Verdict::IsRefused);
        assert!(!fails(&mut circuit), "it is open already");
    }

    #[test]
    fn after_its_time_one_call_is_tried_and_closes_it_or_opens_it_again() {
        let (mut circuit, now) = (Circuit::default(), Instant::now());
        circuit.fail(1, S, now);
        assert_eq!(circuit.judge(S, now + S), Verdict::IsTried);
        assert_eq!(circuit.judge(S, now + S), Verdict::IsRefused);
        assert!(circuit.fail(1, S, now + S));
        assert_eq!(circuit.judge(S, now + S), Verdict::IsRefused);
        assert_eq!(circuit.judge(S, now + 2 * S), Verdict::IsTried);
        assert!(circuit.succeed());
        assert_eq!(circuit.judge(S, now + 2 * S), Verdict::Passes);
        assert!(
            !circuit.fail(2, S, now + 2 * S),
            "it counts from the beginning"
        );
    }

    #[test]
    fn a_trial_that_shows_nothing_is_followed_by_another() {
        let (mut circuit, now) = (Circuit::default(), Instant::now());
        circuit.fail(1, S, now);
        assert_eq!(circuit.judge(S, now + S), Verdict::IsTried);
        circuit.abstain(now + S);
        assert_eq!(circuit.judge(S, now + S), Verdict::IsTried);
        // And one of which nothing is heard, too.
        assert_eq!(circuit.judge(S, now + 2 * S), Verdict::IsTried);
    }

    #[test]
    fn what_was_let_through_before_does_not_close_it() {
        let (mut circuit, now) = (Circuit::default(), Instant::now());
        circuit.fail(1, S, now);
        assert!(!circuit.succeed());
        assert_eq!(circuit.judge(S, now), Verdict::IsRefused);
    }

    #[test]
    fn a_success_among_failures_breaks_their_row_and_closes_nothing() {
        let (mut circuit, now) = (Circuit::default(), Instant::now());
        assert!(!circuit.fail(2, S, now));
        circuit.break_row();
        assert!(!circuit.fail(2, S, now));
        assert!(circuit.fail(2, S, now));
        circuit.break_row();
        assert_eq!(circuit.judge(S, now), Verdict::IsRefused);
        assert_eq!(circuit.judge(S, now + S), Verdict::IsTried);
        circuit.break_row();
        assert!(circuit.is_half_open());
    }

    #[test]
    fn the_extremes_of_each_setting_are_possible() {
        let now = Instant::now();
        for open_for in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
            for limit in [1, u32::MAX] {
                let mut circuit = Circuit::default();
                for _ in 0..3 {
                    circuit.fail(limit, open_for, now);
                    circuit.judge(open_for, now);
                    circuit.judge(open_for, now + S);
                }
                let is_refused = circuit.judge(open_for, now + 2 * S) == Verdict::IsRefused;
                assert_eq!(is_refused, limit == 1 && open_for == Duration::MAX);
            }
        }
    }
}
