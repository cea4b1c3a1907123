//! What the host wants called, and why that could not be.

use std::ops::Deref;

use bytes::Bytes;

use crate::{CallDeadline, Metadata};

/// A call to make. The body is encoded already.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The function's name.
    pub function: &'a str,
    /// The arguments, as the pool's codec encodes them; JSON text under the JSON protocol, where
    /// an empty body means no arguments.
    pub body: Body<'a>,
    /// When the call must have ended, if ever. Under the JSON protocol the worker does not learn
    /// of it; the connection's timers are the same.
    pub deadline: Option<CallDeadline>,
    /// What accompanies the body. The JSON protocol has no place for it and leaves it out.
    pub metadata: &'a Metadata,
    /// For a function that yields a stream, how many bytes of items the worker may send before it
    /// is [granted](crate::HostConnection::grant) more; for any other function `None`.
    pub credit: Option<u32>,
    /// Whether the items of an argument follow: for a function with a parameter that is a stream.
    pub has_items: bool,
}

/// An encoded body, and whether the connection may keep a share of it.
#[derive(Clone, Copy, Debug)]
pub enum Body<'a> {
    /// It is copied.
    Borrowed(&'a [u8]),
    /// It is sent from where it lies if it is large; a small one is copied.
    Shared(&'a Bytes),
}

impl Deref for Body<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Borrowed(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

impl<'a> From<&'a [u8]> for Body<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Borrowed(bytes)
    }
}

/// A call that was not made: nothing was written, and the connection goes on as before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected<T> {
    /// What the host wanted to attach to the call.
    pub token: T,
    /// Why it was not made.
    pub reason: RequestError,
}

/// Why a call was not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The handshake is not done yet.
    #[error("the handshake is not done yet")]
    NotReady,
    /// The connection has ended, or was condemned.
    #[error("the connection is closed")]
    Closed,
    /// One side said that no more calls are to be made.
    #[error("the connection is draining")]
    Draining,
    /// The worker's table has no function of this name.
    #[error("the worker has no function {name:?}")]
    FunctionNotFound {
        /// The name.
        name: String,
    },
    /// The function yields a stream, and a value was asked for.
    #[error("the function {name:?} yields a stream, not one value")]
    IsStream {
        /// The function's name.
        name: String,
    },
    /// The function returns a value, and a stream was asked for.
    #[error("the function {name:?} returns one value, not a stream")]
    IsNoStream {
        /// The function's name.
        name: String,
    },
    /// The function has a parameter that is a stream, and no items were to follow.
    #[error("the function {name:?} takes a stream, and none was given")]
    TakesItems {
        /// The function's name.
        name: String,
    },
    /// The function has no parameter that is a stream, and items were to follow.
    #[error("the function {name:?} does not take a stream")]
    TakesNoItems {
        /// The function's name.
        name: String,
    },
    /// A stream was asked for or was to follow, and the JSON protocol is spoken.
    #[error("the JSON protocol has no streams, so {name:?} can neither yield one nor take one")]
    NoStreams {
        /// The function's name.
        name: String,
    },
    /// The request would be longer than a frame may be.
    #[error("the request takes {bytes} bytes; the limit is {limit}")]
    TooLarge {
        /// The length that its frame would state, in bytes.
        bytes: usize,
        /// The limit, `max_frame`, in bytes.
        limit: usize,
    },
    /// The call's deadline has passed already.
    #[error("the deadline has passed")]
    DeadlinePassed,
    /// Under the JSON protocol: the body is not JSON.
    #[error("the body is not JSON: {message}")]
    InvalidBody {
        /// What is wrong with it, and where.
        message: String,
    },
}
