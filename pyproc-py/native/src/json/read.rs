//! JSON to Python values.

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString};

use super::number::{Number, read_number};
use super::text::plain_length;
use crate::keys::Keys;

/// How deep lists and maps may be nested. A host's serializer stops far above it, and the stack
/// is good for more.
const MAX_DEPTH: u32 = 1024;

/// The body is not JSON, or something in it could be understood differently elsewhere. The strict
/// decoder of the Python package knows what and where.
#[derive(Debug)]
pub(crate) struct Suspect;

/// Reads one value, which must be all there is.
///
/// # Errors
///
/// [`Suspect`], and nothing is known beyond that.
pub(crate) fn read<'py>(
    py: Python<'py>,
    bytes: &[u8],
    keys: &mut Keys,
) -> Result<Bound<'py, PyAny>, Suspect> {
    let text = std::str::from_utf8(bytes).map_err(|_| Suspect)?;
    let mut reader = Reader {
        py,
        text,
        at: 0,
        keys,
        unescaped: String::new(),
    };
    let value = reader.value(MAX_DEPTH)?;
    reader.skip_space();
    if reader.at == bytes.len() {
        Ok(value)
    } else {
        Err(Suspect)
    }
}

struct Reader<'a, 'py> {
    py: Python<'py>,
    text: &'a str,
    at: usize,
    keys: &'a mut Keys,
    /// The last text that had escapes in it.
    unescaped: String,
}

impl<'py> Reader<'_, 'py> {
    fn value(&mut self, depth: u32) -> Result<Bound<'py, PyAny>, Suspect> {
        let py = self.py;
        self.skip_space();
        match self.peek().ok_or(Suspect)? {
            b'{' => self.map(depth),
            b'[' => self.list(depth),
            b'"' => self.string(),
            b't' => {
                self.word("true")?;
                Ok(PyBool::new(py, true).to_owned().into_any())
            }
            b'f' => {
                self.word("false")?;
                Ok(PyBool::new(py, false).to_owned().into_any())
            }
            b'n' => {
                self.word("null")?;
                Ok(py.None().into_bound(py))
            }
            _ => self.number(),
        }
    }

    fn map(&mut self, depth: u32) -> Result<Bound<'py, PyAny>, Suspect> {
        let inner = depth.checked_sub(1).ok_or(Suspect)?;
        let map = PyDict::new(self.py);
        self.at += 1;
        if self.next_is(b'}') {
            return Ok(map.into_any());
        }
        let mut entries = 0;
        loop {
            self.skip_space();
            let key = self.key()?;
            if !self.next_is(b':') {
                return Err(Suspect);
            }
            let value = self.value(inner)?;
            map.set_item(key, value).map_err(|_| Suspect)?;
            entries += 1;
            if self.next_is(b'}') {
                break;
            }
            if !self.next_is(b',') {
                return Err(Suspect);
            }
        }
        // A key that appears twice has lost its first value.
        if map.len() == entries {
            Ok(map.into_any())
        } else {
            Err(Suspect)
        }
    }

    fn list(&mut self, depth: u32) -> Result<Bound<'py, PyAny>, Suspect> {
        let inner = depth.checked_sub(1).ok_or(Suspect)?;
        let list = PyList::empty(self.py);
        self.at += 1;
        if self.next_is(b']') {
            return Ok(list.into_any());
        }
        loop {
            let element = self.value(inner)?;
            list.append(element).map_err(|_| Suspect)?;
            if self.next_is(b']') {
                return Ok(list.into_any());
            }
            if !self.next_is(b',') {
                return Err(Suspect);
            }
        }
    }

    fn string(&mut self) -> Result<Bound<'py, PyAny>, Suspect> {
        let range = self.quoted()?;
        let text = match range {
            Some((start, end)) => &self.text[start..end],
            None => &self.unescaped,
        };
        Ok(PyString::new(self.py, text).into_any())
    }

    fn key(&mut self) -> Result<Bound<'py, PyString>, Suspect> {
        if self.peek() != Some(b'"') {
            return Err(Suspect);
        }
        let range = self.quoted()?;
        let text = match range {
            Some((start, end)) => &self.text[start..end],
            None => &self.unescaped,
        };
        self.keys.get(self.py, text.as_bytes()).map_err(|_| Suspect)
    }

    /// Reads a text in quotes. Returns where it stands, or `None` where escapes in it had to be
    /// resolved: then it is in `unescaped`.
    fn quoted(&mut self) -> Result<Option<(usize, usize)>, Suspect> {
        let start = self.at + 1;
        let end = start + self.plain_length(start);
        if self.text.as_bytes().get(end) == Some(&b'"') {
            self.at = end + 1;
            return Ok(Some((start, end)));
        }
        self.unescaped.clear();
        self.at = start;
        loop {
            let end = self.at + self.plain_length(self.at);
            self.unescaped.push_str(&self.text[self.at..end]);
            self.at = end + 1;
            match self.text.as_bytes().get(end) {
                Some(b'"') => return Ok(None),
                Some(b'\\') => {
                    let letter = self.escape()?;
                    self.unescaped.push(letter);
                }
                _ => return Err(Suspect),
            }
        }
    }

    /// How many bytes from here on stand for themselves.
    fn plain_length(&self, start: usize) -> usize {
        plain_length(&self.text.as_bytes()[start..])
    }

    /// Reads what stands behind a backslash.
    fn escape(&mut self) -> Result<char, Suspect> {
        let letter = self.peek().ok_or(Suspect)?;
        self.at += 1;
        Ok(match letter {
            b'"' | b'\\' | b'/' => char::from(letter),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let unit = self.hex()?;
                if !(0xD800..0xDC00).contains(&unit) {
                    // `from_u32` refuses the second half of a pair that stands alone.
                    return char::from_u32(unit).ok_or(Suspect);
                }
                self.word("\\u")?;
                let second = self.hex()?;
                if !(0xDC00..0xE000).contains(&second) {
                    return Err(Suspect);
                }
                let code = 0x10000 + ((unit - 0xD800) << 10) + (second - 0xDC00);
                char::from_u32(code).ok_or(Suspect)?
            }
            _ => return Err(Suspect),
        })
    }

    fn hex(&mut self) -> Result<u32, Suspect> {
        let bytes = self.text.as_bytes();
        let digits = bytes.get(self.at..self.at + 4).ok_or(Suspect)?;
        let mut value = 0;
        for digit in digits {
            value = value * 16 + char::from(*digit).to_digit(16).ok_or(Suspect)?;
        }
        self.at += 4;
        Ok(value)
    }

    fn number(&mut self) -> Result<Bound<'py, PyAny>, Suspect> {
        let text = &self.text.as_bytes()[self.at..];
        let (number, length) = read_number(text).ok_or(Suspect)?;
        self.at += length;
        Ok(match number {
            Number::Signed(value) => PyInt::new(self.py, value).into_any(),
            Number::Unsigned(value) => PyInt::new(self.py, value).into_any(),
            Number::Float(value) => PyFloat::new(self.py, value).into_any(),
        })
    }

    fn word(&mut self, word: &str) -> Result<(), Suspect> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return Err(Suspect);
        }
        self.at += word.len();
        Ok(())
    }

    /// Passes over white space, and over `byte` behind it if it is there.
    fn next_is(&mut self, byte: u8) -> bool {
        self.skip_space();
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }
}
