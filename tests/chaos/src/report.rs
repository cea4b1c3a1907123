//! The figures of a run.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::slope::Slope;

/// What `--json` writes.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) seed: u64,
    pub(crate) seconds: f64,
    pub(crate) calls_per_second: f64,
    /// Calls that the pools took on. Each came to one of the ends, or is lost.
    pub(crate) accepted: u64,
    /// Calls that were refused at once, because too many waited.
    pub(crate) overloaded: u64,
    pub(crate) ends: BTreeMap<&'static str, u64>,
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
    pub(crate) swapped: u64,
    pub(crate) executed_twice: u64,
    pub(crate) executed_too_often: u64,
    pub(crate) executed_unstarted: u64,
    pub(crate) executed_unknown: u64,
    pub(crate) never_executed: u64,
    pub(crate) leaked_pids: u64,
    pub(crate) leaked_fds: u64,
    pub(crate) kills: u64,
    /// Workers that the pools killed because they were stuck, and those who were told to leave.
    pub(crate) other_deaths: u64,
    pub(crate) acts: BTreeMap<&'static str, u64>,
    pub(crate) executions: u64,
    /// Executions that were not the first ones of their calls.
    pub(crate) repeated: u64,
    pub(crate) resent: u64,
    pub(crate) moved: u64,
    pub(crate) death_noticed_p50_ms: f64,
    pub(crate) death_noticed_p99_ms: f64,
    pub(crate) death_noticed_max_ms: f64,
    pub(crate) replaced_p50_ms: f64,
    pub(crate) replaced_p99_ms: f64,
    pub(crate) replaced_max_ms: f64,
    /// How many replacements the times are of.
    pub(crate) replaced_measured: u64,
    /// Deaths that they leave out, because the successor died before it was ready.
    pub(crate) replaced_unmeasured: u64,
    pub(crate) import_p50_ms: f64,
    /// The longest time from a call's deadline to its end.
    pub(crate) latest_ms: f64,
    /// Which call it was, and how it ended.
    pub(crate) latest: String,
    pub(crate) slopes: Vec<Slope>,
    /// What was found that must not be, in words.
    pub(crate) findings: Vec<String>,
}

impl Report {
    pub(crate) fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }

    pub(crate) fn write(&self, file: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        fs::write(file, text + "\n").with_context(|| format!("cannot write {}", file.display()))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "{} calls in {:.1} s ({:.0}/s), {} kills and {} other deaths; seed {}",
            self.accepted,
            self.seconds,
            self.calls_per_second,
            self.kills,
            self.other_deaths,
            self.seed
        )?;
        let counts = |counts: &BTreeMap<&str, u64>| {
            let words = counts.iter().map(|(word, count)| format!("{word} {count}"));
            words.collect::<Vec<_>>().join(", ")
        };
        writeln!(formatter, "ends: {}", counts(&self.ends))?;
        writeln!(formatter, "refused: overloaded {}", self.overloaded)?;
        writeln!(formatter, "acts: {}", counts(&self.acts))?;
        writeln!(
            formatter,
            "lost {}, doubled {}, swapped {}, executed twice {}, leaked processes {} and descriptors {}",
            self.lost,
            self.doubled,
            self.swapped,
            self.executed_twice,
            self.leaked_pids,
            self.leaked_fds
        )?;
        writeln!(
            formatter,
            "{} calls sent again that may have run and {} that had not; {} of {} executions repeated",
            self.resent, self.moved, self.repeated, self.executions
        )?;
        writeln!(
            formatter,
            "deaths noticed p50 {:.1} ms, p99 {:.1} ms, at most {:.1} ms",
            self.death_noticed_p50_ms, self.death_noticed_p99_ms, self.death_noticed_max_ms
        )?;
        writeln!(
            formatter,
            "replaced p50 {:.0} ms, p99 {:.0} ms, at most {:.0} ms (import of {:.0} ms excluded; \
             {} measured, {} not)",
            self.replaced_p50_ms,
            self.replaced_p99_ms,
            self.replaced_max_ms,
            self.import_p50_ms,
            self.replaced_measured,
            self.replaced_unmeasured
        )?;
        writeln!(
            formatter,
            "calls ended at most {:.0} ms after their deadline: {}",
            self.latest_ms, self.latest
        )?;
        for slope in &self.slopes {
            writeln!(
                formatter,
                "{:24} {:7.1} MiB ({:+.1}, {:+.0} KiB/h), {:4.0} descriptors ({:+.0})",
                slope.who,
                slope.resident_mib,
                slope.resident_mib_grown,
                slope.resident_kib_per_hour,
                slope.descriptors,
                slope.descriptors_grown
            )?;
        }
        for finding in &self.findings {
            writeln!(formatter, "FOUND: {finding}")?;
        }
        Ok(())
    }
}
