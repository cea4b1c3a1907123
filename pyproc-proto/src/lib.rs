//! The wire between pyproc's host and its Python workers, without input or output.
//!
//! Nothing here opens a socket, reads a clock or starts a thread: bytes and the present moment
//! come in as arguments; frames, events and the next deadline come out. Both sides are built from
//! it, [`HostConnection`] for the host and [`WorkerConnection`] for a worker, and each of them
//! speaks both protocols: the binary one, and the JSON one that people can type by hand.
//!
//! Cargo features only ever add a codec:
//!
//! * `json` (default) adds nothing by itself: the handshake is JSON whatever the codec, so
//!   [`Json`] is always here. The feature exists so that a crate can name what it relies on.
//! * `msgpack` adds `MsgPack`, and makes it what [`DefaultCodec`] speaks.

// Words of the wire.
mod deadline;
mod flags;
mod header;
mod id;
mod kind;
mod metadata;
mod remote_error;
mod status;

pub use deadline::CallDeadline;
pub use flags::Flags;
pub use header::{HEADER_LEN, Header};
pub use id::{CallId, FunctionIndex};
pub use kind::Kind;
pub use metadata::{Metadata, MetadataTooLong};
pub use remote_error::RemoteError;
pub use status::Status;

// What they are put together to.
mod frame;
mod handshake;
mod json_protocol;
mod log_record;

pub use frame::{Decoder, Frame};
pub use handshake::{
    ArgumentStyle, DeadlineClock, FunctionInfo, Hello, PROTOCOL_VERSION, Package, ParameterInfo,
    Welcome,
};
pub use log_record::LogRecord;

// What host and worker tell each other without a frame.
pub mod state_page;

// How a body is encoded.
mod codec;

#[cfg(feature = "msgpack")]
pub use codec::MsgPack;
pub use codec::{Codec, CodecError, DefaultCodec, Json};

// The frames between the host and one worker, with the calls in flight.
mod connection;
mod error;

pub use connection::{
    AnswerError, Body, DEFAULT_MAX_FRAME, FunctionRef, HostConnection, HostEvent, InFlight,
    ItemError, Limits, Mode, Protocol, Rejected, ReplyBody, ReplyError, Request, RequestError,
    WorkerConnection, WorkerEvent,
};
pub use error::ProtocolError;
