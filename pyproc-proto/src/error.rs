//! What condemns a connection.

use std::time::Duration;

use crate::{Kind, Status};

/// The other side broke the grammar, or stopped in the middle of it.
///
/// There is no way back from any of these: where frames begin is no longer known, so the
/// connection is condemned, and the worker behind it with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// A frame states a length that cannot even hold what every frame has.
    #[error("a frame states a length of {length} bytes; at least {minimum} belong to it")]
    LengthTooShort {
        /// The length that the frame states, in bytes.
        length: u32,
        /// The shortest possible length, in bytes.
        minimum: u32,
    },
    /// A frame states a length over `max_frame`. Nothing was allocated for it.
    #[error("a frame states a length of {length} bytes; the limit is {limit}")]
    LengthOverLimit {
        /// The length that the frame states, in bytes.
        length: u32,
        /// The limit, `max_frame`, in bytes.
        limit: usize,
    },
    /// A frame is of no known kind: most likely something else was written to the socket.
    #[error("a frame is of the unknown kind {kind:#04x}")]
    UnknownKind {
        /// The kind's number.
        kind: u8,
    },
    /// A frame has a flag that no version of the protocol knows.
    #[error("a frame of kind {kind} has unknown flags: {flags:#04x}")]
    UnknownFlags {
        /// The frame's kind.
        kind: Kind,
        /// All its flags.
        flags: u8,
    },
    /// A frame has a flag that has no meaning for its kind.
    #[error("a frame of kind {kind} cannot have all of the flags {flags:#04x}")]
    FlagNotAllowed {
        /// The frame's kind.
        kind: Kind,
        /// All its flags.
        flags: u8,
    },
    /// A frame names a call where its kind has none, or none where its kind needs one.
    #[error("a frame of kind {kind} cannot have the call id {call}")]
    UnexpectedCallId {
        /// The frame's kind.
        kind: Kind,
        /// The id in its header.
        call: u64,
    },
    /// A frame has an index or status where its kind has none.
    #[error("a frame of kind {kind} has {index} where nothing belongs")]
    UnexpectedIndex {
        /// The frame's kind.
        kind: Kind,
        /// The number in the field.
        index: u16,
    },
    /// An error has a status that this version does not know.
    #[error("an error has the unknown status {status}")]
    UnknownStatus {
        /// The status's number.
        status: u16,
    },
    /// A call ended with a status of the handshake, or the other way round.
    #[error("the status {status} cannot answer call {call}")]
    StatusOutOfPlace {
        /// The status.
        status: Status,
        /// The call, or 0 for the handshake.
        call: u64,
    },
    /// A frame ends inside its deadline.
    #[error("a frame of kind {kind} has no room for its deadline")]
    TruncatedDeadline {
        /// The frame's kind.
        kind: Kind,
    },
    /// The lengths inside the metadata do not add up, or its text is not UTF-8.
    #[error("invalid metadata: {reason}")]
    InvalidMetadata {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A frame that consists of its header alone has more.
    #[error("a frame of kind {kind} has {bytes} bytes after its header; none belong there")]
    TrailingBytes {
        /// The frame's kind.
        kind: Kind,
        /// How many bytes too many.
        bytes: usize,
    },
    /// The JSON body of a frame of the connection itself cannot be understood.
    #[error("the body of a frame of kind {kind} is malformed: {message}")]
    MalformedBody {
        /// The frame's kind.
        kind: Kind,
        /// What is wrong with it, and where.
        message: String,
    },
    /// A message of the JSON protocol cannot be understood.
    #[error("a JSON message is malformed: {message}")]
    MalformedMessage {
        /// What is wrong with it, and where.
        message: String,
    },
    /// A frame of a kind, or with a flag, that both sides must first have agreed on.
    #[error("a frame of kind {kind} with the flags {flags:#04x} was not negotiated")]
    NotNegotiated {
        /// The frame's kind.
        kind: Kind,
        /// All its flags.
        flags: u8,
    },
    /// A frame that this side does not take, or not now.
    #[error("a frame of kind {kind} came {when}")]
    UnexpectedFrame {
        /// The frame's kind.
        kind: Kind,
        /// The moment, as in "before the handshake".
        when: &'static str,
    },
    /// An answer names a call that is not in flight: never made, or answered already.
    #[error("an answer names call {call}, which is not in flight")]
    UnknownCall {
        /// The id in the answer.
        call: u64,
    },
    /// A frame of a stream answers a call that is none, or a reply one that is.
    #[error("a frame of kind {kind} cannot answer call {call}")]
    WrongAnswer {
        /// The frame's kind.
        kind: Kind,
        /// The id in its header.
        call: u64,
    },
    /// An item of a stream came without leave: the one before it had used up the credit.
    #[error("an item of the stream of call {call} came without credit")]
    WithoutCredit {
        /// The id in the item.
        call: u64,
    },
    /// A frame is about the items of an argument, for a call that has no such argument.
    #[error("a frame of kind {kind} is about an argument of call {call}, which streams none")]
    NoItems {
        /// The frame's kind.
        kind: Kind,
        /// The id in its header.
        call: u64,
    },
    /// A request has an id that is not above all ids before it.
    #[error("a request has the call id {call} after the call id {last}")]
    CallOutOfOrder {
        /// The request's id.
        call: u64,
        /// The highest id before it.
        last: u64,
    },
    /// The other side speaks another version of the protocol.
    #[error("the other side speaks protocol version {theirs}, this one {ours}")]
    VersionMismatch {
        /// The version that this side speaks.
        ours: u32,
        /// The version that the other side speaks.
        theirs: u32,
    },
    /// The worker answered with another codec than the host asked for.
    #[error("the codec {asked:?} was asked for, the worker answered with {answered:?}")]
    CodecMismatch {
        /// The codec that the `Hello` named.
        asked: String,
        /// The codec that the `Welcome` named.
        answered: String,
    },
    /// The worker's table of functions has one name twice.
    #[error("the worker's table of functions has {name:?} twice")]
    DuplicateFunction {
        /// The name.
        name: String,
    },
    /// A function in the worker's table has two parameters that are streams.
    #[error("the function {name:?} has two parameters that are streams; one is possible")]
    TwoStreams {
        /// The function's name.
        name: String,
    },
    /// The worker's table has more functions than an index can tell apart.
    #[error("the worker's table has {count} functions; the limit is 65536")]
    TooManyFunctions {
        /// How many the table has.
        count: usize,
    },
    /// The worker did not answer the `Hello` in time.
    #[error("the handshake was not done within {timeout:?}")]
    HandshakeTimeout {
        /// How long it had.
        timeout: Duration,
    },
    /// A frame began to arrive and did not end in time.
    #[error("{received} bytes of a frame arrived and the rest did not within {timeout:?}")]
    ProgressTimeout {
        /// How much of the frame has arrived, in bytes.
        received: usize,
        /// How long the whole frame had.
        timeout: Duration,
    },
    /// The other side closed in the middle of a frame.
    #[error("the connection ended after {received} bytes of a frame")]
    UnexpectedEof {
        /// How much of the frame had arrived, in bytes.
        received: usize,
    },
}
