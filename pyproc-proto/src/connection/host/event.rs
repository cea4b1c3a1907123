//! What the worker did.

use bytes::Bytes;

use crate::{CallId, LogRecord, Metadata, RemoteError, Welcome};

/// What happened on a [`HostConnection`](super::HostConnection).
///
/// `Reply`, `Failed` and `StreamEnd` end a call, and each call in flight gets at most one of them.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum HostEvent<T> {
    /// The worker is ready; calls can be made.
    Ready(Box<Welcome>),
    /// The worker refused the handshake; the connection is closed.
    Refused(Box<RemoteError>),
    /// A call ended with a value.
    Reply {
        /// The call.
        call: CallId,
        /// What the host attached to it.
        token: T,
        /// What accompanies the value; `None` where nothing does, which costs nothing.
        metadata: Option<Box<Metadata>>,
        /// The encoded value: a view into the input, not a copy.
        body: Bytes,
    },
    /// A call ended with the worker's error.
    Failed {
        /// The call.
        call: CallId,
        /// What the host attached to it.
        token: T,
        /// The worker's error.
        error: Box<RemoteError>,
    },
    /// A stream has yielded an item. Its call goes on; unless its end was read as well, so that its
    /// token is in one of the events that follow.
    Item {
        /// The call.
        call: CallId,
        /// The encoded item: a view into the input, not a copy.
        body: Bytes,
    },
    /// A stream ended in good order, after all its items.
    StreamEnd {
        /// The call.
        call: CallId,
        /// What the host attached to it.
        token: T,
    },
    /// More items of an argument may be sent. Only for calls whose items have not ended.
    Credit {
        /// The call.
        call: CallId,
    },
    /// A call's deadline has passed, cancelled or not. It is still in flight: the worker may be
    /// busy with it.
    Expired {
        /// The call.
        call: CallId,
    },
    /// A call is still unanswered some time after it became [unwanted], and after all calls that
    /// were requested before it were answered: the worker seems to be stuck in it. Once per call.
    ///
    /// [unwanted]: super::HostConnection::unwanted_since
    Overdue {
        /// The call.
        call: CallId,
    },
    /// A record of the worker's logging.
    Log(LogRecord),
    /// The worker answered a ping.
    Pong,
    /// The worker takes no more calls; those in flight will still be answered, perhaps with
    /// [`Status::Draining`](crate::Status::Draining).
    Draining,
    /// The worker closed the connection in good order; nothing more will come.
    Goodbye,
}
