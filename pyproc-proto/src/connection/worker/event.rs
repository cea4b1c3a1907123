//! What the host did.

use bytes::Bytes;

use crate::{CallId, FunctionIndex, Hello, Metadata, RemoteError};

/// What happened on a [`WorkerConnection`](super::WorkerConnection).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum WorkerEvent {
    /// The host introduced itself; answer with `welcome` or `refuse`.
    Hello(Box<Hello>),
    /// The host calls a function; answer once with `reply` or `error`. One that comes after a
    /// `Drain`, of either side, is to be refused as `draining`.
    Request {
        /// The call's id on this side. In the binary protocol it is the host's id as well.
        call: CallId,
        /// What to call.
        function: FunctionRef,
        /// The deadline, in the unit that the `Hello` named.
        deadline: Option<u64>,
        /// What accompanies the body.
        metadata: Metadata,
        /// Whether the function is to yield a stream: answer with `item`s and `end`, or `error`.
        /// Nothing of it is to run before there is [credit](WorkerEvent::Credit).
        wants_stream: bool,
        /// Whether the [items](WorkerEvent::Item) of an argument follow, as far as they are
        /// [granted](super::WorkerConnection::grant).
        items_follow: bool,
        /// The encoded arguments: a view into the input, not a copy. JSON text under the JSON
        /// protocol.
        body: Bytes,
    },
    /// Nobody waits for a call any more. It must be answered all the same. Only for calls that
    /// are still unanswered.
    Cancel {
        /// The call.
        call: CallId,
    },
    /// More of a stream may be sent. Only for streams that are still unanswered.
    Credit {
        /// The call.
        call: CallId,
    },
    /// An item of an argument. Only for calls that are still unanswered.
    Item {
        /// The call.
        call: CallId,
        /// The encoded item: a view into the input, not a copy.
        body: Bytes,
    },
    /// There are no more items of an argument. Only for calls that are still unanswered.
    ItemsEnd {
        /// The call.
        call: CallId,
    },
    /// The host asked whether the worker is there; it was answered already.
    Ping,
    /// The host wants what it has requested finished, and should request no more.
    Drain,
    /// The host closed the connection in good order.
    Goodbye,
    /// A request of the JSON protocol that cannot be understood. The connection goes on.
    Invalid {
        /// The call to answer with `error`; `None` where the request shows no id, and was
        /// answered already under the id 0.
        call: Option<CallId>,
        /// What is wrong with the request.
        error: RemoteError,
    },
}

/// How a request names a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FunctionRef {
    /// By its place in the table of the `Welcome`: the binary protocol.
    Index(FunctionIndex),
    /// By its name: the JSON protocol.
    Name(String),
}
