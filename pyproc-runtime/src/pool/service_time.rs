//! How long a worker takes for a call.

use std::time::{Duration, Instant};

/// An average over the last answers of one worker, in which each new one has this weight: that of a new measurement in
/// the round-trip time of TCP (RFC 6298).
const WEIGHT: u32 = 8;

/// The service time of one worker. A pure policy: it is told what happens, and when. While a worker has several calls, the
/// time from one answer to the next is what a call took; so it is measured for a worker that runs one call after the
/// other, and for one that runs many at once it is how much longer all of them take for one more.
#[derive(Debug)]
pub(super) struct ServiceTime {
    /// Zero until something was measured.
    average: Duration,
    /// When the worker answered last, or had its first call after a time without any.
    since: Option<Instant>,
    is_busy: bool,
}

impl ServiceTime {
    /// Of a worker about which nothing is known.
    pub(super) fn new() -> Self {
        Self {
            average: Duration::ZERO,
            since: None,
            is_busy: false,
        }
    }

    /// The worker, which had nothing to do, gets a call.
    pub(super) fn begin(&mut self, now: Instant) {
        self.since = Some(now);
        self.is_busy = true;
    }

    /// The worker has answered so many calls, and has others to do or not.
    pub(super) fn answered(&mut self, calls: usize, is_idle: bool, now: Instant) {
        if let (Some(since), true) = (self.since, self.is_busy) {
            let calls = u32::try_from(calls).unwrap_or(u32::MAX).max(1);
            let each = now.saturating_duration_since(since) / calls;
            self.average = if self.average.is_zero() {
                each
            } else {
                let weight = calls.min(WEIGHT);
                (self.average * (WEIGHT - weight) + each * weight) / WEIGHT
            };
        }
        self.since = Some(now);
        self.is_busy = !is_idle;
    }

    pub(super) fn average(&self) -> Duration {
        self.average
    }

    pub(super) fn since(&self) -> Option<Instant> {
        self.since
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_first_answer_is_the_average_and_an_eighth_of_each_further_one() {
        let (mut time, mut now) = (ServiceTime::new(), Instant::now());
        for (took, average) in [(8 * MS, 8 * MS), (16 * MS, 9 * MS), (MS, 8 * MS)] {
            time.begin(now);
            now += took;
            time.answered(1, true, now);
            assert_eq!(time.average(), average);
            // What it is without work does not count.
            now += 1000 * MS;
        }
    }

    #[test]
    fn calls_that_are_answered_together_share_their_time() {
        let (mut time, now) = (ServiceTime::new(), Instant::now());
        time.begin(now);
        time.answered(4, false, now + 8 * MS);
        assert_eq!(time.average(), 2 * MS);
        // Eight at once are as many as are remembered.
        time.answered(10, true, now + 108 * MS);
        assert_eq!(time.average(), 10 * MS);
        assert_eq!(time.since(), Some(now + 108 * MS));
    }
}
