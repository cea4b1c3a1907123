use crate::record::Record;
use crate::scenario::Scenario;
use crate::spec::{Codec, Placement, Spin, Subject, Worker};

/// The records of one run.
pub(super) struct Run<'a>(pub(super) &'a [Record]);

impl Run<'_> {
    fn find(&self, scenario: Scenario, wanted: impl Fn(&Record) -> bool) -> Option<&Record> {
        let mut records = self.0.iter().filter(|record| record.scenario == scenario);
        records.find(|record| wanted(record))
    }

    fn floor(&self, subject: Subject, scenario: Scenario, at: Placement) -> Option<&Record> {
        self.find(scenario, |record| {
            record.subject == subject && record.placement == Some(at)
        })
    }

    fn pool(
        &self,
        scenario: Scenario,
        worker: Worker,
        wanted: impl Fn(&Record) -> bool,
    ) -> Option<&Record> {
        self.find(scenario, |record| {
            record.subject == Subject::Pyproc
                && record.worker == Some(worker)
                && record.codec == Some(Codec::MsgPack)
                && wanted(record)
        })
    }

    fn sequential(&self, worker: Worker, at: Placement) -> Option<&Record> {
        self.pool(Scenario::Sequential, worker, |record| {
            record.placement == Some(at) && record.spin == Some(Spin::Auto)
        })
    }

    pub(super) fn echo_ratio(&self, worker: Worker, at: Placement) -> Option<f64> {
        let floor = self.floor(Subject::FloorPythonEcho, Scenario::Sequential, at)?;
        Some(self.sequential(worker, at)?.p50_us? / floor.p50_us?)
    }

    pub(super) fn saturated(&self, worker: Worker) -> Option<&Record> {
        self.pool(Scenario::Concurrent, worker, |record| {
            record.placement == Some(Placement::Free)
                && record.spin == Some(Spin::Auto)
                && (record.workers, record.callers) == (Some(1), Some(256))
        })
    }

    /// Calls a second with batches, of those without.
    pub(super) fn batch_ratio(&self, worker: Worker) -> Option<f64> {
        let rate = |case| {
            let is_case = |record: &Record| record.case.as_deref() == Some(case);
            self.pool(Scenario::Batch, worker, is_case)?.per_second
        };
        Some(rate("batched")? / rate("single")?)
    }

    pub(super) fn saturation_ratio(&self, worker: Worker) -> Option<f64> {
        let echo = Subject::FloorPythonEcho;
        let floor = self.floor(echo, Scenario::Concurrent, Placement::Across)?;
        Some(self.saturated(worker)?.per_second? / floor.per_second?)
    }

    /// The most calls a second, at whatever number of callers, with one worker.
    fn best(&self, wanted: impl Fn(&Record) -> bool) -> Option<f64> {
        let records = self.0.iter().filter(|record| {
            record.scenario == Scenario::Concurrent
                && record.placement == Some(Placement::Free)
                && wanted(record)
        });
        records
            .filter_map(|record| record.per_second)
            .reduce(f64::max)
    }

    pub(super) fn rate_ratio(&self, peer: Subject) -> Option<f64> {
        let ours =
            self.best(|record| record.worker == Some(Worker::Native) && record.workers == Some(1))?;
        Some(ours / self.best(|record| record.subject == peer)?)
    }

    pub(super) fn latency_ratio(&self, peer: Subject) -> Option<f64> {
        let peer = self.floor(peer, Scenario::Sequential, Placement::Across)?;
        Some(peer.p50_us? / self.sequential(Worker::Native, Placement::Across)?.p50_us?)
    }

    pub(super) fn idle(&self, worker: Worker) -> Option<&Record> {
        self.pool(Scenario::Idle, worker, |record| {
            record.spin == Some(Spin::Auto)
        })
    }

    pub(super) fn oversubscribed(&self, worker: Worker, callers: usize) -> Option<f64> {
        let rate = |spin| {
            let row = self.pool(Scenario::Oversubscribed, worker, |record| {
                record.spin == Some(spin) && record.callers == Some(callers)
            });
            row?.per_second
        };
        Some(rate(Spin::Auto)? / rate(Spin::Off)?)
    }

    pub(super) fn payload_ratio(&self, worker: Worker) -> Option<f64> {
        let large = |record: &Record| {
            record.bytes == Some(64 << 20) && record.placement == Some(Placement::Across)
        };
        let ours = self.pool(Scenario::Payload, worker, large)?;
        let floor = self.find(Scenario::Payload, |record| {
            record.subject == Subject::FloorRustEcho && large(record)
        })?;
        Some(ours.p50_us? / floor.p50_us?)
    }

    fn stream(&self, worker: Worker) -> Option<&Record> {
        self.pool(Scenario::Stream, worker, |record| {
            record.placement == Some(Placement::Across)
        })
    }

    pub(super) fn cancelled_ms(&self, worker: Worker, case: &str) -> Option<f64> {
        let row = self.pool(Scenario::Cancel, worker, |record| {
            record.placement == Some(Placement::Free) && record.case.as_deref() == Some(case)
        });
        Some(row?.p50_us? / 1e3)
    }

    pub(super) fn million_items_s(&self, worker: Worker) -> Option<f64> {
        Some(1e6 / self.stream(worker)?.per_second?)
    }

    pub(super) fn stream_ratio(&self, worker: Worker) -> Option<f64> {
        let sender = Subject::FloorPythonItems;
        let floor = self.floor(sender, Scenario::Stream, Placement::Across)?;
        Some(self.stream(worker)?.per_second? / floor.per_second?)
    }

    /// How long a thousand naps of 10 ms take that are a call each.
    pub(super) fn naps_ms(&self, worker: Worker) -> Option<f64> {
        let naps = self.pool(Scenario::Async, worker, |record| record.callers != Some(1))?;
        Some(naps.p50_us? / 1e3)
    }

    pub(super) fn start_ms(&self, worker: Worker, codec: Codec) -> Option<f64> {
        let interpreter = self.find(Scenario::Startup, |record| {
            record.subject == Subject::FloorPythonStart
        })?;
        let ours = self.find(Scenario::Startup, |record| {
            (record.worker, record.codec, record.workers) == (Some(worker), Some(codec), Some(1))
        })?;
        Some((ours.p50_us? - interpreter.p50_us?) / 1e3)
    }
}
