//! The frames between the host and one worker, with the calls in flight on them.
//!
//! Both ends are state machines of four families of methods: input, events, commands, output.
//! [`HostConnection`] says in which order a driver goes through them.

mod credit;
mod host;
mod in_flight;
mod limits;
mod output;
mod progress;
mod worker;

pub use host::{Body, HostConnection, HostEvent, ItemError, Mode, Rejected, Request, RequestError};
pub use in_flight::InFlight;
pub use limits::{DEFAULT_MAX_FRAME, Limits};
pub use worker::{AnswerError, FunctionRef, ReplyBody, ReplyError, WorkerConnection, WorkerEvent};

/// What is spoken over a lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Frames with a binary header; the default between our host and our worker.
    #[default]
    Binary,
    /// One JSON object per message, for people and other programs. It has no handshake, no
    /// deadlines, no metadata, no cancelling and no pings.
    Json,
}
