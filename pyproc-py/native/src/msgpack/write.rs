//! Plain values to MessagePack.

use bytes::Bytes;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use pyproc_proto::ReplyBody;

use crate::plain::{NotPlain, Writer};

/// From this length on, bytes are written from where they lie: one more system call costs less than
/// a copy then.
const SHARED_FROM: usize = 64 * 1024;

/// Appends MessagePack to a body, each value in its shortest form.
pub(crate) struct MsgPackWriter<'a, 'b> {
    body: &'a mut ReplyBody<'b>,
}

impl<'a, 'b> MsgPackWriter<'a, 'b> {
    pub(crate) fn new(body: &'a mut ReplyBody<'b>) -> Self {
        Self { body }
    }

    fn output(&mut self) -> &mut Vec<u8> {
        self.body.buffer_mut()
    }

    fn marked<const N: usize>(&mut self, mark: u8, rest: [u8; N]) {
        self.output().push(mark);
        self.output().extend_from_slice(&rest);
    }

    /// A length whose marks for one, two and four bytes follow each other. Lengths are those of
    /// values in memory, and the frame limit, which a `u32` expresses, is checked behind them.
    fn length(&mut self, marks: [u8; 3], length: usize) {
        if let Ok(length) = u8::try_from(length) {
            self.marked(marks[0], [length]);
        } else if let Ok(length) = u16::try_from(length) {
            self.marked(marks[1], length.to_be_bytes());
        } else {
            self.marked(marks[2], (length as u32).to_be_bytes());
        }
    }

    /// The same for what has no form with one byte of length, but one within the mark.
    fn short_length(&mut self, fixed: u8, marks: [u8; 2], length: usize) {
        if length < 16 {
            self.output().push(fixed | length as u8);
        } else if let Ok(length) = u16::try_from(length) {
            self.marked(marks[0], length.to_be_bytes());
        } else {
            self.marked(marks[1], (length as u32).to_be_bytes());
        }
    }
}

impl Writer for MsgPackWriter<'_, '_> {
    fn null(&mut self) {
        self.output().push(0xC0);
    }

    fn boolean(&mut self, value: bool) {
        self.output().push(0xC2 | u8::from(value));
    }

    fn signed(&mut self, value: i64) {
        if let Ok(value) = u64::try_from(value) {
            self.unsigned(value);
        } else if value >= -32 {
            self.output().push(value as u8);
        } else if let Ok(value) = i8::try_from(value) {
            self.marked(0xD0, value.to_be_bytes());
        } else if let Ok(value) = i16::try_from(value) {
            self.marked(0xD1, value.to_be_bytes());
        } else if let Ok(value) = i32::try_from(value) {
            self.marked(0xD2, value.to_be_bytes());
        } else {
            self.marked(0xD3, value.to_be_bytes());
        }
    }

    fn unsigned(&mut self, value: u64) {
        if value < 0x80 {
            self.output().push(value as u8);
        } else if let Ok(value) = u8::try_from(value) {
            self.marked(0xCC, [value]);
        } else if let Ok(value) = u16::try_from(value) {
            self.marked(0xCD, value.to_be_bytes());
        } else if let Ok(value) = u32::try_from(value) {
            self.marked(0xCE, value.to_be_bytes());
        } else {
            self.marked(0xCF, value.to_be_bytes());
        }
    }

    fn float(&mut self, value: f64) -> Result<(), NotPlain> {
        self.marked(0xCB, value.to_be_bytes());
        Ok(())
    }

    fn text(&mut self, value: &str) {
        if value.len() < 32 {
            self.output().push(0xA0 | value.len() as u8);
        } else {
            self.length([0xD9, 0xDA, 0xDB], value.len());
        }
        self.output().extend_from_slice(value.as_bytes());
    }

    fn bytes(&mut self, value: &Bound<'_, PyBytes>) -> Result<(), NotPlain> {
        let bytes = value.as_bytes();
        self.length([0xC4, 0xC5, 0xC6], bytes.len());
        if bytes.len() < SHARED_FROM {
            self.output().extend_from_slice(bytes);
        } else {
            let owner = PyBackedBytes::from(value.clone());
            self.body.share(Bytes::from_owner(owner));
        }
        Ok(())
    }

    fn begin_list(&mut self, length: usize) {
        self.short_length(0x90, [0xDC, 0xDD], length);
    }

    fn end_list(&mut self) {}

    fn begin_map(&mut self, length: usize) {
        self.short_length(0x80, [0xDE, 0xDF], length);
    }

    fn end_map(&mut self) {}

    fn separate(&mut self, _is_first: bool) {}

    fn assign(&mut self) {}
}
