use std::time::Duration;

use crate::protocol::Round;

/// What was measured in a round, by one caller or by many.
///
/// Latencies are kept one by one while the round lasts: four bytes appended cost less than finding the place in a
/// histogram, and the callers at saturation compete with what is measured.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    latencies_ns: Vec<u32>,
    pub(crate) elapsed: Duration,
    /// The part of the time that went into checking replies where they are so large that it counts.
    pub(crate) checking: Duration,
    idle_seconds: u64,
    /// Of streams, in which only the first one has a latency.
    items: Option<u64>,
}

impl Tally {
    /// One thing that took so long.
    pub(crate) fn single(time: Duration) -> Self {
        let mut tally = Self {
            elapsed: time,
            ..Self::default()
        };
        tally.record(time);
        tally
    }

    /// Time in which nothing was called. It counts a call for each second, so that the processor time for one call is
    /// that for one second.
    pub(crate) fn idle(time: Duration) -> Self {
        Self {
            idle_seconds: time.as_secs(),
            elapsed: time,
            ..Self::default()
        }
    }

    pub(crate) fn record(&mut self, latency: Duration) {
        let nanoseconds = u32::try_from(latency.as_nanos()).unwrap_or(u32::MAX);
        self.latencies_ns.push(nanoseconds);
    }

    /// Adds the items of a stream that took so long.
    pub(crate) fn add_items(&mut self, items: u64, time: Duration) {
        self.items = Some(self.items.unwrap_or(0) + items);
        self.elapsed += time;
    }

    /// Adds what another caller recorded at the same time.
    pub(crate) fn absorb(&mut self, mut other: Self) {
        self.latencies_ns.append(&mut other.latencies_ns);
        self.checking += other.checking;
    }

    /// The round, with the processor time of both sides.
    pub(crate) fn into_round(mut self, host: Duration, worker: Option<Duration>) -> Round {
        self.latencies_ns.sort_unstable();
        let mut latencies: Vec<(u64, u64)> = Vec::new();
        for nanoseconds in self.latencies_ns.iter().map(|&ns| u64::from(ns)) {
            match latencies.last_mut() {
                Some((last, times)) if *last == nanoseconds => *times += 1,
                _ => latencies.push((nanoseconds, 1)),
            }
        }
        Round {
            calls: self
                .items
                .unwrap_or(self.latencies_ns.len() as u64 + self.idle_seconds),
            elapsed_ns: nanoseconds(self.elapsed.saturating_sub(self.checking)),
            host_cpu_ns: Some(nanoseconds(host.saturating_sub(self.checking))),
            worker_cpu_ns: worker.map(nanoseconds),
            latencies,
        }
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_counts_equal_latencies() {
        let mut tally = Tally::default();
        for microseconds in [3, 1, 3] {
            tally.record(Duration::from_micros(microseconds));
        }
        let mut other = Tally::default();
        other.record(Duration::from_micros(2));
        tally.absorb(other);
        tally.elapsed = Duration::from_micros(12);
        tally.checking = Duration::from_micros(2);
        let round = tally.into_round(Duration::from_micros(6), None);
        assert_eq!(round.calls, 4);
        assert_eq!(round.latencies, [(1000, 1), (2000, 1), (3000, 2)]);
        assert_eq!(round.elapsed_ns, 10_000);
        assert_eq!(round.host_cpu_ns, Some(4_000));
        assert_eq!(round.worker_cpu_ns, None);
    }
}
