//! Tests that a machine cannot run.

use std::io::Write;

/// Says aloud, past the harness, that a test did not run, and why.
pub fn skipped(test: &str, reason: &str) {
    say(&format!("SKIPPED: {test}: {reason}\n"));
}

/// Says aloud, past the harness, what a test that runs cannot show on this machine.
pub fn noted(test: &str, remark: &str) {
    say(&format!("NOTE: {test}: {remark}\n"));
}

/// `cargo xtask test --faults` reads these lines, so nobody may write between their parts.
fn say(line: &str) {
    // Nobody need read it.
    let _ = std::io::stderr().write_all(line.as_bytes());
}
