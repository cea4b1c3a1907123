//! Plain values to JSON.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::text::plain_length;
use crate::plain::{NotPlain, Writer};

/// Appends JSON without white space to a buffer; text stays UTF-8.
pub(crate) struct JsonWriter<'a> {
    output: &'a mut Vec<u8>,
}

impl<'a> JsonWriter<'a> {
    pub(crate) fn new(output: &'a mut Vec<u8>) -> Self {
        Self { output }
    }

    fn escape(&mut self, byte: u8) {
        let letter = match byte {
            0x08 => b'b',
            0x09 => b't',
            0x0A => b'n',
            0x0C => b'f',
            0x0D => b'r',
            0x00..0x20 => {
                let digits = b"0123456789abcdef";
                let (high, low) = (usize::from(byte >> 4), usize::from(byte & 15));
                self.output.extend_from_slice(b"\\u00");
                self.output.extend_from_slice(&[digits[high], digits[low]]);
                return;
            }
            quoted => quoted,
        };
        self.output.extend_from_slice(&[b'\\', letter]);
    }
}

impl Writer for JsonWriter<'_> {
    fn null(&mut self) {
        self.output.extend_from_slice(b"null");
    }

    fn boolean(&mut self, value: bool) {
        let text: &[u8] = if value { b"true" } else { b"false" };
        self.output.extend_from_slice(text);
    }

    fn signed(&mut self, value: i64) {
        let mut buffer = itoa::Buffer::new();
        self.output
            .extend_from_slice(buffer.format(value).as_bytes());
    }

    fn unsigned(&mut self, value: u64) {
        let mut buffer = itoa::Buffer::new();
        self.output
            .extend_from_slice(buffer.format(value).as_bytes());
    }

    fn float(&mut self, value: f64) -> Result<(), NotPlain> {
        if !value.is_finite() {
            return Err(NotPlain);
        }
        let mut buffer = zmij::Buffer::new();
        self.output
            .extend_from_slice(buffer.format_finite(value).as_bytes());
        Ok(())
    }

    fn text(&mut self, value: &str) {
        let bytes = value.as_bytes();
        self.output.reserve(bytes.len() + 2);
        self.output.push(b'"');
        let mut rest = bytes;
        loop {
            let (plain, special) = rest.split_at(plain_length(rest));
            self.output.extend_from_slice(plain);
            let Some((byte, behind)) = special.split_first() else {
                break;
            };
            self.escape(*byte);
            rest = behind;
        }
        self.output.push(b'"');
    }

    fn bytes(&mut self, _value: &Bound<'_, PyBytes>) -> Result<(), NotPlain> {
        Err(NotPlain)
    }

    fn begin_list(&mut self, _length: usize) {
        self.output.push(b'[');
    }

    fn end_list(&mut self) {
        self.output.push(b']');
    }

    fn begin_map(&mut self, _length: usize) {
        self.output.push(b'{');
    }

    fn end_map(&mut self) {
        self.output.push(b'}');
    }

    fn separate(&mut self, is_first: bool) {
        if !is_first {
            self.output.push(b',');
        }
    }

    fn assign(&mut self) {
        self.output.push(b':');
    }
}
