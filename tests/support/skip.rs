//! Tests that a machine cannot run.

use std::io::Write;

/// Says aloud, past the harness, that a test did not run, and why.
pub fn skipped(test: &str, reason: &str) {
    // Nobody need read it.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {test}: {reason}");
}
