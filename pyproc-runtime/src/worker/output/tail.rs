//! The last words of a worker.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// The last lines of a worker's standard error, for the report of its death.
///
/// 20 lines and 4 KiB are enough for the end of a traceback, and few enough for an error message.
#[derive(Debug, Default)]
pub(crate) struct StderrTail {
    lines: Mutex<VecDeque<String>>,
}

const LINES: usize = 20;
const BYTES: usize = 4 * 1024;

impl StderrTail {
    pub(super) fn push(&self, line: &str) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.push_back(end_of(line).to_owned());
        let mut bytes: usize = lines.iter().map(|line| line.len() + 1).sum();
        while lines.len() > LINES || bytes > BYTES {
            bytes -= lines.pop_front().map_or(0, |line| line.len() + 1);
        }
    }

    /// The lines, joined; empty if there were none.
    pub(crate) fn text(&self) -> String {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.make_contiguous().join("\n")
    }
}

/// As much of the end of a line as fits, in whole characters.
fn end_of(line: &str) -> &str {
    let mut start = line.len().saturating_sub(BYTES - 1);
    while !line.is_char_boundary(start) {
        start += 1;
    }
    &line[start..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_lines_are_kept() {
        let tail = StderrTail::default();
        assert_eq!(tail.text(), "");
        for number in 0..100 {
            tail.push(&number.to_string());
        }
        let expected: Vec<String> = (80..100).map(|number| number.to_string()).collect();
        assert_eq!(tail.text(), expected.join("\n"));
    }

    #[test]
    fn long_lines_leave_room_for_fewer() {
        let tail = StderrTail::default();
        for letter in ["a", "b", "c", "d"] {
            tail.push(&letter.repeat(1500));
        }
        assert_eq!(
            tail.text(),
            format!("{}\n{}", "c".repeat(1500), "d".repeat(1500))
        );
        tail.push(&"ä".repeat(BYTES));
        assert_eq!(tail.text(), "ä".repeat((BYTES - 1) / 2));
    }
}
