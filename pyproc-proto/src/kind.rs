//! What frames there are, and what each of them may carry.

use std::fmt;

use crate::Flags;

/// What a frame is.
///
/// The numbers have their high bit set, so that no binary frame can be mistaken for JSON text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum Kind {
    /// The host's first frame: what it is and what it wants.
    Hello = 0x81,
    /// The worker's first frame: what it is and which functions it has.
    Welcome = 0x82,
    /// A call of a function.
    Request = 0x83,
    /// The value that a call ended with.
    Reply = 0x84,
    /// The error that a call, or the handshake, ended with.
    Error = 0x85,
    /// One item of a stream.
    StreamItem = 0x86,
    /// The end of a stream, after all its items.
    StreamEnd = 0x87,
    /// Leave to send more items of a stream: so many bytes of frames, a `u32`.
    Credit = 0x88,
    /// The host no longer wants the answer to a call.
    Cancel = 0x89,
    /// A question whether the other side still answers; the body is opaque.
    Ping = 0x8A,
    /// The answer to a ping, with the same body.
    Pong = 0x8B,
    /// A record of the worker's logging.
    Log = 0x8C,
    /// From the host: finish what you have and take no more. From the worker: send no more.
    Drain = 0x8D,
    /// This side closes the connection in good order.
    Goodbye = 0x8E,
}

/// Whether frames of a kind carry a call id.
pub(crate) enum NamesCall {
    Always,
    Never,
    Maybe,
}

impl Kind {
    /// Every kind, in the order of their numbers.
    pub const ALL: [Self; 14] = [
        Self::Hello,
        Self::Welcome,
        Self::Request,
        Self::Reply,
        Self::Error,
        Self::StreamItem,
        Self::StreamEnd,
        Self::Credit,
        Self::Cancel,
        Self::Ping,
        Self::Pong,
        Self::Log,
        Self::Drain,
        Self::Goodbye,
    ];

    /// The kind with this number, if there is one.
    pub fn from_wire(number: u8) -> Option<Self> {
        let position = usize::from(number.checked_sub(Self::Hello as u8)?);
        Self::ALL.get(position).copied()
    }

    pub(crate) fn allowed_flags(self) -> Flags {
        match self {
            Self::Request => {
                Flags::DEADLINE
                    | Flags::METADATA
                    | Flags::ONE_WAY
                    | Flags::WANTS_STREAM
                    | Flags::SHARED_MEMORY
                    | Flags::ITEMS_FOLLOW
            }
            Self::Reply => Flags::METADATA | Flags::SHARED_MEMORY | Flags::ERROR_VALUE,
            Self::StreamItem => Flags::SHARED_MEMORY | Flags::ERROR_VALUE,
            Self::Error | Self::StreamEnd => Flags::METADATA,
            _ => Flags::NONE,
        }
    }

    /// In the frames of a stream that is an argument it is the place of the parameter.
    pub(crate) fn allows_index(self) -> bool {
        matches!(
            self,
            Self::Request | Self::Error | Self::StreamItem | Self::StreamEnd | Self::Credit
        )
    }

    pub(crate) fn names_call(self) -> NamesCall {
        match self {
            Self::Hello | Self::Welcome => NamesCall::Never,
            Self::Ping | Self::Pong | Self::Drain | Self::Goodbye => NamesCall::Never,
            Self::Error | Self::Log => NamesCall::Maybe,
            _ => NamesCall::Always,
        }
    }

    /// Whether a frame of this kind has no body.
    pub(crate) fn is_bare(self) -> bool {
        matches!(
            self,
            Self::StreamEnd | Self::Cancel | Self::Drain | Self::Goodbye
        )
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, formatter)
    }
}
