//! Whether, when and how often calls are tried again.

mod budget;

pub(crate) use budget::Budget;
pub use budget::RetryBudget;

use std::time::Duration;

/// How a call is tried again that was refused, or lost with its worker.
///
/// Two kinds of ends are followed by another try, as long as the policy has one, the [`RetryBudget`] of the pool allows it,
/// and the call's deadline does not pass before it: errors that [are retryable](crate::Error::is_retryable), of which it is
/// certain that the function did not run; and, for an [idempotent](crate::Call::idempotent) call, the death of its worker,
/// within the pool's [`poison_limit`](crate::PoolBuilder::poison_limit). Nothing else is: an exception is an answer.
///
/// Before each further try the call waits for a random part of a delay that doubles (exponential backoff with full jitter,
/// which spreads calls best that were refused together: Brooker, *Exponential Backoff and Jitter*, AWS Architecture Blog,
/// 2015). While it waits it has no place in the line.
///
/// A number converts into the default policy with so many tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    attempts: u32,
    backoff: Duration,
    max_backoff: Duration,
}

impl Retry {
    /// The default policy; its setters change it.
    pub const fn new() -> Self {
        Self {
            attempts: 3,
            backoff: Duration::from_millis(10),
            max_backoff: Duration::from_secs(1),
        }
    }

    /// Every call is tried once. This is what pools do if nothing else is said; idempotent calls are then still sent again,
    /// at once, when their worker dies.
    pub const fn never() -> Self {
        Self {
            attempts: 1,
            ..Self::new()
        }
    }

    /// How often a call is tried at most, the first time included. Default 3: what passes by itself has mostly passed by
    /// then, and each further try is load that a pool in trouble need not have.
    #[must_use]
    pub const fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// The longest delay before the second try; it doubles with each further one. Default 10 ms: some calls are served in
    /// that time, so there may be a place.
    #[must_use]
    pub const fn backoff(mut self, delay: Duration) -> Self {
        self.backoff = delay;
        self
    }

    /// The longest delay of all. Default 1 s: a worker that is replaced is back by then.
    #[must_use]
    pub const fn max_backoff(mut self, delay: Duration) -> Self {
        self.max_backoff = delay;
        self
    }

    /// How long a call waits that has failed so often, if it is tried again. `random` is a number from 0 to 1.
    pub(crate) fn delay(&self, failures: u32, random: f64) -> Option<Duration> {
        if failures >= self.attempts {
            return None;
        }
        let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
        let longest = self.backoff.saturating_mul(doubled).min(self.max_backoff);
        Some(longest.mul_f64(random))
    }

    /// Whether any call is tried again.
    pub(crate) fn is_ever(&self) -> bool {
        self.attempts > 1
    }

    /// The checks of [`PoolBuilder::start`](crate::PoolBuilder::start): what is wrong with the policy, if anything.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.attempts == 0 {
            return Err(
                "retry has 0 attempts, so that no call would ever be sent; 1 tries none again"
                    .to_owned(),
            );
        }
        if self.max_backoff < self.backoff {
            return Err(format!(
                "the max_backoff of retry ({:?}) is below its backoff ({:?})",
                self.max_backoff, self.backoff
            ));
        }
        Ok(())
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self::new()
    }
}

impl From<u32> for Retry {
    fn from(attempts: u32) -> Self {
        Self::new().attempts(attempts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn delays_double_up_to_the_longest_and_the_attempts_end() {
        let retry = Retry::new().attempts(6).max_backoff(50 * MS);
        let longest: Vec<_> = (1..7).map(|failures| retry.delay(failures, 1.0)).collect();
        let expected = [10, 20, 40, 50, 50].map(|ms| Some(ms * MS));
        assert_eq!(longest, [&expected[..], &[None]].concat());
        assert_eq!(retry.delay(2, 0.5), Some(10 * MS));
        assert_eq!(retry.delay(1, 0.0), Some(Duration::ZERO));
        assert_eq!(Retry::never().delay(1, 0.5), None);
        assert_eq!(
            Retry::from(u32::MAX).delay(4_000_000_000, 1.0),
            Some(1000 * MS)
        );
    }
}
