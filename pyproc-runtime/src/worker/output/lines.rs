//! Splitting a stream of bytes into lines of a bounded length.

use std::fmt;

/// The longest line that is passed on; the rest of a longer one is counted and thrown away.
pub(super) const LONGEST_BYTES: usize = 8 * 1024;

/// Splits a stream into lines, however it is cut into chunks.
///
/// A carriage return begins the line anew, as on a terminal: of a progress bar only the last state
/// is a line.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// The unfinished line, up to the longest length.
    head: Vec<u8>,
    /// How many bytes of it came after that.
    cut_bytes: u64,
    /// A carriage return was the last byte; whether it ends the line or begins it anew is decided
    /// by the next one.
    returned: bool,
}

/// One line, without its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Line<'a> {
    head: &'a [u8],
    cut_bytes: u64,
}

impl Lines {
    pub(super) fn push(&mut self, chunk: &[u8], mut emit: impl FnMut(Line<'_>)) {
        // A flood without an end of a line is looked through as fast as memory goes.
        if !self.returned && !chunk.contains(&b'\n') && !chunk.contains(&b'\r') {
            self.extend(chunk);
            return;
        }
        for part in chunk.split_inclusive(|&byte| matches!(byte, b'\n' | b'\r')) {
            if self.returned && part != b"\n" {
                self.clear();
            }
            match part.split_last() {
                Some((b'\n', text)) => {
                    self.extend(text);
                    self.emit(&mut emit);
                }
                Some((b'\r', text)) => {
                    self.extend(text);
                    self.returned = true;
                }
                _ => self.extend(part),
            }
        }
    }

    /// The stream has ended; what has no line end is a line too.
    pub(super) fn finish(&mut self, mut emit: impl FnMut(Line<'_>)) {
        if !self.head.is_empty() {
            self.emit(&mut emit);
        }
    }

    fn extend(&mut self, text: &[u8]) {
        let room = LONGEST_BYTES - self.head.len();
        let (kept, cut) = text.split_at(room.min(text.len()));
        self.head.extend_from_slice(kept);
        self.cut_bytes += cut.len() as u64;
    }

    fn emit(&mut self, emit: &mut impl FnMut(Line<'_>)) {
        emit(Line {
            head: &self.head,
            cut_bytes: self.cut_bytes,
        });
        self.clear();
    }

    fn clear(&mut self) {
        self.head.clear();
        self.cut_bytes = 0;
        self.returned = false;
    }
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&String::from_utf8_lossy(self.head))?;
        match self.cut_bytes {
            0 => Ok(()),
            cut => write!(formatter, " … [{cut} more bytes cut]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(chunks: &[&[u8]]) -> Vec<String> {
        let mut lines = Lines::default();
        let mut found = Vec::new();
        for chunk in chunks {
            lines.push(chunk, |line| found.push(line.to_string()));
        }
        lines.finish(|line| found.push(line.to_string()));
        found
    }

    #[test]
    fn any_chunking_gives_the_same_lines() {
        let text = b"one\n\ntwo\r\n10%\r20%\rdone\nlast";
        let expected = ["one", "", "two", "done", "last"];
        for size in 1..=text.len() {
            let chunks: Vec<&[u8]> = text.chunks(size).collect();
            assert_eq!(split(&chunks), expected, "chunks of {size}");
        }
    }

    #[test]
    fn a_long_line_is_cut_and_says_so() {
        let long = vec![b'x'; LONGEST_BYTES + 5];
        let expected = format!("{} … [5 more bytes cut]", "x".repeat(LONGEST_BYTES));
        assert_eq!(split(&[&long, b"\nnext\n"]), [expected.as_str(), "next"]);
        assert_eq!(split(&[&long]), [expected]);
    }

    #[test]
    fn bytes_that_are_not_unicode_are_shown_as_such() {
        assert_eq!(split(&[b"a\xffb\n"]), ["a\u{fffd}b"]);
    }
}
