//! The bytes that wait for the lane.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Bytes, BytesMut};

/// A queue of bytes that remembers how far the lane has come, so that one can tell later which
/// frames were handed over whole.
///
/// Small frames are copied into one buffer, so that many of them leave together; large bodies are
/// queued as they are, and leave from where they lie.
#[derive(Debug, Default)]
pub(super) struct Output {
    /// What goes before `tail`; empty as long as nothing large is sent.
    pieces: VecDeque<Bytes>,
    /// How many bytes the pieces have together.
    pieces_len: usize,
    /// Where frames are appended to.
    tail: Vec<u8>,
    /// How much of the first piece, or of `tail` where there is none, the lane has taken.
    start: usize,
    /// How many bytes the lane has taken since the beginning of the connection.
    written: u64,
    /// The last large piece that the lane has taken.
    spare: Option<Bytes>,
}

impl Output {
    /// What the lane has not taken yet, as far as it lies together.
    pub(super) fn pending(&self) -> &[u8] {
        &self.pieces.front().map_or(&self.tail[..], |piece| piece)[self.start..]
    }

    /// What the lane has not taken yet, in order, in the pieces in which it lies.
    pub(super) fn pending_pieces(&self) -> impl Iterator<Item = &[u8]> + Clone {
        let pieces = self.pieces.iter().map(|piece| &piece[..]);
        let mut skip = self.start;
        pieces
            .chain([&self.tail[..]])
            .map(move |piece| &piece[std::mem::take(&mut skip)..])
    }

    /// What the lane has not taken yet, in as many slices as there is room for. Returns how many
    /// were filled.
    pub(super) fn pending_slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut filled = 0;
        for (slice, piece) in slices.iter_mut().zip(self.pending_pieces()) {
            *slice = IoSlice::new(piece);
            filled += 1;
        }
        filled
    }

    /// How many bytes the lane has not taken yet.
    pub(super) fn pending_len(&self) -> usize {
        self.pieces_len + self.tail.len() - self.start
    }

    /// The lane took the first `written` bytes of what is pending.
    pub(super) fn advance(&mut self, written: usize) {
        let mut written = written.min(self.pending_len());
        self.written += written as u64;
        while let Some(piece) = self.pieces.front() {
            let left = piece.len() - self.start;
            if written < left {
                self.start += written;
                return;
            }
            written -= left;
            self.pieces_len -= piece.len();
            self.start = 0;
            self.spare = self.pieces.pop_front().filter(|piece| piece.len() >= LARGE);
        }
        self.start += written;
        if self.start == self.tail.len() {
            self.forget_taken();
            self.tail.shrink_to(KEPT_CAPACITY);
        } else if self.start >= COMPACT_FROM && self.start >= self.tail.len() / 2 {
            // At least half is gone, so moving the rest costs no more than writing it did.
            self.forget_taken();
        }
    }

    /// The memory of a large piece that the lane has taken, if nobody else holds it. It is worth
    /// more than new memory, whose every page costs a fault.
    pub(super) fn take_spare(&mut self) -> Option<BytesMut> {
        let mut memory = self.spare.take()?.try_into_mut().ok()?;
        memory.clear();
        Some(memory)
    }

    /// Where frames are appended to.
    pub(super) fn buffer_mut(&mut self) -> &mut Vec<u8> {
        &mut self.tail
    }

    /// Appends bytes without copying them.
    pub(super) fn push(&mut self, bytes: Bytes) {
        if !self.tail.is_empty() {
            let mut before = std::mem::take(&mut self.tail);
            if self.pieces.is_empty() {
                // `start` counts what was taken of the first piece, which this one becomes.
                before.drain(..std::mem::take(&mut self.start));
            }
            self.push_piece(before.into());
        }
        self.push_piece(bytes);
    }

    /// Puts bytes in between those that were appended, without copying them: each in front of what
    /// stands at its place in [`buffer_mut`](Self::buffer_mut) now. Places are given in order.
    pub(super) fn weave(&mut self, parts: impl IntoIterator<Item = (usize, Bytes)>) {
        let mut passed = 0;
        for (place, bytes) in parts {
            let behind = self.tail.split_off(place - passed);
            self.push(bytes);
            self.tail = behind;
            passed = place;
        }
    }

    fn push_piece(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.pieces_len += piece.len();
            self.pieces.push_back(piece);
        }
    }

    /// Where the stream of bytes ends now, counted from the beginning of the connection.
    pub(super) fn end(&self) -> u64 {
        self.written + self.pending_len() as u64
    }

    /// How many bytes the lane has taken since the beginning of the connection.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// All that is pending, in one piece.
    pub(super) fn into_vec(mut self) -> Vec<u8> {
        let mut all = Vec::with_capacity(self.pending_len());
        while self.pending_len() > 0 {
            let length = self.pending().len();
            all.extend_from_slice(self.pending());
            self.advance(length);
        }
        all
    }

    fn forget_taken(&mut self) {
        self.tail.drain(..self.start);
        self.start = 0;
    }
}

/// From this length on a body is sent from where it lies: one more slice to write costs less than
/// a copy then.
pub(super) const SHARED_FROM: usize = 16 * 1024;

/// From this length on the memory of a piece is worth keeping for a moment.
const LARGE: usize = 512 * 1024;

/// What an empty buffer keeps, so that one large frame does not occupy memory for good.
const KEPT_CAPACITY: usize = 256 * 1024;

/// Below this, moving bytes to the front is not worth the call.
const COMPACT_FROM: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_large_frame_does_not_keep_its_memory() {
        let mut output = Output::default();
        output.buffer_mut().resize(10_000_000, 0);
        output.advance(10_000_000);
        assert!(output.tail.capacity() <= 2 * KEPT_CAPACITY);
        assert_eq!((output.written(), output.end()), (10_000_000, 10_000_000));
    }

    #[test]
    fn a_shared_body_is_sent_from_where_it_lies() {
        let mut output = Output::default();
        let body = Bytes::from(vec![7; 100]);
        output.buffer_mut().extend_from_slice(b"head");
        output.push(body.clone());
        output.buffer_mut().extend_from_slice(b"next");
        let mut slices = [IoSlice::new(&[]); 4];
        let filled = output.pending_slices(&mut slices);
        let seen: Vec<_> = slices[..filled].iter().map(|slice| slice.len()).collect();
        assert_eq!(seen, [4, 100, 4]);
        assert_eq!(slices[1].as_ptr(), body.as_ptr());
    }

    #[test]
    fn shared_parts_are_woven_in_where_they_belong() {
        let mut output = Output::default();
        output.buffer_mut().extend_from_slice(b"taken");
        output.advance(2);
        output.buffer_mut().extend_from_slice(b"abcd");
        let parts = [(5, "1"), (7, "2"), (7, "3"), (9, "4")];
        output.weave(parts.map(|(place, text)| (place, text.into())));
        output.buffer_mut().extend_from_slice(b"e");
        assert_eq!((output.written(), output.end()), (2, 14));
        assert_eq!(output.into_vec(), b"ken1ab23cd4e");
    }

    proptest! {
        #[test]
        fn the_lane_sees_every_byte_once_and_in_order(
            steps in prop::collection::vec(
                (0usize..100_000, any::<bool>(), 0usize..150_000),
                1..8,
            ),
        ) {
            let (mut output, mut next, mut seen) = (Output::default(), 0u32, 0u32);
            for (appended, shared, taken) in steps {
                let mut bytes = Vec::new();
                for _ in 0..appended / 4 {
                    bytes.extend_from_slice(&next.to_be_bytes());
                    next += 1;
                }
                if shared {
                    output.push(bytes.into());
                } else {
                    output.buffer_mut().extend_from_slice(&bytes);
                }
                let mut slices = [IoSlice::new(&[]); 3];
                let filled = output.pending_slices(&mut slices);
                let all: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.to_vec()).collect();
                prop_assert!(all.starts_with(output.pending()));
                let taken = all.len().min(taken) / 4 * 4;
                for word in all[..taken].chunks_exact(4) {
                    prop_assert_eq!(word, seen.to_be_bytes());
                    seen += 1;
                }
                output.advance(taken);
                prop_assert_eq!(output.written(), u64::from(seen) * 4);
                prop_assert_eq!(output.end(), u64::from(next) * 4);
            }
        }
    }
}
