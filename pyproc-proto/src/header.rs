//! The sixteen bytes at the beginning of every binary frame.

use crate::kind::NamesCall;
use crate::{Flags, Kind, ProtocolError};

/// The length of a header in bytes. A body that follows it directly begins aligned.
pub const HEADER_LEN: usize = 16;

/// How many bytes of the header the length field does not count: itself.
pub(crate) const LENGTH_LEN: usize = 4;

/// The smallest length that a binary frame can state: the rest of its header.
pub(crate) const MIN_LENGTH: u32 = (HEADER_LEN - LENGTH_LEN) as u32;

/// What every binary frame begins with.
///
/// A header that [`decode`](Self::decode) returned has a known kind, known flags that this kind
/// may carry, and a call id that fits the kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What the frame is.
    pub kind: Kind,
    /// What else it carries.
    pub flags: Flags,
    /// The function's index in a request, the status in an error, else 0.
    pub index: u16,
    /// The call that the frame belongs to, or 0 for the connection itself.
    pub call: u64,
    /// How many bytes follow the length field: at least 12, at most `max_frame`.
    pub length: u32,
}

impl Header {
    /// The header as the wire writes it; all integers are big-endian.
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[0..4].copy_from_slice(&self.length.to_be_bytes());
        bytes[4] = self.kind as u8;
        bytes[5] = self.flags.bits();
        bytes[6..8].copy_from_slice(&self.index.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.call.to_be_bytes());
        bytes
    }

    /// Reads a header and refuses whatever the grammar does not allow.
    ///
    /// # Errors
    ///
    /// The first rule that the bytes break, looking at them from left to right; the length is
    /// checked against `max_frame` before anything else.
    pub fn decode(bytes: &[u8; HEADER_LEN], max_frame: usize) -> Result<Self, ProtocolError> {
        let [l0, l1, l2, l3, kind, flags, i0, i1, call @ ..] = *bytes;
        let length = check_length(u32::from_be_bytes([l0, l1, l2, l3]), MIN_LENGTH, max_frame)?;
        let kind = Kind::from_wire(kind).ok_or(ProtocolError::UnknownKind { kind })?;
        let flags = Flags::from_bits(flags).ok_or(ProtocolError::UnknownFlags { kind, flags })?;
        let header = Self {
            kind,
            flags,
            index: u16::from_be_bytes([i0, i1]),
            call: u64::from_be_bytes(call),
            length,
        };
        header.check_grammar()?;
        Ok(header)
    }

    /// What the kind allows in the other fields.
    fn check_grammar(&self) -> Result<(), ProtocolError> {
        let (kind, call, index) = (self.kind, self.call, self.index);
        if !kind.allowed_flags().contains(self.flags) {
            let flags = self.flags.bits();
            return Err(ProtocolError::FlagNotAllowed { kind, flags });
        }
        if !kind.allows_index() && index != 0 {
            return Err(ProtocolError::UnexpectedIndex { kind, index });
        }
        let fits = match kind.names_call() {
            NamesCall::Always => call != 0,
            NamesCall::Never => call == 0,
            NamesCall::Maybe => true,
        };
        if fits {
            Ok(())
        } else {
            Err(ProtocolError::UnexpectedCallId { kind, call })
        }
    }
}

/// Refuses a length outside `minimum..=max_frame`, before anybody allocates for it.
pub(crate) fn check_length(
    length: u32,
    minimum: u32,
    max_frame: usize,
) -> Result<u32, ProtocolError> {
    if length < minimum {
        return Err(ProtocolError::LengthTooShort { length, minimum });
    }
    if length as usize > max_frame {
        let limit = max_frame;
        return Err(ProtocolError::LengthOverLimit { length, limit });
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 1024;

    fn header(kind: Kind) -> Header {
        let call = match kind.names_call() {
            NamesCall::Always => 7,
            NamesCall::Never | NamesCall::Maybe => 0,
        };
        Header {
            kind,
            flags: Flags::NONE,
            index: 0,
            call,
            length: MIN_LENGTH,
        }
    }

    #[test]
    fn every_kind_comes_back_as_it_was_written() {
        for kind in Kind::ALL {
            let header = header(kind);
            assert_eq!(Header::decode(&header.encode(), LIMIT), Ok(header));
        }
    }

    #[test]
    fn every_number_that_is_no_kind_is_refused() {
        let known: Vec<u8> = Kind::ALL.iter().map(|kind| *kind as u8).collect();
        for number in (0..=u8::MAX).filter(|number| !known.contains(number)) {
            let mut bytes = header(Kind::Ping).encode();
            bytes[4] = number;
            assert_eq!(
                Header::decode(&bytes, LIMIT),
                Err(ProtocolError::UnknownKind { kind: number })
            );
        }
    }

    #[test]
    fn every_flag_without_a_meaning_is_refused() {
        for bits in [0x80, 0xC1, 0xFF] {
            let mut bytes = header(Kind::Request).encode();
            bytes[5] = bits;
            let kind = Kind::Request;
            let expected = ProtocolError::UnknownFlags { kind, flags: bits };
            assert_eq!(Header::decode(&bytes, LIMIT), Err(expected));
        }
    }

    #[test]
    fn a_length_is_judged_before_the_rest_of_the_header() {
        let mut bytes = [0; HEADER_LEN];
        bytes[..4].copy_from_slice(&u32::MAX.to_be_bytes());
        let length = u32::MAX;
        assert_eq!(
            Header::decode(&bytes, LIMIT),
            Err(ProtocolError::LengthOverLimit {
                length,
                limit: LIMIT
            })
        );
    }

    #[test]
    fn a_call_id_where_none_belongs_is_refused_and_so_is_a_missing_one() {
        for (kind, call) in [(Kind::Drain, 1), (Kind::Reply, 0), (Kind::Request, 0)] {
            let bytes = Header {
                call,
                ..header(kind)
            }
            .encode();
            let expected = ProtocolError::UnexpectedCallId { kind, call };
            assert_eq!(Header::decode(&bytes, LIMIT), Err(expected));
        }
    }
}
