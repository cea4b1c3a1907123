//! Circuit breakers: where calls keep failing, the next ones are refused at once.

mod circuit;
mod switchboard;

pub(crate) use switchboard::{Breakers, Trial, Tripped};

use std::time::Duration;

/// When calls are refused without being tried, because too many before them have failed in a row; and for how long.
///
/// Then one call is let through: if it succeeds, everything is as before, and otherwise the breaker stays open for as
/// long again. Calls that it refuses end with [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) and are
/// retryable.
///
/// What counts as a failure depends on what the breaker is for; see
/// [`PoolBuilder::breaker`](crate::PoolBuilder::breaker) and
/// [`PoolBuilder::function_breaker`](crate::PoolBuilder::function_breaker). `true` and `false` convert into it: the
/// default, and no breaker at all.
#[derive(Debug, Clone, PartialEq)]
pub struct Breaker {
    enabled: bool,
    failures: Option<u32>,
    open_for: Duration,
}

/// Fewer failures in a row than this are bad luck.
const LEAST_FAILURES: u32 = 5;

impl Breaker {
    /// The default breaker; its setters change it.
    pub fn new() -> Self {
        Self {
            enabled: true,
            failures: None,
            open_for: Duration::from_secs(5),
        }
    }

    /// No breaker: every call is tried.
    pub fn never() -> Self {
        Self {
            enabled: false,
            ..Self::new()
        }
    }

    /// How many failures in a row open it. Default: twice as many as there are workers at the time, and at least 5, so that
    /// it is not enough for all workers to die together once.
    pub fn failures(mut self, failures: u32) -> Self {
        self.failures = Some(failures);
        self
    }

    /// For how long it is open before a call is let through. Default 5 s: long enough for workers to be replaced, and
    /// short enough for nobody to have to do anything once the cause is gone.
    pub fn open_for(mut self, time: Duration) -> Self {
        self.open_for = time;
        self
    }

    /// The checks of [`PoolBuilder::start`](crate::PoolBuilder::start): what is wrong with the policy, if anything.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        if !self.enabled {
            return Ok(());
        }
        if self.failures == Some(0) {
            return Err("failures is 0, so that the breaker would open before anything has failed");
        }
        if self.open_for.is_zero() {
            return Err(
                "open_for is zero, so that the breaker would never refuse a call; `false` is none",
            );
        }
        Ok(())
    }

    fn limit(&self, workers: usize) -> u32 {
        let default = u32::try_from(workers.saturating_mul(2)).unwrap_or(u32::MAX);
        self.failures.unwrap_or(default.max(LEAST_FAILURES))
    }
}

impl Default for Breaker {
    fn default() -> Self {
        Self::new()
    }
}

impl From<bool> for Breaker {
    fn from(enabled: bool) -> Self {
        if enabled { Self::new() } else { Self::never() }
    }
}
