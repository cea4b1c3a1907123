//! Every fault of the catalogue has a row in `docs/reliability.md`, and every row names tests that
//! exist and are not ignored, one of them with real processes and named after the fault's number.
//!
//! As for `docs/errors.md`, the steps before have run these tests.

use std::fs;
use std::ops::RangeInclusive;

use anyhow::{Result, bail};

use crate::step::{Context, Outcome};
use crate::test_table::{Row, listed_tests, rows};

const DOCUMENT: &str = "docs/reliability.md";

/// The faults that concern what there is. Missing are those of a process that forks workers (26), of
/// bodies in shared memory (57, 59 to 61) and of sandboxes (67).
const FAULTS: [RangeInclusive<u32>; 6] = [1..=25, 27..=56, 58..=58, 62..=62, 63..=66, 68..=74];

pub(crate) fn step(context: &mut Context) -> Result<Outcome> {
    let text = fs::read_to_string(context.workspace.path(DOCUMENT))?;
    let rows = rows(&text);
    let mut wrong = without_row(&rows);
    let listed = listed_tests(&context.workspace)?;
    for row in &rows {
        let place = format!("{DOCUMENT}:{}", row.line);
        for test in &row.tests {
            if !listed.iter().any(|listed| listed.is(test)) {
                wrong.push(format!("{place}: no test `{test}` runs"));
            }
        }
        if !row.tests.iter().any(|test| is_named_after(test, row)) {
            let number = &row.first;
            wrong.push(format!(
                "{place}: the row names no test `tests/….rs::fault_{number:0>2}_…`"
            ));
        }
    }
    if !wrong.is_empty() {
        bail!("{}", wrong.join("\n"));
    }
    println!("{} faults, each with a test that passes", rows.len());
    Ok(Outcome::Passed)
}

/// What is to be said about the faults that nobody describes.
fn without_row(rows: &[Row]) -> Vec<String> {
    let has_row = |number: &u32| rows.iter().any(|row| row.first == number.to_string());
    let missing = FAULTS
        .into_iter()
        .flatten()
        .filter(|number| !has_row(number));
    missing
        .map(|number| format!("{DOCUMENT}: fault {number} has no row"))
        .collect()
}

/// Whether a test of the facade, which has real workers, bears the number of the row.
fn is_named_after(test: &str, row: &Row) -> bool {
    let name = test.rsplit("::").next().unwrap_or_default();
    test.starts_with("tests/") && name.starts_with(&format!("fault_{:0>2}_", row.first))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(number: &str) -> Row {
        Row {
            line: 1,
            first: number.to_owned(),
            tests: Vec::new(),
        }
    }

    #[test]
    fn a_fault_without_a_row_is_named() {
        let all = FAULTS.into_iter().flatten();
        let rows: Vec<_> = all.map(|number| row(&number.to_string())).collect();
        assert_eq!(without_row(&rows), [""; 0]);
        assert_eq!(
            without_row(&rows[1..]),
            ["docs/reliability.md: fault 1 has no row"]
        );
    }

    #[test]
    fn a_test_with_real_processes_bears_the_number() {
        for (test, number, expected) in [
            ("tests/faults/wire.rs::fault_28_garbage", "28", true),
            ("tests/bad_data.rs::msgpack::fault_44_bomb", "44", true),
            ("tests/faults/process.rs::fault_01_killed", "1", true),
            ("tests/faults/process.rs::fault_10_import", "1", false),
            ("pyproc-proto/tests/wire.rs::fault_28_garbage", "28", false),
            ("tests/faults/wire.rs::garbage", "28", false),
        ] {
            assert_eq!(is_named_after(test, &row(number)), expected, "{test}");
        }
    }
}
