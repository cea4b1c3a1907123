//! Counting tests from what cargo and pytest print.

/// How many tests ran and passed so far.
#[derive(Default)]
pub(crate) struct Tally {
    passed: u64,
}

impl Tally {
    /// Adds what `cargo test` printed on its standard output.
    pub(crate) fn add_cargo(&mut self, output: &str) -> u64 {
        self.add(output.lines().filter_map(cargo_result).sum())
    }

    /// Adds what pytest printed.
    pub(crate) fn add_pytest(&mut self, output: &str) -> u64 {
        self.add(output.lines().filter_map(pytest_result).sum())
    }

    pub(crate) fn passed(&self) -> u64 {
        self.passed
    }

    fn add(&mut self, count: u64) -> u64 {
        self.passed += count;
        count
    }
}

/// `test result: ok. 12 passed; 0 failed; …`
fn cargo_result(line: &str) -> Option<u64> {
    line.strip_prefix("test result: ok. ")?
        .split_once(" passed;")?
        .0
        .parse()
        .ok()
}

/// `==== 12 passed, 3 skipped in 1.20s ====`, or the same without its frame under `-q`.
fn pytest_result(line: &str) -> Option<u64> {
    let line = line.trim_matches('=').trim();
    if !line.contains(" in ") {
        return None;
    }
    line.split_once(" in ")?
        .0
        .split(", ")
        .find_map(|part| part.strip_suffix(" passed"))?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_results_are_summed() {
        let output = "\nrunning 2 tests\ntest a ... ok\ntest b ... ok\n\n\
            test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\n\
            running 0 tests\n\n\
            test result: ok. 0 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out\n\
            test result: ok. 40 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out\n";
        let mut tally = Tally::default();
        assert_eq!(tally.add_cargo(output), 42);
        tally.add_cargo(output);
        assert_eq!(tally.passed(), 84);
    }

    #[test]
    fn a_failed_result_counts_nothing() {
        let output = "test result: FAILED. 3 passed; 1 failed; 0 ignored; 0 measured\n";
        assert_eq!(Tally::default().add_cargo(output), 0);
    }

    #[test]
    fn pytest_results_with_and_without_frame() {
        for (line, count) in [
            ("===== 12 passed in 1.20s =====", 12),
            ("12 passed, 3 skipped in 1.20s", 12),
            ("== 1 failed, 7 passed, 1 warning in 61.20s (0:01:01) ==", 7),
            ("3 skipped in 0.1s", 0),
            ("tests/test_x.py::test_three_passed in line PASSED", 0),
        ] {
            assert_eq!(Tally::default().add_pytest(line), count, "{line}");
        }
    }
}
