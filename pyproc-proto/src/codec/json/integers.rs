//! Integers that JSON can write and 64 bits cannot hold. `serde_json` would hand them out as
//! floats, which look right and have lost their last digits.

use std::fmt::Write;

use crate::codec::{CodecError, MAX_DEPTH};

/// Refuses a body in which an integer is outside `i64::MIN..=u64::MAX`.
///
/// # Errors
///
/// [`CodecError`] with the path to the integer. A malformed body passes: the decoder says better
/// what is wrong with it.
pub(super) fn check(body: &[u8]) -> Result<(), CodecError> {
    if has_long_digit_run(body) {
        Scan::new(body).run()
    } else {
        Ok(())
    }
}

/// Whether there are nineteen digits in a row anywhere, as an integer past the limits has.
///
/// It looks at every nineteenth byte only, since such a run cannot pass between two of them. That
/// makes it cheap enough to run before every decoding; the thorough look is for bodies in which
/// it finds something, which may still be a string or a float.
fn has_long_digit_run(body: &[u8]) -> bool {
    let is_digit = |byte: &&u8| byte.is_ascii_digit();
    (RUN - 1..body.len()).step_by(RUN).any(|position| {
        let (before, after) = body.split_at(position);
        if !after[0].is_ascii_digit() {
            return false;
        }
        let before = before.iter().rev().take_while(is_digit).take(RUN).count();
        before + after.iter().take_while(is_digit).take(RUN).count() >= RUN
    })
}

/// The digits of the shortest integer that does not fit, -9,223,372,036,854,775,809.
const RUN: usize = 19;

/// One pass over a body that keeps track of where it is.
struct Scan<'a> {
    body: &'a [u8],
    position: usize,
    /// The containers around the position, from the outermost.
    steps: Vec<Step<'a>>,
    /// The string that was passed last: a key, when a colon follows.
    last_string: &'a [u8],
}

/// The way into a container.
enum Step<'a> {
    Item(usize),
    Key(&'a [u8]),
}

impl<'a> Scan<'a> {
    fn new(body: &'a [u8]) -> Self {
        Self {
            body,
            position: 0,
            steps: Vec::new(),
            last_string: &[],
        }
    }

    fn run(mut self) -> Result<(), CodecError> {
        // The decoder refuses what is nested deeper, so there is no need to go there.
        while self.steps.len() <= usize::from(MAX_DEPTH) {
            let Some(byte) = self.body.get(self.position) else {
                break;
            };
            self.position += 1;
            match byte {
                b'"' => self.pass_string(),
                b'-' | b'0'..=b'9' => self.pass_number()?,
                b'[' => self.steps.push(Step::Item(0)),
                b'{' => self.steps.push(Step::Key(&[])),
                b']' | b'}' => drop(self.steps.pop()),
                b',' => {
                    if let Some(Step::Item(index)) = self.steps.last_mut() {
                        *index += 1;
                    }
                }
                b':' => {
                    if let Some(Step::Key(key)) = self.steps.last_mut() {
                        *key = self.last_string;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The opening quote has been passed.
    fn pass_string(&mut self) {
        let start = self.position;
        while let Some(byte) = self.body.get(self.position) {
            match byte {
                b'"' => break,
                b'\\' => self.position += 2,
                _ => self.position += 1,
            }
        }
        self.last_string = self.body.get(start..self.position).unwrap_or_default();
        self.position += 1;
    }

    /// The first character has been passed.
    fn pass_number(&mut self) -> Result<(), CodecError> {
        let from_start = &self.body[self.position - 1..];
        let is_part = |byte: &&u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
        let length = from_start.iter().take_while(is_part).count();
        let number = &from_start[..length];
        self.position += length - 1;
        if fits(number) {
            return Ok(());
        }
        let number = String::from_utf8_lossy(number);
        let message = format!("the integer {number} does not fit into 64 bits");
        Err(CodecError::new(message).at(self.path()))
    }

    fn path(&self) -> String {
        let mut path = String::from("$");
        for step in &self.steps {
            // Writing to a string cannot fail.
            let _ = match step {
                Step::Item(index) => write!(path, "[{index}]"),
                Step::Key(key) => write!(path, ".{}", String::from_utf8_lossy(key)),
            };
        }
        path
    }
}

/// Whether a number is a float, an integer of 64 bits, or nothing that JSON has.
fn fits(number: &[u8]) -> bool {
    let digits = number.strip_prefix(b"-").unwrap_or(number);
    if !digits.iter().all(u8::is_ascii_digit) {
        return true;
    }
    let Ok(number) = std::str::from_utf8(number) else {
        return true;
    };
    number.parse::<i64>().is_ok() || number.parse::<u64>().is_ok() || digits.is_empty()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refused_at(body: &str) -> Option<String> {
        let error = check(body.as_bytes()).err()?;
        error.path().map(str::to_owned)
    }

    #[test]
    fn integers_past_either_end_of_64_bits_are_refused_where_they_stand() {
        assert_eq!(refused_at("18446744073709551616").as_deref(), Some("$"));
        assert_eq!(refused_at("-9223372036854775809").as_deref(), Some("$"));
        let body = r#"{"a":[1,{"b\"":"x","c":[0,18446744073709551616]}]}"#;
        assert_eq!(refused_at(body).as_deref(), Some("$.a[1].c[1]"));
    }

    #[test]
    fn the_last_integers_that_fit_pass_and_so_do_floats_and_strings() {
        for body in [
            "18446744073709551615",
            "-9223372036854775808",
            "123456789012345678901234567890.5",
            "18446744073709551616e0",
            r#""18446744073709551616""#,
            r#"{"18446744073709551616\"18446744073709551616":0}"#,
            r#""18446744073709551616"#,
            r#""\"#,
        ] {
            assert_eq!(refused_at(body), None, "{body}");
        }
    }

    proptest! {
        #[test]
        fn no_integer_slips_past_the_quick_look(
            before in "[ \\[]{0,60}",
            digits in "[1-9][0-9]{20,30}",
        ) {
            let body = format!("{before}{digits}");
            prop_assert!(refused_at(&body).is_some());
        }

        #[test]
        fn no_body_makes_it_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Scan::new(&body).run();
        }
    }
}
