//! What one slot has been through, and what follows from it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::{Herd, Restart};
use crate::deadline::part_of;

/// What to do about a worker that is gone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::supervisor) enum Decision {
    RestartAfter(Duration),
    /// The slot is left in peace, and then tried once.
    ProbeAfter(Duration),
    GiveUp,
}

/// One slot's history under a [`Restart`] policy. It is pure: what it says follows from what it was told.
#[derive(Debug, Default)]
pub(in crate::supervisor) struct RestartHistory {
    /// How long the slot's workers have been ready, all together.
    lived: Duration,
    /// The deaths that count, by how long the slot's workers had lived by then.
    deaths: VecDeque<Duration>,
    /// How many deaths in a row were answered with a restart.
    restarts: u32,
    is_degraded: bool,
}

impl RestartHistory {
    /// Whether the slot's next worker is on probation.
    pub(in crate::supervisor) fn is_degraded(&self) -> bool {
        self.is_degraded
    }

    /// A worker has stood its probation.
    pub(in crate::supervisor) fn recover(&mut self) {
        self.deaths.clear();
        self.restarts = 0;
        self.is_degraded = false;
    }

    /// Decides about a worker that left in good order after having been ready for `uptime`. That is no crash, and does
    /// not count as one. It is replaced at once; only one that leaves right after its start could be replaced without
    /// end, and waits until the first delay since then has passed.
    pub(in crate::supervisor) fn left(&mut self, policy: &Restart, uptime: Duration) -> Decision {
        self.live(policy, uptime);
        if policy.enabled {
            Decision::RestartAfter(policy.backoff.saturating_sub(uptime))
        } else {
            Decision::GiveUp
        }
    }

    /// Decides about a worker that died at `now` after having been ready for `uptime` (zero if it never was). `jitter`
    /// is a random number from 0 to 1.
    pub(in crate::supervisor) fn died(
        &mut self,
        policy: &Restart,
        uptime: Duration,
        herd: &mut Herd,
        now: Instant,
        jitter: f64,
    ) -> Decision {
        if !policy.enabled {
            return Decision::GiveUp;
        }
        self.live(policy, uptime);
        if self.is_degraded || self.exceeds(policy) {
            self.is_degraded = true;
            let least = policy.max_backoff / 2;
            return Decision::ProbeAfter(least + part_of(least, jitter));
        }
        let doublings = self.restarts.saturating_sub(1);
        let longest = policy
            .backoff
            .saturating_mul(2_u32.saturating_pow(doublings))
            .min(policy.max_backoff);
        let is_first = self.restarts == 0;
        self.restarts = self.restarts.saturating_add(1);
        if is_first && herd.admits(now, policy.backoff) {
            return Decision::RestartAfter(Duration::ZERO);
        }
        Decision::RestartAfter(part_of(longest, jitter))
    }

    fn live(&mut self, policy: &Restart, uptime: Duration) {
        self.lived = self.lived.saturating_add(uptime);
        if uptime >= policy.reset_after || (self.is_degraded && uptime >= policy.period) {
            self.recover();
        }
    }

    /// Notes a death, and says whether it is one too many.
    fn exceeds(&mut self, policy: &Restart) -> bool {
        if policy.intensity == u32::MAX {
            return false;
        }
        let lived = self.lived;
        self.deaths
            .retain(|death| lived.saturating_sub(*death) < policy.period);
        self.deaths.push_back(self.lived);
        self.deaths.len() > policy.intensity as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const S: Duration = Duration::from_secs(1);

    /// A slot of a pool whose other slots have no worries.
    struct Lone(RestartHistory);

    impl Lone {
        fn new() -> Self {
            Self(RestartHistory::default())
        }

        fn dies(&mut self, policy: &Restart, uptime: Duration, jitter: f64) -> Decision {
            let mut herd = Herd::default();
            self.0
                .died(policy, uptime, &mut herd, Instant::now(), jitter)
        }
    }

    #[test]
    fn the_first_restart_is_immediate_and_the_delays_then_double_up_to_the_longest() {
        let policy = Restart::new()
            .backoff(100 * MS)
            .max_backoff(300 * MS)
            .intensity(9);
        let mut slot = Lone::new();
        for delay_ms in [0, 100, 200, 300, 300] {
            let decision = slot.dies(&policy, Duration::ZERO, 1.0);
            assert_eq!(decision, Decision::RestartAfter(delay_ms * MS));
        }
    }

    #[test]
    fn jitter_is_full() {
        let policy = Restart::new().backoff(100 * MS);
        for (jitter, delay_ms) in [(0.0, 0), (0.25, 25), (0.5, 50), (1.0, 100)] {
            let mut slot = Lone::new();
            slot.dies(&policy, Duration::ZERO, jitter);
            let second = slot.dies(&policy, Duration::ZERO, jitter);
            assert_eq!(second, Decision::RestartAfter(delay_ms * MS), "{jitter}");
        }
    }

    #[test]
    fn one_death_more_than_the_intensity_degrades_the_slot() {
        let policy = Restart::new().intensity(2).max_backoff(30 * S);
        let mut slot = Lone::new();
        for _ in 0..2 {
            let decision = slot.dies(&policy, S, 0.0);
            assert!(matches!(decision, Decision::RestartAfter(_)));
        }
        assert!(!slot.0.is_degraded());
        assert_eq!(slot.dies(&policy, S, 0.0), Decision::ProbeAfter(15 * S));
        assert!(slot.0.is_degraded());
        assert_eq!(slot.dies(&policy, S, 1.0), Decision::ProbeAfter(30 * S));
    }

    #[test]
    fn only_deaths_within_the_period_count_and_only_the_time_in_which_there_was_a_worker() {
        let policy = Restart::new().intensity(2).period(10 * S);
        let mut rare = Lone::new();
        for _ in 0..50 {
            let decision = rare.dies(&policy, 6 * S, 0.0);
            assert!(matches!(decision, Decision::RestartAfter(_)));
        }
        // However long such a worker takes to start, it has not lived in between.
        let mut never_ready = Lone::new();
        let decisions = [0; 3].map(|_| never_ready.dies(&policy, Duration::ZERO, 0.0));
        assert!(matches!(decisions[2], Decision::ProbeAfter(_)));
    }

    #[test]
    fn without_an_intensity_a_slot_is_never_degraded_and_nothing_is_kept() {
        let policy = Restart::new().intensity(u32::MAX);
        let mut slot = Lone::new();
        for _ in 0..1000 {
            let decision = slot.dies(&policy, Duration::ZERO, 0.0);
            assert!(matches!(decision, Decision::RestartAfter(_)));
        }
        assert!(slot.0.deaths.is_empty());
    }

    #[test]
    fn a_healthy_time_resets_the_delays_and_the_count() {
        let policy = Restart::new().intensity(1).reset_after(60 * S);
        let mut slot = Lone::new();
        let first = slot.dies(&policy, Duration::ZERO, 1.0);
        assert_eq!(first, Decision::RestartAfter(Duration::ZERO));
        assert_eq!(slot.dies(&policy, 61 * S, 1.0), first);
        let second = slot.dies(&policy, S, 1.0);
        assert!(matches!(second, Decision::ProbeAfter(_)));
    }

    #[test]
    fn a_worker_on_probation_must_live_for_the_period() {
        let policy = Restart::new().intensity(0).period(10 * S);
        let mut slot = Lone::new();
        for uptime in [Duration::ZERO, 9 * S] {
            let decision = slot.dies(&policy, uptime, 0.0);
            assert!(matches!(decision, Decision::ProbeAfter(_)));
        }
        // One that leaves in good order has not stood it either.
        slot.0.left(&policy, S);
        assert!(slot.0.is_degraded());
        slot.0.left(&policy, 10 * S);
        assert!(!slot.0.is_degraded());
    }

    #[test]
    fn a_slot_that_has_recovered_begins_anew() {
        let policy = Restart::new().intensity(1);
        let mut slot = Lone::new();
        slot.dies(&policy, Duration::ZERO, 0.0);
        slot.dies(&policy, Duration::ZERO, 0.0);
        assert!(slot.0.is_degraded());
        slot.0.recover();
        let decision = slot.dies(&policy, S, 1.0);
        assert_eq!(decision, Decision::RestartAfter(Duration::ZERO));
    }

    #[test]
    fn of_slots_that_die_together_one_is_replaced_at_once_and_the_others_are_scattered() {
        let policy = Restart::new().backoff(100 * MS);
        let (mut herd, now) = (Herd::default(), Instant::now());
        let mut delays = [0.9, 0.1, 0.5, 0.7].map(|jitter| {
            let mut slot = RestartHistory::default();
            slot.died(&policy, 100 * S, &mut herd, now, jitter)
        });
        delays.sort_by_key(|decision| match decision {
            Decision::RestartAfter(delay) => *delay,
            other => panic!("{other:?}"),
        });
        assert_eq!(
            delays,
            [0, 10, 50, 70].map(|ms| Decision::RestartAfter(ms * MS))
        );
    }

    #[test]
    fn who_leaves_in_good_order_is_replaced_at_once_but_no_more_often_than_after_a_crash() {
        let policy = Restart::new().intensity(0);
        for (uptime_ms, delay_ms) in [(0, 100), (60, 40), (100, 0), (5000, 0)] {
            let decision = RestartHistory::default().left(&policy, uptime_ms * MS);
            assert_eq!(
                decision,
                Decision::RestartAfter(delay_ms * MS),
                "{uptime_ms} ms"
            );
        }
        let decision = RestartHistory::default().left(&Restart::never(), 5 * S);
        assert_eq!(decision, Decision::GiveUp);
    }

    #[test]
    fn the_extremes_of_each_setting_are_possible() {
        let times = [Duration::ZERO, Duration::from_nanos(1), Duration::MAX];
        let mut policies = Vec::new();
        for intensity in [0, 1, u32::MAX - 1, u32::MAX] {
            for backoff in times {
                for time in times {
                    let policy = Restart::new().intensity(intensity).backoff(backoff);
                    let policy = policy.max_backoff(Duration::MAX);
                    policies.push(policy.clone().period(time).reset_after(Duration::MAX));
                    policies.push(policy.reset_after(time).period(Duration::MAX));
                }
            }
        }
        for policy in policies {
            assert!(policy.check().is_ok());
            for jitter in [0.0, 1.0 - f64::EPSILON / 2.0, 1.0] {
                let mut slot = Lone::new();
                for uptime in [Duration::ZERO, S, Duration::MAX].iter().cycle().take(40) {
                    slot.dies(&policy, *uptime, jitter);
                    slot.0.left(&policy, *uptime);
                }
            }
        }
    }

    #[test]
    fn restart_false_never_restarts() {
        let never = Restart::from(false);
        assert_eq!(
            Lone::new().dies(&never, Duration::ZERO, 0.0),
            Decision::GiveUp
        );
    }
}
