use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::row::{Measured, Unit};
use crate::scenario::Scenario;
use crate::spec::{Codec, Placement, Spin, Subject, Worker};

/// One row as it is written to a file; what does not apply to it is null.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) scenario: Scenario,
    pub(crate) subject: Subject,
    pub(crate) codec: Option<Codec>,
    pub(crate) worker: Option<Worker>,
    pub(crate) spin: Option<Spin>,
    pub(crate) placement: Option<Placement>,
    pub(crate) workers: Option<usize>,
    pub(crate) callers: Option<usize>,
    pub(crate) bytes: Option<usize>,
    pub(crate) unit: Option<Unit>,
    /// What tells it from others of its scenario that are alike in all the rest.
    #[serde(default)]
    pub(crate) case: Option<String>,
    pub(crate) p50_us: Option<f64>,
    pub(crate) p99_us: Option<f64>,
    pub(crate) p999_us: Option<f64>,
    pub(crate) per_second: Option<f64>,
    pub(crate) cpu_us_per_call: Option<f64>,
    pub(crate) n: u64,
}

impl Record {
    pub(crate) fn new(measured: &Measured) -> Self {
        let row = &measured.row;
        let spec = &row.spec;
        Self {
            scenario: row.scenario,
            subject: spec.subject,
            codec: spec.codec,
            worker: spec.worker,
            spin: spec.spin,
            placement: spec.placement,
            workers: (spec.subject == Subject::Pyproc).then_some(spec.workers),
            callers: row.callers(),
            bytes: row.bytes(),
            unit: row.unit(),
            case: row.case.map(str::to_owned),
            p50_us: measured.quantile_us(0.5),
            p99_us: measured.quantile_us(0.99),
            p999_us: measured.quantile_us(0.999),
            per_second: measured.per_second(),
            cpu_us_per_call: measured.cpu_us_per_call(),
            n: measured.calls,
        }
    }
}

/// Writes the rows as a JSON list, those of every run after one another.
pub(crate) fn write(records: &[Record], file: &Path) -> Result<()> {
    let text = serde_json::to_string_pretty(records)? + "\n";
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::Row;
    use crate::spec::Spec;

    /// Whoever reads the files relies on these names.
    const FIELDS: [&str; 17] = [
        "scenario",
        "subject",
        "codec",
        "worker",
        "spin",
        "placement",
        "workers",
        "callers",
        "bytes",
        "unit",
        "case",
        "p50_us",
        "p99_us",
        "p999_us",
        "per_second",
        "cpu_us_per_call",
        "n",
    ];

    #[test]
    fn a_record_has_its_fields_and_no_others() {
        let spec = Spec::pool(Codec::MsgPack, Worker::Pure, Spin::Auto, Placement::Across);
        let row = Row::closed(Scenario::Sequential, spec, 1);
        let record = Record::new(&Measured::new(row).unwrap());
        let value = serde_json::to_value(&record).unwrap();
        let mut names: Vec<_> = value.as_object().unwrap().keys().cloned().collect();
        let mut wanted = FIELDS.map(str::to_owned).to_vec();
        names.sort();
        wanted.sort();
        assert_eq!(names, wanted);
        assert_eq!(value["codec"], "msgpack");
        assert_eq!(value["p50_us"], serde_json::Value::Null);
        assert_eq!(value["scenario"], "sequential");
    }
}
