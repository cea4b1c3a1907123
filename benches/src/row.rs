use std::time::Duration;

use anyhow::Result;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::protocol::{Function, Load, Round};
use crate::scenario::Scenario;
use crate::spec::Spec;

/// One line of the report, before it is measured.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) scenario: Scenario,
    pub(crate) spec: Spec,
    pub(crate) load: Load,
    /// What tells it from its neighbours where the axes do not.
    pub(crate) case: Option<&'static str>,
}

impl Row {
    pub(crate) fn closed(scenario: Scenario, spec: Spec, callers: usize) -> Self {
        let function = Function::Predict;
        Self::new(scenario, spec, Load::Closed { callers, function })
    }

    pub(crate) fn with_case(self, case: &'static str) -> Self {
        let case = Some(case);
        Self { case, ..self }
    }

    pub(crate) fn new(scenario: Scenario, spec: Spec, load: Load) -> Self {
        Self {
            scenario,
            spec,
            load,
            case: None,
        }
    }

    /// Whether the other row, of another run or of another mode, stands for the same.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let case = |row: &Self| row.spec.mode.map_or(row.case, |_| None);
        let spec = |row: &Self| Spec {
            mode: None,
            ..row.spec.clone()
        };
        (
            self.scenario,
            self.callers(),
            self.bytes(),
            case(self),
            spec(self),
        ) == (
            other.scenario,
            other.callers(),
            other.bytes(),
            case(other),
            spec(other),
        )
    }

    /// How many callers there are, where their number is part of the load.
    pub(crate) fn callers(&self) -> Option<usize> {
        match self.load {
            Load::Closed { callers, .. } | Load::Saturate { calls: callers } => Some(callers),
            Load::Naps { calls, .. } => Some(calls),
            Load::Paced { .. } | Load::Echo { .. } | Load::Stream { .. } => Some(1),
            Load::Cancel { .. } | Load::Open { .. } | Load::Start | Load::Replace | Load::Idle => {
                None
            }
        }
    }

    /// The length of a body, where that is what varies.
    pub(crate) fn bytes(&self) -> Option<usize> {
        match self.load {
            Load::Echo { bytes } | Load::Stream { bytes, .. } => Some(bytes),
            _ => None,
        }
    }

    pub(crate) fn unit(&self) -> Option<Unit> {
        match self.load {
            Load::Echo { .. } => Some(Unit::Bytes),
            Load::Stream { .. } => Some(Unit::Items),
            Load::Cancel { .. } | Load::Start | Load::Replace | Load::Idle => None,
            _ => Some(Unit::Calls),
        }
    }
}

/// What `per_second` counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Unit {
    Calls,
    Items,
    Bytes,
}

/// A row with what its rounds have given so far.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) row: Row,
    pub(crate) latencies: Histogram<u64>,
    pub(crate) calls: u64,
    pub(crate) elapsed: Duration,
    pub(crate) host_cpu: Option<Duration>,
    pub(crate) worker_cpu: Option<Duration>,
}

impl Measured {
    pub(crate) fn new(row: Row) -> Result<Self> {
        Ok(Self {
            row,
            // Three digits, from a nanosecond to two minutes.
            latencies: Histogram::new_with_bounds(1, 120_000_000_000, 3)?,
            calls: 0,
            elapsed: Duration::ZERO,
            host_cpu: Some(Duration::ZERO),
            worker_cpu: Some(Duration::ZERO),
        })
    }

    pub(crate) fn add(&mut self, round: &Round) {
        for &(nanoseconds, times) in &round.latencies {
            self.latencies.saturating_record_n(nanoseconds, times);
        }
        self.calls += round.calls;
        self.elapsed += Duration::from_nanos(round.elapsed_ns);
        self.host_cpu = sum(self.host_cpu, round.host_cpu_ns);
        self.worker_cpu = sum(self.worker_cpu, round.worker_cpu_ns);
    }

    /// Adds what another run gave for the same row.
    pub(crate) fn merge(&mut self, other: &Self) -> Result<()> {
        self.latencies.add(&other.latencies)?;
        self.calls += other.calls;
        self.elapsed += other.elapsed;
        self.host_cpu = self.host_cpu.zip(other.host_cpu).map(|(a, b)| a + b);
        self.worker_cpu = self.worker_cpu.zip(other.worker_cpu).map(|(a, b)| a + b);
        Ok(())
    }

    /// The latency that so large a share of the calls stayed below.
    pub(crate) fn quantile_us(&self, share: f64) -> Option<f64> {
        let value = self.latencies.value_at_quantile(share);
        (!self.latencies.is_empty()).then_some(value as f64 / 1e3)
    }

    pub(crate) fn per_second(&self) -> Option<f64> {
        let seconds = self.elapsed.as_secs_f64();
        let unit = self.row.unit()?;
        let units = match unit {
            Unit::Calls | Unit::Items => self.calls as f64,
            Unit::Bytes => self.calls as f64 * self.row.bytes().unwrap_or(0) as f64,
        };
        (seconds > 0.0).then_some(units / seconds)
    }

    /// The processor time of the calling side for one call.
    pub(crate) fn host_cpu_us(&self) -> Option<f64> {
        self.per_call_us(self.host_cpu)
    }

    /// The processor time of the answering side for one call.
    pub(crate) fn worker_cpu_us(&self) -> Option<f64> {
        self.per_call_us(self.worker_cpu)
    }

    /// The processor time of both sides for one call.
    pub(crate) fn cpu_us_per_call(&self) -> Option<f64> {
        Some(self.host_cpu_us()? + self.worker_cpu_us()?)
    }

    fn per_call_us(&self, time: Option<Duration>) -> Option<f64> {
        (self.calls > 0).then_some(time?.as_secs_f64() * 1e6 / self.calls as f64)
    }
}

fn sum(so_far: Option<Duration>, nanoseconds: Option<u64>) -> Option<Duration> {
    Some(so_far? + Duration::from_nanos(nanoseconds?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Subject;

    #[test]
    fn rounds_add_up() {
        let spec = Spec::plain(Subject::FloorFutex, None);
        let row = Row::closed(Scenario::Sequential, spec, 1);
        let mut measured = Measured::new(row).unwrap();
        assert_eq!(measured.quantile_us(0.5), None);
        for latencies in [vec![(1_000, 2)], vec![(5_000, 1), (9_000, 1)]] {
            measured.add(&Round {
                calls: 2,
                elapsed_ns: 10_000,
                host_cpu_ns: Some(4_000),
                worker_cpu_ns: None,
                latencies,
            });
        }
        assert_eq!(measured.calls, 4);
        assert_eq!(measured.per_second().map(f64::round), Some(200_000.0));
        assert_eq!(measured.host_cpu_us(), Some(2.0));
        assert_eq!(measured.worker_cpu_us(), None);
        let p50 = measured.quantile_us(0.5).unwrap();
        assert!((p50 - 1.0).abs() < 0.01, "{p50}");
    }
}
