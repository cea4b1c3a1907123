//! Whether, and after how long, a dead worker is replaced.

use std::time::Duration;

/// How dead workers are replaced: exponential backoff with jitter, and a limit to the tries.
///
/// `true` and `false` convert into it: the default policy, and no replacement at all.
#[derive(Debug, Clone, PartialEq)]
pub struct Restart {
    enabled: bool,
    max_retries: u32,
    backoff: Duration,
    max_backoff: Duration,
    reset_after: Duration,
}

impl Restart {
    /// The default policy; its setters change it.
    pub fn new() -> Self {
        Self {
            enabled: true,
            max_retries: 10,
            backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(30),
            reset_after: Duration::from_secs(60),
        }
    }

    /// Dead workers stay dead.
    pub fn never() -> Self {
        Self {
            enabled: false,
            ..Self::new()
        }
    }

    /// How often in a row a slot's process may be replaced before the slot is given up. Default 10: with the default
    /// backoff that is more than a minute of failed starts, longer than a deployment takes to put a file in its place.
    pub fn max_retries(mut self, retries: u32) -> Self {
        self.max_retries = retries;
        self
    }

    /// The delay before the first replacement; it doubles with each one in a row. Default 100 ms: not felt by
    /// anybody after a single crash, and no busy loop when the script crashes at once.
    pub fn backoff(mut self, delay: Duration) -> Self {
        self.backoff = delay;
        self
    }

    /// The longest delay. Default 30 s: after a repair, nobody should wait longer for the pool to notice.
    pub fn max_backoff(mut self, delay: Duration) -> Self {
        self.max_backoff = delay;
        self
    }

    /// How long a worker must have been ready for the count of retries to begin again. Default 60 s: longer than the
    /// longest delay, so that a worker that crashes regularly cannot restart for ever without being noticed.
    pub fn reset_after(mut self, time: Duration) -> Self {
        self.reset_after = time;
        self
    }

    /// The checks of [`PoolBuilder::start`](crate::PoolBuilder::start): what is wrong with the policy, if anything.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.max_backoff < self.backoff {
            return Err(format!(
                "the restart's max_backoff ({:?}) is below its backoff ({:?})",
                self.max_backoff, self.backoff
            ));
        }
        Ok(())
    }
}

impl Default for Restart {
    fn default() -> Self {
        Self::new()
    }
}

impl From<bool> for Restart {
    fn from(enabled: bool) -> Self {
        if enabled { Self::new() } else { Self::never() }
    }
}

/// What to do about a dead worker.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Decision {
    RestartAfter(Duration),
    GiveUp,
}

/// One slot's history under a [`Restart`] policy.
#[derive(Debug, Default)]
pub(crate) struct RestartHistory {
    retries: u32,
}

impl RestartHistory {
    /// Decides about a worker that left in good order after having been ready for `uptime`. That is no crash, and does
    /// not count as one. It is replaced at once; only one that leaves right after its start could be replaced without
    /// end, and waits until the first delay since then has passed.
    pub(crate) fn left(&self, policy: &Restart, uptime: Duration) -> Decision {
        if policy.enabled {
            Decision::RestartAfter(policy.backoff.saturating_sub(uptime))
        } else {
            Decision::GiveUp
        }
    }

    /// Decides about a worker that died after having been ready for `uptime` (zero if it never was). `jitter` is a
    /// random number from 0 to 1; it shortens the delay by up to a half, so that workers that died together do not
    /// start together.
    pub(crate) fn died(&mut self, policy: &Restart, uptime: Duration, jitter: f64) -> Decision {
        if uptime >= policy.reset_after {
            self.retries = 0;
        }
        if !policy.enabled || self.retries >= policy.max_retries {
            return Decision::GiveUp;
        }
        let factor = 2_u32.saturating_pow(self.retries);
        let delay = policy
            .backoff
            .saturating_mul(factor)
            .min(policy.max_backoff);
        self.retries += 1;
        Decision::RestartAfter(delay.mul_f64(1.0 - jitter.clamp(0.0, 1.0) / 2.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delays(policy: &Restart, jitter: f64, deaths: usize) -> Vec<Decision> {
        let mut history = RestartHistory::default();
        (0..deaths)
            .map(|_| history.died(policy, Duration::ZERO, jitter))
            .collect()
    }

    #[test]
    fn delays_double_up_to_the_longest_and_then_the_slot_is_given_up() {
        let policy = Restart::new()
            .max_retries(4)
            .backoff(Duration::from_millis(100))
            .max_backoff(Duration::from_millis(300));
        let expected =
            [100, 200, 300, 300].map(|ms| Decision::RestartAfter(Duration::from_millis(ms)));
        let decisions = delays(&policy, 0.0, 5);
        assert_eq!(decisions[..4], expected);
        assert_eq!(decisions[4], Decision::GiveUp);
    }

    #[test]
    fn jitter_shortens_a_delay_by_no_more_than_half() {
        let policy = Restart::new();
        assert_eq!(
            delays(&policy, 1.0, 1),
            [Decision::RestartAfter(Duration::from_millis(50))]
        );
    }

    #[test]
    fn a_healthy_time_resets_the_count() {
        let policy = Restart::new().max_retries(1);
        let mut history = RestartHistory::default();
        let first = history.died(&policy, Duration::ZERO, 0.0);
        assert_eq!(history.died(&policy, Duration::from_secs(61), 0.0), first);
        assert_eq!(
            history.died(&policy, Duration::from_secs(59), 0.0),
            Decision::GiveUp
        );
    }

    #[test]
    fn who_leaves_in_good_order_is_replaced_at_once_but_no_more_often_than_after_a_crash() {
        let policy = Restart::new().max_retries(0);
        let history = RestartHistory::default();
        for (uptime_ms, delay_ms) in [(0, 100), (60, 40), (100, 0), (5000, 0)] {
            let decision = history.left(&policy, Duration::from_millis(uptime_ms));
            let delay = Duration::from_millis(delay_ms);
            assert_eq!(decision, Decision::RestartAfter(delay), "{uptime_ms} ms");
        }
        let decision = history.left(&Restart::never(), Duration::from_secs(5));
        assert_eq!(decision, Decision::GiveUp);
    }

    #[test]
    fn restart_false_never_restarts() {
        assert_eq!(delays(&Restart::from(false), 0.0, 1), [Decision::GiveUp]);
    }
}
