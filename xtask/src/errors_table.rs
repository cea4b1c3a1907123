//! Every row of `docs/errors.md` names a test that exists, is not ignored, and passes.
//!
//! `cargo xtask test` stops at the first test that fails, so a Rust test that is listed here and
//! not ignored has passed in the steps before; the Python tests are few and are run once more.

use std::fs;

use anyhow::{Result, bail, ensure};

use crate::command::tee;
use crate::python::in_package;
use crate::step::{Context, Outcome};
use crate::test_table::{listed_tests, rows};

const DOCUMENT: &str = "docs/errors.md";

pub(crate) fn step(context: &mut Context) -> Result<Outcome> {
    let text = fs::read_to_string(context.workspace.path(DOCUMENT))?;
    let rows = rows(&text);
    ensure!(!rows.is_empty(), "{DOCUMENT} has no row with a test");
    let listed = listed_tests(&context.workspace)?;
    let mut wrong = Vec::new();
    let mut python = Vec::new();
    for row in &rows {
        if row.tests.is_empty() {
            wrong.push(format!("{DOCUMENT}:{}: the row names no test", row.line));
        }
        for test in &row.tests {
            if let Some(test) = test.strip_prefix("pyproc-py/") {
                python.push(test);
            } else if !listed.iter().any(|listed| listed.is(test)) {
                wrong.push(format!("{DOCUMENT}:{}: no test `{test}` runs", row.line));
            }
        }
    }
    if !wrong.is_empty() {
        bail!("{}", wrong.join("\n"));
    }
    if !python.is_empty() {
        let mut pytest = in_package(&context.workspace, &context.workspace.python());
        pytest.args(["-m", "pytest", "--quiet"]).args(&python);
        let output = tee(&mut pytest)?;
        ensure!(!output.contains(" skipped"), "a test of a row was skipped");
    }
    println!("{} rows, each with a passing test", rows.len());
    Ok(Outcome::Passed)
}
