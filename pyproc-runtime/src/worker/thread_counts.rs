//! How many threads numerical libraries start in each worker.

use std::ffi::OsString;

use super::Environment;

/// Read by OpenMP, and in place of their own variables by `OpenBLAS` and MKL.
const FOR_ALL: &str = "OMP_NUM_THREADS";
const VARIABLES: [&str; 3] = [FOR_ALL, "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"];

/// Shares the processors among the workers, unless somebody has decided otherwise; returns the share if it is used.
///
/// Each of these libraries starts a thread per processor by itself, so that on 64 processors 64 workers would start
/// 4,096, which spend their time on waiting for each other.
pub(crate) fn share_processors(
    environment: &mut Environment,
    processors: usize,
    workers: usize,
) -> Option<usize> {
    if environment.has(FOR_ALL) {
        return None;
    }
    let share = (processors / workers.max(1)).max(1);
    for name in VARIABLES {
        if !environment.has(name) {
            let value = OsString::from(share.to_string());
            environment.set.insert(name.into(), value);
        }
    }
    Some(share)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::Inherited;

    fn shared(set: &[(&str, &str)], processors: usize, workers: usize) -> Vec<String> {
        let pair = |(name, value): &(&str, &str)| (OsString::from(name), OsString::from(value));
        let mut environment = Environment {
            inherited: Inherited::Nothing,
            set: set.iter().map(pair).collect(),
        };
        share_processors(&mut environment, processors, workers);
        let lines = environment
            .set
            .iter()
            .map(|(name, value)| format!("{}={}", name.to_string_lossy(), value.to_string_lossy()));
        lines.collect()
    }

    #[test]
    fn the_processors_are_shared_and_nobody_has_none() {
        for (processors, workers, share) in [(8, 2, 4), (8, 3, 2), (2, 8, 1), (1, 1, 1)] {
            let expected =
                ["MKL", "OMP", "OPENBLAS"].map(|name| format!("{name}_NUM_THREADS={share}"));
            assert_eq!(shared(&[], processors, workers), expected);
        }
    }

    #[test]
    fn what_somebody_has_set_stays() {
        assert_eq!(
            shared(&[("OMP_NUM_THREADS", "3")], 8, 2),
            ["OMP_NUM_THREADS=3"]
        );
        let expected = [
            "MKL_NUM_THREADS=3",
            "OMP_NUM_THREADS=4",
            "OPENBLAS_NUM_THREADS=4",
        ];
        assert_eq!(shared(&[("MKL_NUM_THREADS", "3")], 8, 2), expected);
    }
}
