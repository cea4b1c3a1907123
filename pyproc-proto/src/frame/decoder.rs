//! Finds the frames in a stream of bytes, however it was cut.

use bytes::{Buf, Bytes, BytesMut};

use super::{Frame, total_len};
use crate::header::{Header, LENGTH_LEN, MIN_LENGTH, check_length};
use crate::{HEADER_LEN, ProtocolError};

/// Collects bytes and hands out whole frames.
///
/// Bodies are views into the buffer that was read into; nothing is copied. A length is checked as
/// soon as its four bytes are there, before any room is made for the frame.
///
/// An error is final: what follows a broken frame means nothing.
#[derive(Debug)]
pub struct Decoder {
    buffer: BytesMut,
    max_frame: usize,
}

impl Decoder {
    /// A decoder for frames that state a length of at most `max_frame` bytes.
    pub fn new(max_frame: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            max_frame,
        }
    }

    /// Where the driver reads to, so that bytes are moved once: from the kernel.
    ///
    /// Only append to it; what is already there is still to be decoded.
    pub fn buffer_mut(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// Appends bytes that were read elsewhere.
    pub fn extend(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next binary frame, or `None` until more of it has arrived.
    ///
    /// # Errors
    ///
    /// What the frame does wrong, as soon as the bytes that show it are there.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, ProtocolError> {
        let Some(length) = self.peek_length(MIN_LENGTH)? else {
            return Ok(None);
        };
        let Some(header) = self.buffer.first_chunk::<HEADER_LEN>() else {
            return Ok(None);
        };
        let header = Header::decode(header, self.max_frame)?;
        match self.take(length, HEADER_LEN) {
            Some(rest) => Frame::after_header(header, rest).map(Some),
            None => Ok(None),
        }
    }

    /// The next message of the JSON protocol without its length, or `None` until more of it has
    /// arrived.
    ///
    /// # Errors
    ///
    /// A length of 0 or over the limit.
    pub fn next_payload(&mut self) -> Result<Option<Bytes>, ProtocolError> {
        match self.peek_length(1)? {
            Some(length) => Ok(self.take(length, LENGTH_LEN)),
            None => Ok(None),
        }
    }

    /// Whether a frame has begun to arrive and is not there yet. Only meaningful when the last
    /// attempt to take one returned `None`.
    pub fn is_partial(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// How many bytes are waiting to become a frame.
    pub fn buffered_len(&self) -> usize {
        self.buffer.len()
    }

    /// The first byte after the length of the frame that arrives now, which tells the JSON
    /// protocol from the binary one.
    pub(crate) fn first_payload_byte(&self) -> Option<u8> {
        self.buffer.get(LENGTH_LEN).copied()
    }

    /// Refuses the length of the frame that arrives now if it is outside every protocol's limits.
    pub(crate) fn check_next_length(&self) -> Result<(), ProtocolError> {
        self.peek_length(1).map(|_| ())
    }

    pub(crate) fn max_frame(&self) -> usize {
        self.max_frame
    }

    /// Whether a frame has begun to arrive for which the buffer has yet to grow large.
    pub(crate) fn awaits_large_frame(&self) -> bool {
        let length = self.peek_length(1).ok().flatten();
        length.is_some_and(|length| total_len(length) >= LARGE_FRAME)
            && self.buffer.capacity() < LARGE_FRAME
    }

    /// Goes on in this memory, which is empty.
    pub(crate) fn continue_in(&mut self, mut memory: BytesMut) {
        memory.extend_from_slice(&self.buffer);
        self.buffer = memory;
    }

    pub(crate) fn set_max_frame(&mut self, max_frame: usize) {
        self.max_frame = max_frame;
    }

    /// The length that the next frame states, once it is there and found good.
    fn peek_length(&self, minimum: u32) -> Result<Option<u32>, ProtocolError> {
        match self.buffer.first_chunk::<LENGTH_LEN>() {
            Some(length) => {
                check_length(u32::from_be_bytes(*length), minimum, self.max_frame).map(Some)
            }
            None => Ok(None),
        }
    }

    /// Splits a whole frame off the buffer, without its first `skip` bytes.
    fn take(&mut self, length: u32, skip: usize) -> Option<Bytes> {
        let total = total_len(length);
        if self.buffer.len() < total {
            let missing = total - self.buffer.len();
            self.buffer.reserve(missing.min(MAX_ROOM_AHEAD));
            return None;
        }
        let mut frame = if total >= LARGE_FRAME {
            // What follows moves out, so that the memory of this frame goes when the frame goes.
            let rest = BytesMut::from(&self.buffer[total..]);
            let mut frame = std::mem::replace(&mut self.buffer, rest);
            frame.truncate(total);
            frame
        } else {
            self.buffer.split_to(total)
        };
        frame.advance(skip);
        Some(frame.freeze())
    }
}

/// From this length on a frame takes the buffer with it, and the next one begins in a new one.
const LARGE_FRAME: usize = 512 * 1024;

/// How much room is made for a frame ahead of its bytes. A length is only a claim: four bytes
/// must not make this side allocate the limit, and past this the buffer doubles as bytes arrive.
const MAX_ROOM_AHEAD: usize = 256 * 1024;
