//! Plain values to JSON.

use crate::plain::{NotPlain, Writer};

/// Appends JSON without white space to a buffer; text stays UTF-8.
pub(crate) struct JsonWriter<'a> {
    output: &'a mut Vec<u8>,
}

impl<'a> JsonWriter<'a> {
    pub(crate) fn new(output: &'a mut Vec<u8>) -> Self {
        Self { output }
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
        let mut copied = 0;
        for (index, byte) in bytes.iter().enumerate() {
            let escape = ESCAPES[usize::from(*byte)];
            if escape == 0 {
                continue;
            }
            self.output.extend_from_slice(&bytes[copied..index]);
            copied = index + 1;
            if escape == b'u' {
                let digits = b"0123456789abcdef";
                let (high, low) = (usize::from(byte >> 4), usize::from(byte & 15));
                self.output.extend_from_slice(b"\\u00");
                self.output.extend_from_slice(&[digits[high], digits[low]]);
            } else {
                self.output.extend_from_slice(&[b'\\', escape]);
            }
        }
        self.output.extend_from_slice(&bytes[copied..]);
        self.output.push(b'"');
    }

    fn bytes(&mut self, _value: &[u8]) -> Result<(), NotPlain> {
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

/// For each byte the letter behind its backslash, or 0 where it stands for itself.
static ESCAPES: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 0x20 {
        table[byte] = b'u';
        byte += 1;
    }
    table[0x08] = b'b';
    table[0x09] = b't';
    table[0x0A] = b'n';
    table[0x0C] = b'f';
    table[0x0D] = b'r';
    table[b'"' as usize] = b'"';
    table[b'\\' as usize] = b'\\';
    table
};
