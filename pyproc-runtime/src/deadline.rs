//! Deadlines as they travel to the worker.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use pyproc_proto::{CallDeadline, DeadlineClock};
use rustix::time::{ClockId, clock_gettime};

/// The same moment on both clocks. `Instant` keeps its reading to itself, so the two are read together once.
struct Epoch {
    instant: Instant,
    monotonic_ns: u64,
}

/// The moment after this time. A time beyond what the clock can express, such as `Duration::MAX`, is as good as never.
pub(crate) fn after(time: Duration) -> Instant {
    later(Instant::now(), time)
}

/// The moment this time after another, in the same way.
pub(crate) fn later(than: Instant, time: Duration) -> Instant {
    than.checked_add(time).unwrap_or(than + NEVER)
}

/// A part of a time, from 0 to 1. It is never longer than the whole, where `Duration::mul_f64` rounds the longest ones up
/// beyond what it can express, and panics.
pub(crate) fn part_of(time: Duration, part: f64) -> Duration {
    Duration::try_from_secs_f64(time.as_secs_f64() * part).map_or(time, |product| product.min(time))
}

/// Waits until then; without a time, for ever.
pub(crate) async fn sleep_until(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant.into()).await,
        None => std::future::pending().await,
    }
}

/// Thirty years, as in `tokio`.
const NEVER: Duration = Duration::from_secs(86_400 * 365 * 30);

/// Expresses a deadline in the clock that the worker was told.
pub(crate) fn on_the_wire(at: Instant, clock: DeadlineClock) -> CallDeadline {
    let wire = match clock {
        DeadlineClock::Monotonic => monotonic_ns(at),
        DeadlineClock::Remaining => {
            u64::try_from(at.saturating_duration_since(Instant::now()).as_micros())
                .unwrap_or(u64::MAX)
        }
    };
    CallDeadline { at, wire }
}

/// The clock that host and worker share, if the host started the worker. Elsewhere than on Linux `Instant` and
/// Python's `time.monotonic_ns` need not be the same clock.
pub(crate) fn shared_clock() -> DeadlineClock {
    if cfg!(target_os = "linux") {
        DeadlineClock::Monotonic
    } else {
        DeadlineClock::Remaining
    }
}

/// The moment that another process has read off the shared clock, or made up: `None` if there is no such moment.
pub(crate) fn from_monotonic_ns(read: u64) -> Option<Instant> {
    let epoch = epoch();
    match read.checked_sub(epoch.monotonic_ns) {
        Some(later) => epoch.instant.checked_add(Duration::from_nanos(later)),
        None => {
            let earlier = Duration::from_nanos(epoch.monotonic_ns - read);
            epoch.instant.checked_sub(earlier)
        }
    }
}

fn epoch() -> &'static Epoch {
    static EPOCH: OnceLock<Epoch> = OnceLock::new();
    EPOCH.get_or_init(|| {
        let now = clock_gettime(ClockId::Monotonic);
        let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
        let nanoseconds = u64::try_from(now.tv_nsec).unwrap_or(0);
        Epoch {
            instant: Instant::now(),
            monotonic_ns: seconds * 1_000_000_000 + nanoseconds,
        }
    })
}

fn monotonic_ns(at: Instant) -> u64 {
    let epoch = epoch();
    let offset =
        u64::try_from(at.saturating_duration_since(epoch.instant).as_nanos()).unwrap_or(u64::MAX);
    epoch.monotonic_ns.saturating_add(offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_times_are_as_good_as_never() {
        let now = Instant::now();
        assert_eq!(
            later(now, Duration::from_secs(1)),
            now + Duration::from_secs(1)
        );
        assert_eq!(later(now, Duration::MAX), now + NEVER);
        assert_eq!(
            part_of(Duration::from_secs(4), 0.25),
            Duration::from_secs(1)
        );
        for part in [0.0, 0.9, 1.0 - f64::EPSILON / 2.0, 1.0] {
            assert!(part_of(Duration::MAX, part) <= Duration::MAX);
            assert_eq!(part_of(Duration::ZERO, part), Duration::ZERO);
        }
    }

    #[test]
    fn a_later_deadline_is_later_on_the_wire_by_as_much() {
        let now = Instant::now();
        let first = on_the_wire(now + Duration::from_secs(1), DeadlineClock::Monotonic);
        let second = on_the_wire(now + Duration::from_secs(3), DeadlineClock::Monotonic);
        assert_eq!(second.wire - first.wire, 2_000_000_000);
    }

    #[test]
    fn a_moment_comes_back_from_the_wire_as_it_was() {
        let now = Instant::now();
        let wire = on_the_wire(now + Duration::from_secs(1), DeadlineClock::Monotonic).wire;
        let back = from_monotonic_ns(wire).unwrap();
        assert_eq!(back, now + Duration::from_secs(1));
        assert!(from_monotonic_ns(wire - 1_500_000_000).unwrap() < now);
        for made_up in [0, u64::MAX] {
            // It may be any moment or none, but no reason to panic.
            let _ = from_monotonic_ns(made_up);
        }
    }

    #[test]
    fn a_deadline_that_has_passed_has_nothing_remaining() {
        assert_eq!(
            on_the_wire(Instant::now(), DeadlineClock::Remaining).wire,
            0
        );
    }
}
