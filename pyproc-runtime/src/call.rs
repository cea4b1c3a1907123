//! A call, from the first poll to its one end.

mod answer;
mod argument;
mod broadcast;
mod caller;
mod errand;
mod feed;
mod many;
mod one_way;
mod options;
mod response;
mod scratch;
mod stream;

#[cfg(feature = "tower")]
pub(crate) use answer::refusal;
pub use argument::{Argument, with_items, with_try_items};
pub use broadcast::Broadcast;
pub use many::CallMany;
pub use one_way::OneWay;
pub(crate) use options::CallOptions;
pub use response::{CallWithMetadata, Response};
pub use stream::ItemStream;

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pyproc_proto::Codec;
use serde::de::DeserializeOwned;

use crate::error::{Error, ErrorKind, Fate, Result};
use crate::ledger::Reply;
use crate::pool::{Pool, Priority, Retry, hash_key};
use caller::Caller;
use scratch::Scratch;

/// A call of a Python function: a future that does nothing until it is polled.
///
/// It encodes its argument, waits for its turn, sends the request, waits for the reply, and decodes it into an `R`, on
/// any executor. It ends exactly once. The argument is kept to the end: should the worker be lost, it is encoded again
/// for another one.
///
/// # Deadline
///
/// A call that waits, in the pool or in its worker, ends exactly at its deadline. One whose function runs by then is
/// interrupted (see [`interrupt_after`](crate::PoolBuilder::interrupt_after)), and ends with what comes of that: the
/// exception with its traceback, the stacks of a function that could not be interrupted, or even a value, and half a
/// second after the deadline in any case. Where nothing is known of what the worker does (it listens by itself, was
/// started by somebody else, or this is not Linux), such a call ends at its deadline, too.
///
/// # Cancel safety
///
/// Dropping the future cancels the call. One that waits for its turn is never sent; one that the worker has queued is
/// skipped there; a function that already runs is interrupted (see
/// [`interrupt_after`](crate::PoolBuilder::interrupt_after)). It keeps its place until it has ended, so that no other call
/// gets a worker that is not free; one that does not end costs its worker,
/// [`overdue_after`](crate::PoolBuilder::overdue_after) later. Where nothing is known of what the worker does, and where
/// the pool does not interrupt, a function that runs goes on to its end or its deadline.
#[must_use = "a call does nothing until it is awaited"]
pub struct Call<'a, C: Codec, A, R> {
    caller: Caller<'a, C, A>,
    result: PhantomData<fn() -> R>,
}

impl<'a, C: Codec, A, R> Call<'a, C, A, R> {
    pub(crate) fn new(
        pool: Cow<'a, Pool<C>>,
        function: Cow<'a, str>,
        argument: A,
        options: CallOptions,
    ) -> Self {
        Self {
            caller: Caller::new(pool, function, argument, options, None),
            result: PhantomData,
        }
    }

    /// The time that this call may take, from its first poll on, waiting and running together. It replaces the pool's
    /// [`deadline`](crate::PoolBuilder::deadline).
    pub fn deadline(mut self, time: Duration) -> Self {
        self.caller.options.deadline = Some(time);
        self
    }

    /// Says that the function may run more than once for this call. When its worker dies, the call is sent again to
    /// another one, unless it has taken as many workers with it as the pool's
    /// [`poison_limit`](crate::PoolBuilder::poison_limit) says.
    pub fn idempotent(mut self) -> Self {
        self.caller.options.idempotent = true;
        self
    }

    /// Sends a pair of texts beside the argument, which Python finds in `Context.metadata`: the identity of a trace, say,
    /// as `traceparent`. May be called more than once. All pairs of a call have 65,535 bytes, of which each takes 4 for
    /// itself; a call with more ends as [`TooLarge`](ErrorKind::TooLarge) before anything is sent. The JSON protocol has no
    /// place for them, and leaves them out.
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.caller.options.push_metadata(key.into(), value.into());
        self
    }

    /// When its turn comes among those that wait: see [`Priority`], which says how long others may be passed over. Default
    /// [`Priority::Normal`].
    pub fn priority(mut self, priority: Priority) -> Self {
        self.caller.options.priority = priority;
        self
    }

    /// Sends this call to the worker that has had the earlier ones with the same key, which may have kept something for it:
    /// a session, a cache, a conversation. It is no promise. A worker that has a quarter more calls than the average, or as
    /// many as it may, passes the call on to another one, always the same one too; and so does one that is dead, until its
    /// successor is ready, which has kept nothing. See [`Route::by_key`](crate::Route::by_key).
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

    /// How the call is tried again when it is refused, or lost with its worker, in place of the pool's
    /// [`retry`](crate::PoolBuilder::retry): a [`Retry`] policy, or a number of tries.
    pub fn retry(mut self, retry: impl Into<Retry>) -> Self {
        self.caller.options.set_retry(retry.into());
        self
    }

    /// Asks for what the function sends back beside its result, with `Context.set_metadata`, as well:
    ///
    /// ```no_run
    /// # async fn example(pool: pyproc_runtime::Pool) -> pyproc_runtime::Result<()> {
    /// let call = pool.call::<_, f64>("area", &[3.0, 4.0]).metadata("traceparent", "00-4bf9-00f0-01");
    /// let response = call.with_metadata().await?;
    /// println!("{} by {:?}", response.value, response.metadata.get("model-version"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// It comes with values only: an error has none.
    pub fn with_metadata(self) -> CallWithMetadata<'a, C, A, R> {
        CallWithMetadata(self)
    }
}

impl<C: Codec, A: Argument, R: DeserializeOwned> Call<'_, C, A, R> {
    /// Waits for the value, and makes of it, and of the reply that it came in, what is asked for.
    fn poll_with<T>(
        &mut self,
        context: &mut Context<'_>,
        make: impl FnOnce(R, Reply) -> T,
    ) -> Poll<Result<T>> {
        let coop = ready!(tokio::task::coop::poll_proceed(context));
        let reply = ready!(self.caller.poll_value(context));
        coop.made_progress();
        let caller = &mut self.caller;
        let result = reply.and_then(|reply| {
            let value = decode(&caller.pool, &caller.function, reply.as_ref())?;
            Ok(make(value, reply))
        });
        Poll::Ready(caller.end(result))
    }
}

impl<C: Codec, A: Argument, R: DeserializeOwned> Future for Call<'_, C, A, R> {
    type Output = Result<R>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_with(context, |value, _| value)
    }
}

/// Encodes what a function is called with.
fn encode<C: Codec>(codec: &C, function: &str, argument: &impl Argument) -> Result<Scratch> {
    Scratch::encode(|body| argument.encode(codec, body)).map_err(|error| {
        Error::new(ErrorKind::Codec, "the argument cannot be encoded")
            .with_function(function)
            .with_source(error)
    })
}

/// Decodes what a function has returned or yielded.
fn decode<C: Codec, T: DeserializeOwned>(pool: &Pool<C>, function: &str, body: &[u8]) -> Result<T> {
    pool.codec().decode(body).map_err(|error| {
        Error::new(ErrorKind::Codec, "the result is not of the type asked for")
            .with_source(error)
            .with_fate(Fate::Failed)
            .with_function(function)
    })
}

// Nothing in a call is pinned: the argument is only borrowed within a poll.
impl<C: Codec, A, R> Unpin for Call<'_, C, A, R> {}

impl<C: Codec, A, R> fmt::Debug for Call<'_, C, A, R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.caller.fmt_as("Call", formatter)
    }
}
