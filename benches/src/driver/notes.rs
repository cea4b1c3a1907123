use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

/// What is to be said about the rows: what was behind them, and which could not be measured, and why.
#[derive(Default)]
pub(super) struct Notes {
    runs: BTreeSet<String>,
    skipped: BTreeMap<String, usize>,
    failed: Vec<String>,
}

impl Notes {
    /// What a pool says of its workers.
    pub(super) fn runs(&mut self, about: Option<&str>) {
        self.runs.extend(about.map(str::to_owned));
    }

    pub(super) fn skip(&mut self, reason: &str) {
        *self.skipped.entry(reason.to_owned()).or_default() += 1;
    }

    pub(super) fn fail(&mut self, what: String) {
        self.failed.push(what);
    }

    pub(super) fn absorb(&mut self, other: Self) {
        self.runs.extend(other.runs);
        for (reason, rows) in other.skipped {
            *self.skipped.entry(reason).or_default() += rows;
        }
        self.failed.extend(other.failed);
    }

    pub(super) fn print(&self) {
        for about in &self.runs {
            println!("\nworkers: {about}");
        }
        for (reason, rows) in &self.skipped {
            println!("\nskipped {rows} rows: {reason}");
        }
        for what in &self.failed {
            eprintln!("\nfailed: {what}");
        }
    }

    pub(super) fn exit_code(&self) -> ExitCode {
        if self.failed.is_empty() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}
