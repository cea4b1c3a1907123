//! A call for whose end nobody waits.

use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use pyproc_proto::{Codec, FunctionInfo, HEADER_LEN, Metadata, Protocol, RequestError};
use serde::Serialize;

use super::answer::{tripped, unsendable};
use super::caller::ended_already;
use super::errand::Errand;
use super::{CallOptions, encode};
use crate::error::{Error, ErrorKind, Result};
use crate::pool::{Letter, Pool, Priority, Trial, hash_key};

/// A one-way call: a future that ends when the call was accepted, which is at once.
///
/// Accepted means that it was sent to a worker, or has a place in the waiting line. From then on it is the pool's: it ends
/// exactly once, and nobody is told how. What its function returns is thrown away, an error is counted in
/// [`Counts::failed`](crate::Counts::failed) and logged as a warning with the target `pyproc::pool`. It has a deadline and
/// is interrupted like any other call, keeps its place in the limits of the pool until it has ended, and
/// [`Pool::shutdown`] waits for it. It moves to another worker if it certainly had not begun, and never after it may have
/// run, unless it is [idempotent](Self::idempotent). No [`Retry`](crate::Retry) policy holds for it: when it is refused, it
/// says so at once.
///
/// # Errors
///
/// What refuses a call at once: [`ErrorKind::Overloaded`], [`ErrorKind::Closed`], [`ErrorKind::Unavailable`],
/// [`ErrorKind::FunctionNotFound`], an argument that cannot be encoded or is too long, a function that yields a stream or
/// takes one.
///
/// # Cancel safety
///
/// It never waits, so there is nothing to cancel: dropped before it was polled it has not happened, and afterwards it is
/// not the future's any more.
#[must_use = "a call does nothing until it is awaited"]
pub struct OneWay<'a, C: Codec, A> {
    pool: &'a Pool<C>,
    function: &'a str,
    argument: A,
    options: CallOptions,
    has_ended: bool,
}

impl<'a, C: Codec, A> OneWay<'a, C, A> {
    pub(crate) fn new(
        pool: &'a Pool<C>,
        function: &'a str,
        argument: A,
        options: CallOptions,
    ) -> Self {
        Self {
            pool,
            function,
            argument,
            options,
            has_ended: false,
        }
    }

    /// The time that the call may take, waiting and running together, in place of the pool's
    /// [`deadline`](crate::PoolBuilder::deadline).
    pub fn deadline(mut self, time: Duration) -> Self {
        self.options.deadline = Some(time);
        self
    }

    /// Says that the function may run more than once for this call: see [`Call::idempotent`](super::Call::idempotent).
    pub fn idempotent(mut self) -> Self {
        self.options.idempotent = true;
        self
    }

    /// Sends a pair of texts beside the argument: see [`Call::metadata`](super::Call::metadata).
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.options.push_metadata(key.into(), value.into());
        self
    }

    /// When its turn comes among those that wait: see [`Priority`].
    pub fn priority(mut self, priority: Priority) -> Self {
        self.options.priority = priority;
        self
    }

    /// Sends this call to the worker that has had the earlier ones with the same key: see
    /// [`Call::key`](super::Call::key).
    pub fn key(mut self, key: impl Hash) -> Self {
        self.options.key = Some(hash_key(&key));
        self
    }

    /// The same for a key that is hashed already, which only the macro has.
    #[doc(hidden)]
    pub fn hashed_key(mut self, key: u64) -> Self {
        self.options.key = Some(key);
        self
    }
}

/// What a frame begins with, and does not count in its length.
const LENGTH_LEN: usize = size_of::<u32>();

const DEADLINE_LEN: usize = size_of::<u64>();

impl<C: Codec, A: Serialize> OneWay<'_, C, A> {
    fn send(&self) -> Result<()> {
        let (shared, mut trial) = (self.pool.shared(), Trial::default());
        match self.prepare(&mut trial) {
            Ok(letter) => Errand::new(shared, letter, self.options.idempotent, trial).begin(shared),
            Err(error) => {
                shared.counters().count_end(Some(&error));
                shared.note_end(trial, self.function, Some(&error));
                Err(error)
            }
        }
    }

    /// Finds out what nobody would be there to hear of later.
    fn prepare(&self, trial: &mut Trial) -> Result<Letter> {
        let (shared, function) = (self.pool.shared(), self.function);
        let one_sided = |info: &FunctionInfo| {
            if info.is_stream {
                Some("the function yields a stream, and nobody would read it")
            } else if info.parameters.iter().any(|each| each.is_stream) {
                Some("the function takes a stream, and nobody would be there to send it")
            } else {
                None
            }
        };
        if let Some(message) = shared.with_function(function, one_sided)?.flatten() {
            return Err(Error::new(ErrorKind::InvalidArgument, message).with_function(function));
        }
        *trial = shared
            .admit(function)
            .map_err(|which| tripped(which, function, shared))?;
        let body = encode(self.pool.codec(), function, &self.argument)?;
        let metadata = self.options.metadata();
        let metadata = metadata.map_err(|error| error.with_function(function))?;
        self.check_length(&body.body(), metadata)?;
        let time = self.options.deadline;
        Ok(Letter {
            function: function.into(),
            body: body.to_bytes(),
            deadline: time.and_then(|time| Instant::now().checked_add(time)),
            priority: self.options.priority,
            key: self.options.key,
            clock: shared.deadline_clock(),
            metadata: metadata.clone(),
            credit: None,
            has_items: false,
        })
    }

    /// What the connection would find, which a call that waits has not been to yet.
    fn check_length(&self, body: &[u8], metadata: &Metadata) -> Result<()> {
        let config = self.pool.shared().config();
        let beside = match config.protocol {
            Protocol::Binary => {
                let metadata = match metadata.is_empty() {
                    true => 0,
                    false => metadata.wire_len(),
                };
                let deadline = self.options.deadline.map_or(0, |_| DEADLINE_LEN);
                HEADER_LEN - LENGTH_LEN + deadline + metadata
            }
            // What it has beside the body is for the connection to know.
            Protocol::Json => 0,
        };
        let (bytes, limit) = (beside + body.len(), config.limits.max_frame);
        if bytes > limit {
            let reason = RequestError::TooLarge { bytes, limit };
            return Err(unsendable(reason, self.function, self.pool.shared()));
        }
        Ok(())
    }
}

impl<C: Codec, A: Serialize> Future for OneWay<'_, C, A> {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        ready!(tokio::task::coop::poll_proceed(context)).made_progress();
        if std::mem::replace(&mut self.has_ended, true) {
            return Poll::Ready(Err(ended_already()));
        }
        Poll::Ready(self.send())
    }
}

// Nothing in it is pinned: the argument is only borrowed within a poll.
impl<C: Codec, A> Unpin for OneWay<'_, C, A> {}

impl<C: Codec, A> fmt::Debug for OneWay<'_, C, A> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("OneWay")
            .field("function", &self.function)
            .finish_non_exhaustive()
    }
}
