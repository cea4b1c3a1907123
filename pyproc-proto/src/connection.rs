//! The frames between the host and one worker, with the calls in flight on them.
//!
//! [`HostConnection`] and [`WorkerConnection`] are state machines without input or output. Both
//! have four families of methods, and a driver goes through them in this order on every turn:
//!
//! 1. **Input.** Read into `input_mut`, then `handle_input`; at the end of the stream,
//!    `handle_eof`; when `poll_timeout` has passed, `handle_timeout`. Input comes before timeouts,
//!    so that what had arrived in time is never taken for late.
//! 2. **Events.** `poll_event` until it returns `None`.
//! 3. **Commands**, such as `request` or `reply`, as often as there is something to say.
//! 4. **Output.** Write what `output` returns, say with `advance_output` how much of it went, and
//!    sleep until the lane is ready or `poll_timeout` passes.

mod host;
mod in_flight;
mod limits;
mod output;
mod progress;
mod worker;

pub use host::{HostConnection, HostEvent, Rejected, Request, RequestError};
pub use in_flight::InFlight;
pub use limits::{DEFAULT_MAX_FRAME, Limits};
pub use worker::{AnswerError, FunctionRef, WorkerConnection, WorkerEvent};

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
