//! Items of a stream on their way between the connection and whoever reads or makes them.

/// Items, each with its length before it, in one buffer. What a worker yields comes in two of them that go back and forth
/// between the connection, which fills one, and the reader, which empties the other, so that an item costs a copy and no
/// allocation, and holds no memory of the connection's. What it is sent goes in a new one for each batch.
#[derive(Debug, Default)]
pub(crate) struct Items {
    buffer: Vec<u8>,
    /// How much of it was taken.
    start: usize,
}

/// Why an item was not appended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unpushed<E> {
    /// It takes so many bytes, which are too many.
    TooLong {
        bytes: usize,
    },
    Failed(E),
}

const LENGTH: usize = size_of::<u32>();

/// What an empty buffer keeps, so that one large item does not occupy memory for good.
const KEPT_CAPACITY: usize = 1024 * 1024;

impl Items {
    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.buffer.len()
    }

    /// Frames have lengths of 32 bits.
    pub(crate) fn push(&mut self, item: &[u8]) {
        let length = item.len() as u32;
        self.buffer.extend_from_slice(&length.to_ne_bytes());
        self.buffer.extend_from_slice(item);
    }

    /// Appends an item that `encode` writes, and returns its length.
    ///
    /// # Errors
    ///
    /// The item is longer than `longest`, or could not be encoded. Nothing was appended.
    pub(crate) fn push_with<E>(
        &mut self,
        longest: u32,
        encode: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<usize, Unpushed<E>> {
        let start = self.buffer.len();
        self.buffer.extend_from_slice(&[0; LENGTH]);
        let encoded = encode(&mut self.buffer);
        let bytes = self.buffer.len().saturating_sub(start + LENGTH);
        let reason = match (encoded, u32::try_from(bytes)) {
            (Ok(()), Ok(length)) if length <= longest => {
                self.buffer[start..start + LENGTH].copy_from_slice(&length.to_ne_bytes());
                return Ok(bytes);
            }
            (Ok(()), _) => Unpushed::TooLong { bytes },
            (Err(error), _) => Unpushed::Failed(error),
        };
        self.buffer.truncate(start);
        Err(reason)
    }

    /// The next item, if there is one.
    pub(crate) fn next(&mut self) -> Option<&[u8]> {
        if self.is_empty() {
            self.buffer.clear();
            self.buffer.shrink_to(KEPT_CAPACITY);
            self.start = 0;
            return None;
        }
        let (length, rest) = self.buffer[self.start..].split_first_chunk::<LENGTH>()?;
        let length = u32::from_ne_bytes(*length) as usize;
        self.start += LENGTH + length;
        rest.get(..length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_that_cannot_be_encoded_or_is_too_long_leaves_nothing_behind() {
        let mut items = Items::default();
        let fails = |buffer: &mut Vec<u8>| {
            buffer.extend_from_slice(b"half of ");
            Err("no")
        };
        let works = |buffer: &mut Vec<u8>| {
            buffer.extend_from_slice(b"one");
            Ok::<(), &str>(())
        };
        assert_eq!(items.push_with(3, works), Ok(3));
        assert_eq!(items.push_with(3, fails), Err(Unpushed::Failed("no")));
        let too_long = Unpushed::TooLong { bytes: 3 };
        assert_eq!(items.push_with(2, works), Err(too_long));
        assert_eq!(items.push_with(3, works), Ok(3));
        assert_eq!(items.next(), Some(&b"one"[..]));
        assert_eq!(items.next(), Some(&b"one"[..]));
        assert_eq!(items.next(), None);
    }

    #[test]
    fn items_come_back_in_order_and_a_large_one_keeps_no_memory() {
        let mut items = Items::default();
        for _ in 0..2 {
            let large = vec![7; 4 * KEPT_CAPACITY];
            for item in [&b"one"[..], b"", &large] {
                items.push(item);
            }
            assert_eq!(items.next(), Some(&b"one"[..]));
            assert_eq!(items.next(), Some(&b""[..]));
            assert!(!items.is_empty());
            assert_eq!(items.next(), Some(&large[..]));
            assert!(items.is_empty());
            assert_eq!(items.next(), None);
            assert!(items.buffer.capacity() <= KEPT_CAPACITY);
        }
    }
}
