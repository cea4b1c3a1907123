//! A call that is answered by a stream.

use std::borrow::Cow;
use std::fmt;
use std::hash::Hash;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::{FusedStream, Stream};
use pyproc_proto::{Codec, HEADER_LEN};
use serde::de::DeserializeOwned;

use super::argument::Argument;
use super::caller::{Caller, Step};
use super::{CallOptions, decode};
use crate::error::Result;
use crate::ledger::Items;
use crate::pool::{Pool, Priority, Retry, hash_key};

/// What a Python generator yields: a stream that does nothing until it is polled.
///
/// The function begins when the stream is first polled and its turn has come. Its items arrive as it yields them, and
/// wait here for their reader; when they are [`stream_window`](crate::PoolBuilder::stream_window) bytes, the generator
/// pauses until some were read. Between two items the worker runs other calls, so whoever reads a stream may call the
/// same worker for each item.
///
/// # How it ends
///
/// After the last item comes `None`. An exception of the function, the death of its worker or a passed deadline is an
/// `Err` after the items that came before it, and `None` follows. A stream that has yielded is never begun anew; one
/// that has not moves to another worker as a [`Call`](super::Call) does.
///
/// # Deadline
///
/// None, unless [`deadline`](Self::deadline) sets one: a stream takes as long as its reader does. For a limit on the
/// time between items, put one around `next()`, and drop the stream when it is over.
///
/// # Cancel safety
///
/// Waiting for an item is cancel safe: an item that has arrived is there for the next poll. Dropping the stream closes
/// the generator, where `GeneratorExit` reaches its `finally`: at once if it is between two items, otherwise when it
/// next yields. One that does not yield within 20 ms is interrupted, as a [`Call`](super::Call) is.
#[must_use = "a stream does nothing until it is polled"]
pub struct ItemStream<'a, C: Codec, A, T> {
    caller: Caller<'a, C, A>,
    /// Those that have arrived.
    items: Items,
    /// How many bytes of frames were read since the worker was told so last.
    read: u32,
    /// After so many it is told again.
    grant_from: u32,
    item: PhantomData<fn() -> T>,
}

impl<'a, C: Codec, A, T> ItemStream<'a, C, A, T> {
    pub(crate) fn new(
        pool: Cow<'a, Pool<C>>,
        function: Cow<'a, str>,
        argument: A,
        options: CallOptions,
    ) -> Self {
        let window = pool.shared().stream_window();
        Self {
            caller: Caller::new(pool, function, argument, options, Some(window)),
            items: Items::default(),
            read: 0,
            grant_from: window.div_ceil(2),
            item: PhantomData,
        }
    }

    /// The time that the whole stream may take, from its first poll to its end.
    pub fn deadline(mut self, time: Duration) -> Self {
        self.caller.options.deadline = Some(time);
        self
    }

    /// Says that the function may run more than once for this stream, as long as it has not yielded: see
    /// [`Call::idempotent`](super::Call::idempotent).
    pub fn idempotent(mut self) -> Self {
        self.caller.options.idempotent = true;
        self
    }

    /// Sends a pair of texts beside the argument: see [`Call::metadata`](super::Call::metadata).
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.caller.options.push_metadata(key.into(), value.into());
        self
    }

    /// When its turn comes among those that wait: see [`Priority`].
    pub fn priority(mut self, priority: Priority) -> Self {
        self.caller.options.priority = priority;
        self
    }

    /// Sends this call to the worker that has had the earlier ones with the same key: see
    /// [`Call::key`](super::Call::key).
    pub fn key(mut self, key: impl Hash) -> Self {
        self.caller.options.key = Some(hash_key(&key));
        self
    }

    /// The same for a key that is hashed already, which only the macro has.
    #[doc(hidden)]
    pub fn hashed_key(mut self, key: u64) -> Self {
        self.caller.options.key = Some(key);
        self
    }

    /// How the stream is begun again when it is refused, or lost with its worker before it has yielded: see
    /// [`Call::retry`](super::Call::retry).
    pub fn retry(mut self, retry: impl Into<Retry>) -> Self {
        self.caller.options.set_retry(retry.into());
        self
    }
}

impl<C: Codec, A: Argument, T: DeserializeOwned> ItemStream<'_, C, A, T> {
    /// The next item; `None` after the last one, and after an error.
    pub async fn next(&mut self) -> Option<Result<T>> {
        std::future::poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }

    fn poll_item(&mut self, context: &Context<'_>) -> Poll<Option<Result<T>>> {
        loop {
            if let Some(item) = self.items.next() {
                // No frame is longer than a u32 tells.
                self.read = self.read.saturating_add((HEADER_LEN + item.len()) as u32);
                let item = decode(&self.caller.pool, &self.caller.function, item);
                if self.read >= self.grant_from {
                    self.caller.grant(std::mem::take(&mut self.read));
                }
                return Poll::Ready(Some(match item {
                    Ok(item) => Ok(item),
                    Err(error) => self.caller.end(Err(error)),
                }));
            }
            match ready!(self.caller.poll_items(context, &mut self.items)) {
                Ok(Step::Items) => {}
                Ok(Step::End) => {
                    return Poll::Ready(self.caller.end(Ok(())).err().map(Err));
                }
                Err(error) => return Poll::Ready(Some(self.caller.end(Err(error)))),
            }
        }
    }
}

impl<C: Codec, A: Argument, T: DeserializeOwned> Stream for ItemStream<'_, C, A, T> {
    type Item = Result<T>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.caller.has_ended() {
            return Poll::Ready(None);
        }
        let coop = ready!(tokio::task::coop::poll_proceed(context));
        let item = ready!(self.poll_item(context));
        coop.made_progress();
        Poll::Ready(item)
    }
}

impl<C: Codec, A: Argument, T: DeserializeOwned> FusedStream for ItemStream<'_, C, A, T> {
    fn is_terminated(&self) -> bool {
        self.caller.has_ended()
    }
}

// Nothing in a stream is pinned: the argument is only borrowed within a poll.
impl<C: Codec, A, T> Unpin for ItemStream<'_, C, A, T> {}

impl<C: Codec, A, T> fmt::Debug for ItemStream<'_, C, A, T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.caller.fmt_as("ItemStream", formatter)
    }
}
