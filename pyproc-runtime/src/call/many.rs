//! Many calls of one function, sent together.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::iter::Fuse;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use pyproc_proto::Codec;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::caller::Caller;
use super::{CallOptions, decode};
use crate::connection::Connection;
use crate::error::Result;
use crate::pool::{Pool, Priority};

/// Many calls of one Python function: a future of all their results, in the order of the inputs. It does nothing until
/// it is polled.
///
/// Each input is a call by itself, which has a result or an error of its own: it is routed, counted, moved to another
/// worker and sent again as a [`Call`](super::Call) is. They are sent together, so that a function that takes batches
/// (`@expose(batch=32)`) finds them together; where there are several workers, they are spread over them. As many as 512
/// are under way at once, and no more than the waiting line has room for
/// ([`max_waiting`](crate::PoolBuilder::max_waiting)); the others follow as those end.
///
/// # Cancel safety
///
/// Dropping the future cancels the calls that have not ended, and those that were not begun never will be. The results
/// that were there by then are lost.
#[must_use = "calls do nothing until they are awaited"]
pub struct CallMany<'a, C: Codec, I: Iterator, R> {
    pool: &'a Pool<C>,
    function: &'a str,
    inputs: Fuse<I>,
    options: CallOptions,
    /// When all must have ended; known from the first poll on.
    deadline: Option<Option<Instant>>,
    /// Those that have begun and not ended, with their places among the results.
    under_way: Vec<(usize, Caller<'a, C, I::Item>)>,
    results: Vec<Option<Result<R>>>,
    result: PhantomData<fn() -> R>,
}

/// As many are under way at once, at most. It is several times what a worker takes at once, and each of them costs a look
/// whenever some of them end.
const MAX_UNDER_WAY: usize = 512;

/// Connections with requests that wait for those that follow. They are sent when this is dropped, also where the user's
/// code has panicked.
#[derive(Default)]
struct Held(Vec<Arc<Connection>>);

impl<'a, C: Codec, I: Iterator, R> CallMany<'a, C, I, R> {
    pub(crate) fn new(
        pool: &'a Pool<C>,
        function: &'a str,
        inputs: I,
        options: CallOptions,
    ) -> Self {
        let room = inputs.size_hint().0;
        Self {
            pool,
            function,
            inputs: inputs.fuse(),
            options,
            deadline: None,
            under_way: Vec::with_capacity(room.min(MAX_UNDER_WAY)),
            results: Vec::with_capacity(room),
            result: PhantomData,
        }
    }

    /// The time that all calls together may take, from the first poll on; those that have not ended by then end as
    /// [`Deadline`](crate::ErrorKind::Deadline). It replaces the pool's [`deadline`](crate::PoolBuilder::deadline), which
    /// holds for all together, too.
    pub fn deadline(mut self, time: Duration) -> Self {
        self.options.deadline = Some(time);
        self
    }

    /// Says that the function may run more than once for each of these calls; see
    /// [`Call::idempotent`](super::Call::idempotent).
    pub fn idempotent(mut self) -> Self {
        self.options.idempotent = true;
        self
    }

    /// When their turn comes among the calls that wait; see [`Call::priority`](super::Call::priority).
    pub fn priority(mut self, priority: Priority) -> Self {
        self.options.priority = priority;
        self
    }
}

impl<C: Codec, I: Iterator, R: DeserializeOwned> CallMany<'_, C, I, R>
where
    I::Item: Serialize,
{
    /// Begins as many calls as may be under way.
    fn begin(&mut self, context: &Context<'_>) {
        let options = &self.options;
        let deadline = *self.deadline.get_or_insert_with(|| {
            let time = options.deadline?;
            Instant::now().checked_add(time)
        });
        let room = self.pool.shared().gate().line_room();
        let most = MAX_UNDER_WAY.min(room + 1);
        let mut held = Held::default();
        while self.under_way.len() < most {
            let Some(input) = self.inputs.next() else {
                break;
            };
            let options = self.options.clone();
            let (pool, function) = (Cow::Borrowed(self.pool), self.function.into());
            let mut caller = Caller::new(pool, function, input, options, None);
            caller.join_others(deadline);
            let place = self.results.len();
            self.results.push(None);
            self.results[place] = Self::poll_one(&mut caller, context);
            if self.results[place].is_none() {
                held.add(caller.connection());
                self.under_way.push((place, caller));
            }
        }
    }

    fn poll_one(caller: &mut Caller<'_, C, I::Item>, context: &Context<'_>) -> Option<Result<R>> {
        let Poll::Ready(reply) = caller.poll_value(context) else {
            return None;
        };
        let result = reply.and_then(|reply| decode(&caller.pool, &caller.function, reply.as_ref()));
        Some(caller.end(result))
    }
}

impl<C: Codec, I: Iterator, R: DeserializeOwned> Future for CallMany<'_, C, I, R>
where
    I::Item: Serialize,
{
    type Output = Vec<Result<R>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let coop = ready!(tokio::task::coop::poll_proceed(context));
        let this = &mut *self;
        let before = this.under_way.len();
        let results = &mut this.results;
        this.under_way.retain_mut(|(place, caller)| {
            results[*place] = Self::poll_one(caller, context);
            results[*place].is_none()
        });
        if this.deadline.is_none() || this.under_way.len() < before {
            coop.made_progress();
            this.begin(context);
        }
        if !this.under_way.is_empty() {
            return Poll::Pending;
        }
        // With none under way, all inputs have been taken.
        let results = std::mem::take(&mut this.results);
        Poll::Ready(results.into_iter().flatten().collect())
    }
}

impl Held {
    fn add(&mut self, connection: Option<&Arc<Connection>>) {
        let Some(connection) = connection else {
            return;
        };
        if !self.0.iter().any(|held| Arc::ptr_eq(held, connection)) {
            self.0.push(Arc::clone(connection));
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        for connection in &self.0 {
            connection.send_held();
        }
    }
}

// Nothing in it is pinned: inputs are only borrowed within a poll.
impl<C: Codec, I: Iterator, R> Unpin for CallMany<'_, C, I, R> {}

impl<C: Codec, I: Iterator, R> fmt::Debug for CallMany<'_, C, I, R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("CallMany")
            .field("function", &self.function)
            .field("under_way", &self.under_way.len())
            .finish_non_exhaustive()
    }
}
