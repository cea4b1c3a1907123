//! The bytes that wait for the lane.

/// A queue of bytes that remembers how far the lane has come, so that one can tell later which
/// frames were handed over whole.
#[derive(Debug, Default)]
pub(super) struct Output {
    buffer: Vec<u8>,
    /// How much of the buffer the lane has taken.
    start: usize,
    /// How many bytes the lane had taken before those that are in the buffer now.
    before: u64,
}

impl Output {
    /// What the lane has not taken yet.
    pub(super) fn pending(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    /// The lane took the first `written` bytes of what is pending.
    pub(super) fn advance(&mut self, written: usize) {
        self.start = self.buffer.len().min(self.start.saturating_add(written));
        if self.start == self.buffer.len() {
            self.forget_taken();
            self.buffer.shrink_to(KEPT_CAPACITY);
        } else if self.start >= COMPACT_FROM && self.start >= self.buffer.len() / 2 {
            // At least half is gone, so moving the rest costs no more than writing it did.
            self.forget_taken();
        }
    }

    /// Where frames are appended to.
    pub(super) fn buffer_mut(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Where the stream of bytes ends now, counted from the beginning of the connection.
    pub(super) fn end(&self) -> u64 {
        self.before + self.buffer.len() as u64
    }

    /// How many bytes the lane has taken since the beginning of the connection.
    pub(super) fn written(&self) -> u64 {
        self.before + self.start as u64
    }

    fn forget_taken(&mut self) {
        self.before += self.start as u64;
        self.buffer.drain(..self.start);
        self.start = 0;
    }
}

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
        assert!(output.buffer.capacity() <= 2 * KEPT_CAPACITY);
        assert_eq!((output.written(), output.end()), (10_000_000, 10_000_000));
    }

    proptest! {
        #[test]
        fn the_lane_sees_every_byte_once_and_in_order(
            steps in prop::collection::vec((0usize..100_000, 0usize..150_000), 1..8),
        ) {
            let (mut output, mut next, mut seen) = (Output::default(), 0u32, 0u32);
            for (appended, taken) in steps {
                for _ in 0..appended / 4 {
                    output.buffer_mut().extend_from_slice(&next.to_be_bytes());
                    next += 1;
                }
                let taken = output.pending().len().min(taken) / 4 * 4;
                for word in output.pending()[..taken].chunks_exact(4) {
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
