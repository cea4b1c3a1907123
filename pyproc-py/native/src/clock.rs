//! `CLOCK_MONOTONIC`, which the host reads too.

use rustix::time::{ClockId, clock_gettime};

/// The time in nanoseconds.
///
/// `Instant` says nothing about which clock it reads, and deadlines on the wire are readings of
/// this one.
pub(crate) fn now_ns() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    // The clock counts from the start of the machine, so neither part is negative.
    (time.tv_sec as u64) * 1_000_000_000 + time.tv_nsec as u64
}
