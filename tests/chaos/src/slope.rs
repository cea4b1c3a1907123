//! Whether memory and descriptors grow.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::findings::{Finding, Findings};
use crate::process;

/// What was measured of each process, in the order of time.
#[derive(Debug, Default)]
pub(crate) struct Slopes {
    samples: BTreeMap<String, Vec<Sample>>,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    at_s: f64,
    resident: f64,
    descriptors: f64,
}

/// What one process grew by.
#[derive(Debug, Serialize)]
pub(crate) struct Slope {
    pub(crate) who: String,
    pub(crate) resident_mib: f64,
    pub(crate) resident_mib_grown: f64,
    pub(crate) resident_kib_per_hour: f64,
    pub(crate) descriptors: f64,
    pub(crate) descriptors_grown: f64,
}

/// How much a process may grow from the second quarter of a run to the last. It is an amount and no rate, because
/// allocators keep what they once had: that ends, a leak does not, and a longer run finds a smaller one.
const RESIDENT_MIB: f64 = 16.0;

/// Beside those of a worker that is being replaced.
const DESCRIPTORS: f64 = 4.0;

const MIB: f64 = 1024.0 * 1024.0;

impl Slopes {
    /// Looks at a process, if it is there.
    pub(crate) fn look(&mut self, who: &str, pid: u32, at_s: f64) {
        let (resident, descriptors) = (process::resident_bytes(pid), process::descriptors(pid));
        if let Some((resident, descriptors)) = resident.zip(descriptors) {
            self.add(
                who,
                Sample {
                    at_s,
                    resident: resident as f64,
                    descriptors: descriptors as f64,
                },
            );
        }
    }

    fn add(&mut self, who: &str, sample: Sample) {
        self.samples.entry(who.to_owned()).or_default().push(sample);
    }

    /// The growth of each, from the median of the second quarter to that of the last: the first is the warm-up.
    pub(crate) fn judge(&self, findings: &Findings) -> Vec<Slope> {
        let slopes: Vec<_> = (self.samples.iter())
            .filter_map(|(who, samples)| Slope::of(who, samples))
            .collect();
        for slope in &slopes {
            if slope.resident_mib_grown > RESIDENT_MIB || slope.descriptors_grown > DESCRIPTORS {
                findings.add(Finding::Grows, || format!("{slope:?}"));
            }
        }
        slopes
    }
}

impl Slope {
    fn of(who: &str, samples: &[Sample]) -> Option<Self> {
        let quarter = samples.len() / 4;
        let early = samples.get(quarter..2 * quarter)?;
        let late = samples.get(3 * quarter..)?;
        let middle = |samples: &[Sample], of: fn(&Sample) -> f64| median(samples.iter().map(of));
        let grown = |of: fn(&Sample) -> f64| Some(middle(late, of)? - middle(early, of)?);
        let hours = grown(|sample| sample.at_s)? / 3600.0;
        let resident = grown(|sample| sample.resident)?;
        Some(Self {
            who: who.to_owned(),
            resident_mib: middle(late, |sample| sample.resident)? / MIB,
            resident_mib_grown: resident / MIB,
            resident_kib_per_hour: resident / 1024.0 / hours,
            descriptors: middle(late, |sample| sample.descriptors)?,
            descriptors_grown: grown(|sample| sample.descriptors)?,
        })
    }
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(resident: impl Fn(f64) -> f64, descriptors: impl Fn(f64) -> f64) -> (Slope, u64) {
        let mut slopes = Slopes::default();
        for second in 0..400 {
            let at_s = f64::from(second);
            slopes.add(
                "host",
                Sample {
                    at_s,
                    resident: resident(at_s) * MIB,
                    descriptors: descriptors(at_s),
                },
            );
        }
        let findings = Findings::default();
        let slope = slopes.judge(&findings).pop().unwrap();
        (slope, findings.count(Finding::Grows))
    }

    #[test]
    fn a_warm_up_is_no_growth() {
        let (slope, found) = judged(|at| at.min(90.0), |at| 20.0 + at % 3.0);
        assert_eq!((slope.resident_mib_grown, found), (0.0, 0));
    }

    #[test]
    fn a_leak_is_found() {
        let (slope, found) = judged(|at| 30.0 + at / 10.0, |_| 20.0);
        assert_eq!(found, 1);
        assert!(
            (slope.resident_kib_per_hour / 1024.0 - 360.0).abs() < 5.0,
            "{slope:?}"
        );
        assert_eq!(judged(|_| 30.0, |at| 20.0 + at / 20.0).1, 1);
    }
}
