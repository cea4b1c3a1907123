//! Keys and values that travel beside a body, such as a trace's identity.

use crate::ProtocolError;

/// Pairs of text that accompany a frame, in the order in which they were put in.
///
/// A worker with only the standard library can read it: a `u16` of total bytes, then for each
/// pair a `u16` of length and the key, a `u16` of length and the value, in UTF-8. What exists
/// fits: a pair that would take the total past 65,535 bytes is refused when it is added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    pairs: Vec<(String, String)>,
    /// What the pairs take on the wire, without the total in front of them.
    encoded_len: u16,
}

impl Metadata {
    /// No pairs. Nothing is allocated, and nothing goes onto the wire for it.
    pub const fn new() -> Self {
        Self {
            pairs: Vec::new(),
            encoded_len: 0,
        }
    }

    /// Adds a pair at the end; a key may occur more than once.
    ///
    /// # Errors
    ///
    /// [`MetadataTooLong`] where the pairs would no longer fit into 65,535 bytes; nothing is
    /// added then.
    pub fn push(
        &mut self,
        key: impl Into<String>,
        value: impl Into<String>,
    ) -> Result<(), MetadataTooLong> {
        let (key, value) = (key.into(), value.into());
        let bytes = usize::from(self.encoded_len) + 4 + key.len() + value.len();
        self.encoded_len = u16::try_from(bytes).map_err(|_| MetadataTooLong { bytes })?;
        self.pairs.push((key, value));
        Ok(())
    }

    /// The value of the first pair with this key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.iter()
            .find(|(candidate, _)| *candidate == key)
            .map(|(_, value)| value)
    }

    /// The pairs, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Whether there are no pairs.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// How many bytes [`encode`](Self::encode) appends.
    pub fn wire_len(&self) -> usize {
        2 + usize::from(self.encoded_len)
    }

    /// Appends the total and the pairs to `output`.
    pub fn encode(&self, output: &mut Vec<u8>) {
        output.extend_from_slice(&self.encoded_len.to_be_bytes());
        for text in self.pairs.iter().flat_map(|(key, value)| [key, value]) {
            // The total is a u16, so each part of it is one as well.
            output.extend_from_slice(&(text.len() as u16).to_be_bytes());
            output.extend_from_slice(text.as_bytes());
        }
    }

    /// Reads the total and the pairs from the front of `bytes`, and says how many bytes that was.
    ///
    /// # Errors
    ///
    /// [`ProtocolError::InvalidMetadata`] where a length points past its end or a text is not
    /// UTF-8. Nothing is allocated for a length that the bytes do not bear out.
    pub fn decode(bytes: &[u8]) -> Result<(Self, usize), ProtocolError> {
        let (content, rest) = split_text(bytes)
            .ok_or(invalid("the total length points past the end of the frame"))?;
        let mut unread = content;
        let mut pairs = Vec::new();
        while !unread.is_empty() {
            let key = take_text(&mut unread)?;
            let value = take_text(&mut unread)?;
            pairs.push((key, value));
        }
        let metadata = Self {
            pairs,
            encoded_len: content.len() as u16,
        };
        Ok((metadata, bytes.len() - rest.len()))
    }
}

/// The pairs no longer fit into the 65,535 bytes that a frame has for them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the metadata take {bytes} bytes, and a frame has 65535 for them")]
pub struct MetadataTooLong {
    /// What all pairs would take on the wire, in bytes.
    pub bytes: usize,
}

fn take_text(unread: &mut &[u8]) -> Result<String, ProtocolError> {
    let (text, rest) =
        split_text(unread).ok_or(invalid("a pair's length points past the total"))?;
    *unread = rest;
    let text = std::str::from_utf8(text).map_err(|_| invalid("a key or value is not UTF-8"))?;
    Ok(text.to_owned())
}

/// Splits a `u16` of length and that many bytes off the front.
fn split_text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

fn invalid(reason: &'static str) -> ProtocolError {
    ProtocolError::InvalidMetadata { reason }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_pair_too_many_is_refused_and_leaves_the_rest_as_it_was() {
        let mut metadata = Metadata::new();
        metadata.push("key", "v".repeat(65_000)).expect("it fits");
        let before = metadata.clone();
        let refused = metadata.push("key", "v".repeat(600));
        assert_eq!(refused, Err(MetadataTooLong { bytes: 65_614 }));
        assert_eq!(metadata, before);
    }

    #[test]
    fn the_largest_metadata_fit_exactly() {
        let mut metadata = Metadata::new();
        metadata.push("", "v".repeat(65_531)).expect("it fits");
        let mut bytes = Vec::new();
        metadata.encode(&mut bytes);
        assert_eq!(bytes.len(), 65_537);
        assert_eq!(Metadata::decode(&bytes), Ok((metadata, 65_537)));
    }

    #[test]
    fn a_length_past_the_end_is_refused() {
        for bytes in [
            &[0u8][..],
            &[0, 1],
            &[0, 2, 0, 1],
            &[0, 3, 0, 0, 0],
            &[0, 2, 0, 0],
        ] {
            assert!(matches!(
                Metadata::decode(bytes),
                Err(ProtocolError::InvalidMetadata { .. })
            ));
        }
    }

    #[test]
    fn text_that_is_not_utf8_is_refused() {
        let bytes = [0, 5, 0, 1, 0xFF, 0, 0];
        assert_eq!(
            Metadata::decode(&bytes),
            Err(invalid("a key or value is not UTF-8"))
        );
    }

    proptest! {
        #[test]
        fn pairs_come_back_as_they_were_written(
            pairs in prop::collection::vec((".{0,20}", ".{0,20}"), 0..8),
            tail in prop::collection::vec(any::<u8>(), 0..8),
        ) {
            let mut metadata = Metadata::new();
            for (key, value) in pairs {
                metadata.push(key, value).expect("a few short pairs fit");
            }
            let mut bytes = Vec::new();
            metadata.encode(&mut bytes);
            prop_assert_eq!(bytes.len(), metadata.wire_len());
            let length = bytes.len();
            bytes.extend_from_slice(&tail);
            prop_assert_eq!(Metadata::decode(&bytes), Ok((metadata, length)));
        }
    }
}
