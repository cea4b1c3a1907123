//! One message on the wire, parsed.

mod decoder;
mod outgoing;

pub use decoder::Decoder;
pub(crate) use outgoing::Outgoing;

use bytes::{Buf, Bytes};

use crate::header::{Header, LENGTH_LEN};
use crate::status::check_status;
use crate::{Flags, Kind, Metadata, ProtocolError};

/// A binary frame, taken apart. One that [`parse`](Self::parse) or a [`Decoder`] returned obeys
/// the grammar of its kind; only what a body says is still to be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The header, as it came.
    pub header: Header,
    /// The deadline of a request, in the unit that the `Hello` named.
    pub deadline: Option<u64>,
    /// The pairs that came with it; empty where the frame had none.
    pub metadata: Metadata,
    /// The rest: a view into the buffer that was read into, not a copy.
    pub body: Bytes,
}

impl Frame {
    /// Takes one whole frame apart, header included.
    ///
    /// # Errors
    ///
    /// The first rule of the grammar that the frame breaks. The length it states must be the
    /// length it has.
    pub fn parse(bytes: Bytes, max_frame: usize) -> Result<Self, ProtocolError> {
        let mut decoder = Decoder::new(max_frame);
        let received = bytes.len();
        decoder.extend(&bytes);
        match decoder.next_frame()? {
            Some(frame) if !decoder.is_partial() => Ok(frame),
            Some(frame) => Err(ProtocolError::TrailingBytes {
                kind: frame.header.kind,
                bytes: received - LENGTH_LEN - frame.header.length as usize,
            }),
            None => Err(ProtocolError::UnexpectedEof { received }),
        }
    }

    /// Appends the frame to `output` as the wire writes it. The length and the flags for deadline
    /// and metadata are worked out from what the frame has; the other flags are the header's.
    pub fn encode(&self, output: &mut Vec<u8>) {
        self.outgoing().write(output);
    }

    /// How many bytes the whole frame has on the wire.
    pub(crate) fn wire_len(&self) -> usize {
        total_len(self.header.length)
    }

    /// What a `Credit` says: how many more bytes of a stream may be sent.
    pub(crate) fn credit(&self) -> Result<u32, ProtocolError> {
        let bytes = self.body[..].try_into().map(u32::from_be_bytes);
        bytes.map_err(|_| ProtocolError::MalformedBody {
            kind: self.header.kind,
            message: format!("{} bytes, where 4 belong", self.body.len()),
        })
    }

    fn outgoing(&self) -> Outgoing<'_> {
        Outgoing {
            kind: self.header.kind,
            flags: self.header.flags.without(Flags::DEADLINE | Flags::METADATA),
            index: self.header.index,
            call: self.header.call,
            deadline: self.deadline,
            metadata: &self.metadata,
            body: &self.body,
        }
    }

    /// Takes apart what follows a header that was found good.
    #[inline]
    fn after_header(header: Header, mut rest: Bytes) -> Result<Self, ProtocolError> {
        let kind = header.kind;
        let mut deadline = None;
        if header.flags.contains(Flags::DEADLINE) {
            let truncated = ProtocolError::TruncatedDeadline { kind };
            deadline = Some(rest.try_get_u64().map_err(|_| truncated)?);
        }
        let mut metadata = Metadata::new();
        if header.flags.contains(Flags::METADATA) {
            let (pairs, length) = Metadata::decode(&rest)?;
            metadata = pairs;
            rest.advance(length);
        }
        if kind.is_bare() && !rest.is_empty() {
            let bytes = rest.len();
            return Err(ProtocolError::TrailingBytes { kind, bytes });
        }
        if kind == Kind::Error {
            check_status(header.index, header.call)?;
        }
        Ok(Self {
            header,
            deadline,
            metadata,
            body: rest,
        })
    }
}

/// How many bytes a frame takes whose header states this length.
fn total_len(length: u32) -> usize {
    LENGTH_LEN + length as usize
}
