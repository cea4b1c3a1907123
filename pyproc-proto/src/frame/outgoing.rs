//! A frame on its way out.

use crate::header::{Header, LENGTH_LEN};
use crate::{Flags, HEADER_LEN, Kind, Metadata};

/// What a frame is written from, borrowed from wherever it lies.
pub(crate) struct Outgoing<'a> {
    pub(crate) kind: Kind,
    /// Flags beside those for deadline and metadata, which follow from the fields.
    pub(crate) flags: Flags,
    pub(crate) index: u16,
    pub(crate) call: u64,
    pub(crate) deadline: Option<u64>,
    pub(crate) metadata: &'a Metadata,
    pub(crate) body: &'a [u8],
}

impl<'a> Outgoing<'a> {
    /// A frame of the connection itself.
    pub(crate) fn of_connection(kind: Kind, body: &'a [u8]) -> Self {
        Self::of_call(kind, 0, body)
    }

    /// A frame of a call, without deadline and metadata.
    pub(crate) fn of_call(kind: Kind, call: u64, body: &'a [u8]) -> Self {
        const NO_METADATA: &Metadata = &Metadata::new();
        Self {
            kind,
            flags: Flags::NONE,
            index: 0,
            call,
            deadline: None,
            metadata: NO_METADATA,
            body,
        }
    }

    /// What the length field will say, in bytes.
    pub(crate) fn length(&self) -> usize {
        let deadline = if self.deadline.is_some() { 8 } else { 0 };
        let metadata = if self.metadata.is_empty() {
            0
        } else {
            self.metadata.wire_len()
        };
        HEADER_LEN - LENGTH_LEN + deadline + metadata + self.body.len()
    }

    /// Appends the frame. The caller has held [`length`](Self::length) against a limit that a
    /// `u32` can express.
    pub(crate) fn write(&self, output: &mut Vec<u8>) {
        output.reserve(LENGTH_LEN + self.length());
        self.write_head(output);
        output.extend_from_slice(self.body);
    }

    /// Appends what precedes the body, which must follow.
    pub(crate) fn write_head(&self, output: &mut Vec<u8>) {
        let length = self.length();
        let mut flags = self.flags;
        if self.deadline.is_some() {
            flags = flags | Flags::DEADLINE;
        }
        if !self.metadata.is_empty() {
            flags = flags | Flags::METADATA;
        }
        let header = Header {
            kind: self.kind,
            flags,
            index: self.index,
            call: self.call,
            length: length as u32,
        };
        output.extend_from_slice(&header.encode());
        if let Some(deadline) = self.deadline {
            output.extend_from_slice(&deadline.to_be_bytes());
        }
        if !self.metadata.is_empty() {
            self.metadata.encode(output);
        }
    }
}
