//! Whether, and after how long, a dead worker is replaced.

mod herd;
mod history;

pub(super) use herd::Herd;
pub(super) use history::{Decision, RestartHistory};

use std::time::Duration;

/// How dead workers are replaced: as in OTP, with an intensity within a period, and with delays that grow.
///
/// The first death of a healthy worker is answered at once. Each further one in a row waits for a random part of a delay
/// that doubles (exponential backoff with full jitter). A slot whose workers die more often than the intensity allows is
/// [`Degraded`](crate::WorkerState::Degraded): it is left in peace for a while, then tried with a single worker, which
/// gets one call at a time until it has lived for the period. While no slot of a pool is any better than that, calls fail
/// at once with [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) in place of waiting.
///
/// `true` and `false` convert into it: the default policy, and no replacement at all.
#[derive(Debug, Clone, PartialEq)]
pub struct Restart {
    enabled: bool,
    intensity: u32,
    period: Duration,
    backoff: Duration,
    max_backoff: Duration,
    reset_after: Duration,
}

impl Restart {
    /// The default policy; its setters change it.
    pub fn new() -> Self {
        Self {
            enabled: true,
            intensity: 5,
            period: Duration::from_secs(10),
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

    /// How many deaths of a slot's workers within the [`period`](Self::period) are answered with a new worker; one more
    /// and the slot is [`Degraded`](crate::WorkerState::Degraded). Default 5: a worker that is unlucky a few times
    /// recovers by itself, and one that cannot work stops using up the machine within a second or two.
    pub fn intensity(mut self, deaths: u32) -> Self {
        self.intensity = deaths;
        self
    }

    /// The time in which deaths are counted together. Only the time counts in which a worker was ready: otherwise one
    /// that takes long to start could die as often as it likes. It is also how long a worker that is on probation in a
    /// degraded slot must live for the slot to be healthy again. Default 10 s.
    pub fn period(mut self, time: Duration) -> Self {
        self.period = time;
        self
    }

    /// The longest delay before the second replacement in a row; it doubles with each further one. Each is replaced by
    /// a random part of it, so that workers that died together do not start together. Default 100 ms: not felt by
    /// anybody, and no busy loop when the script crashes at once.
    pub fn backoff(mut self, delay: Duration) -> Self {
        self.backoff = delay;
        self
    }

    /// The longest delay, and how long a degraded slot is left in peace between two tries, of which up to a half is
    /// left out at random. Default 30 s: after a repair, nobody should wait longer for the pool to notice.
    pub fn max_backoff(mut self, delay: Duration) -> Self {
        self.max_backoff = delay;
        self
    }

    /// How long a worker must have been ready for the next death to be answered at once again. Default 60 s: longer than
    /// the longest delay, so that a worker that crashes regularly does not keep a processor busy with its starts.
    pub fn reset_after(mut self, time: Duration) -> Self {
        self.reset_after = time;
        self
    }

    /// How long a worker on probation must live.
    pub(super) fn probation(&self) -> Duration {
        self.period
    }

    /// How long nothing is tried again that has failed and can wait.
    pub(super) fn long_delay(&self) -> Duration {
        self.max_backoff
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
