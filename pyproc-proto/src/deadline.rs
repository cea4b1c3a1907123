//! When a call must have ended.

use std::time::Instant;

/// The moment by which a call must have ended, on both sides' clocks.
///
/// The two numbers say the same thing twice, because converting one into the other needs a clock,
/// which this crate does not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallDeadline {
    /// The deadline on the host's clock: what the connection's own timeouts are computed from.
    pub at: Instant,
    /// The deadline as the frame carries it: absolute nanoseconds of `CLOCK_MONOTONIC` where the
    /// `Hello` said [`Monotonic`](crate::DeadlineClock::Monotonic), else the microseconds that
    /// remain.
    pub wire: u64,
}
