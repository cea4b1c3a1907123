use std::time::Duration;

/// What one subject did in all its rounds.
#[derive(Default)]
pub(crate) struct Sample {
    latencies_ns: Vec<u32>,
    elapsed: Duration,
    cpu_seconds: Option<f64>,
}

impl Sample {
    /// Adds one call.
    pub(crate) fn record(&mut self, latency: Duration) {
        let nanoseconds = u32::try_from(latency.as_nanos()).unwrap_or(u32::MAX);
        self.latencies_ns.push(nanoseconds);
    }

    /// Adds calls that another task recorded at the same time.
    pub(crate) fn absorb(&mut self, mut other: Sample) {
        self.latencies_ns.append(&mut other.latencies_ns);
    }

    /// Ends a round: how long it took, and the processor time of both sides if it is known.
    pub(crate) fn end_round(&mut self, elapsed: Duration, cpu_seconds: Option<f64>) {
        self.elapsed += elapsed;
        if let Some(seconds) = cpu_seconds {
            *self.cpu_seconds.get_or_insert(0.0) += seconds;
        }
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn calls(&self) -> usize {
        self.latencies_ns.len()
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.calls() as f64 / self.elapsed.as_secs_f64()
    }

    /// Processor time of both sides for one call.
    pub(crate) fn cpu_us(&self) -> Option<f64> {
        self.cpu_seconds
            .map(|seconds| seconds * 1e6 / self.calls() as f64)
    }

    /// The latencies that the given shares of the calls stayed below.
    pub(crate) fn quantiles_us<const N: usize>(&self, shares: [f64; N]) -> [f64; N] {
        let mut sorted = self.latencies_ns.clone();
        sorted.sort_unstable();
        shares.map(|share| {
            let last = sorted.len().saturating_sub(1);
            let at = (last as f64 * share).round() as usize;
            sorted.get(at).map_or(f64::NAN, |&ns| f64::from(ns) / 1e3)
        })
    }
}
