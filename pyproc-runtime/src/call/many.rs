//! Many calls of one function, sent together.

use std::borrow::Cow;
use std::collections::VecDeque;
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
use crate::error::{Error, ErrorKind, Result};
use crate::pool::{Pool, Priority};

/// Many calls of one Python function: a future of all their results, in the order of the inputs. It does nothing until
/// it is polled.
///
/// Each input is a call by itself, which has a result or an error of its own: it is routed, counted, moved to another
/// worker and sent again as a [`Call`](super::Call) is. They are sent together, so that a function that takes batches
/// (`@expose(batch=32)`) finds them together; where there are several workers, they are spread over them. As many as 512
/// are under way at once, and no more than there is room for in the waiting line
/// ([`max_waiting`](crate::PoolBuilder::max_waiting)); the others follow as those end. Only where other callers fill the
/// line, and none of these is under way, is one refused as [`Overloaded`](crate::ErrorKind::Overloaded), and tried again if
/// the pool's [`retry`](crate::PoolBuilder::retry) says so.
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
    /// Those that found the line full, in their order.
    put_back: VecDeque<(usize, Caller<'a, C, I::Item>)>,
    /// Whether every input was taken.
    is_exhausted: bool,
    results: Vec<Option<Result<R>>>,
    result: PhantomData<fn() -> R>,
}

/// As many are under way at once, at most. It is several times what a worker takes at once, and each of them costs a look
/// whenever some of them end.
const MAX_UNDER_WAY: usize = 512;

/// What becomes of one of the calls when it is polled.
enum One<R> {
    IsUnderWay,
    HasEnded(Result<R>),
    /// It has not ended, and may begin again.
    FoundNoRoom(Error),
}

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
            put_back: VecDeque::new(),
            is_exhausted: false,
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

impl<'a, C: Codec, I: Iterator, R: DeserializeOwned> CallMany<'a, C, I, R>
where
    I::Item: Serialize,
{
    /// Begins as many calls as may be under way.
    fn begin(&mut self, context: &Context<'_>) {
        while self.begin_together(context) {}
    }

    /// Begins calls that are sent together, and says whether others may follow at once.
    fn begin_together(&mut self, context: &Context<'_>) -> bool {
        let free = self.pool.shared().gate().free_in_line();
        let most = free.max(1).min(MAX_UNDER_WAY - self.under_way.len());
        // First the user's code, which may take its time, or call the pool itself: nothing is held back meanwhile.
        let mut prepared = Vec::new();
        let mut are_others_left = false;
        for _ in 0..most {
            let Some((place, mut caller)) = self.next_caller() else {
                break;
            };
            are_others_left = true;
            match caller.prepare() {
                Ok(body) => prepared.push((place, caller, body)),
                Err(error) => self.rest_or_end(place, caller, error, context),
            }
        }
        let mut held = Held::default();
        let mut prepared = prepared.into_iter();
        while let Some((place, mut caller, body)) = prepared.next() {
            match caller.begin(&body) {
                Ok(()) => {
                    held.add(caller.connection());
                    self.follow(place, caller, context);
                }
                Err(error) if error.kind() == ErrorKind::Overloaded => {
                    for (place, caller, _) in prepared.rev() {
                        self.put_back.push_front((place, caller));
                    }
                    self.put_back(place, caller, error, context);
                    return false;
                }
                Err(error) => self.results[place] = Some(caller.end(Err(error))),
            }
        }
        are_others_left
    }

    /// Waits for the end of a call that has begun.
    fn follow(&mut self, place: usize, mut caller: Caller<'a, C, I::Item>, context: &Context<'_>) {
        match Self::poll_one(&mut caller, context) {
            One::IsUnderWay => self.under_way.push((place, caller)),
            One::HasEnded(result) => self.results[place] = Some(result),
            One::FoundNoRoom(error) => self.put_back(place, caller, error, context),
        }
    }

    /// A call has found the line full.
    fn put_back(
        &mut self,
        place: usize,
        caller: Caller<'a, C, I::Item>,
        error: Error,
        context: &Context<'_>,
    ) {
        if self.under_way.is_empty() {
            // Others fill the line. Where this one ends, the next one has its chance when they have had theirs.
            self.rest_or_end(place, caller, error, context);
        } else {
            // There is room when one of those has ended that are under way.
            self.put_back.push_front((place, caller));
        }
    }

    /// A call could not begin, and does so later if it may.
    fn rest_or_end(
        &mut self,
        place: usize,
        mut caller: Caller<'a, C, I::Item>,
        error: Error,
        context: &Context<'_>,
    ) {
        match caller.rest_after(error) {
            Ok(()) => self.under_way.push((place, caller)),
            Err(error) => self.results[place] = Some(caller.end(Err(error))),
        }
        // It is polled with the others next time.
        context.waker().wake_by_ref();
    }

    /// Polls those that are under way.
    fn poll_all(&mut self, context: &Context<'_>) {
        let (mut index, mut without_room) = (0, Vec::new());
        while let Some((place, caller)) = self.under_way.get_mut(index) {
            match Self::poll_one(caller, context) {
                One::IsUnderWay => index += 1,
                One::HasEnded(result) => {
                    self.results[*place] = Some(result);
                    self.under_way.swap_remove(index);
                }
                One::FoundNoRoom(error) => {
                    without_room.push((self.under_way.swap_remove(index), error));
                }
            }
        }
        for ((place, caller), error) in without_room {
            self.put_back(place, caller, error, context);
        }
    }

    /// The call of the next input, and its place.
    fn next_caller(&mut self) -> Option<(usize, Caller<'a, C, I::Item>)> {
        if let Some(found) = self.put_back.pop_front() {
            return Some(found);
        }
        let Some(input) = self.inputs.next() else {
            self.is_exhausted = true;
            return None;
        };
        let options = self.options.clone();
        let (pool, function) = (Cow::Borrowed(self.pool), self.function.into());
        let mut caller = Caller::new(pool, function, input, options, None);
        caller.join_others(self.deadline.flatten());
        self.results.push(None);
        Some((self.results.len() - 1, caller))
    }

    fn poll_one(caller: &mut Caller<'_, C, I::Item>, context: &Context<'_>) -> One<R> {
        let reply = match caller.poll_value(context) {
            Poll::Pending => return One::IsUnderWay,
            Poll::Ready(Err(error)) if error.kind() == ErrorKind::Overloaded => {
                return One::FoundNoRoom(error);
            }
            Poll::Ready(reply) => reply,
        };
        let result = reply.and_then(|reply| decode(&caller.pool, &caller.function, reply.as_ref()));
        One::HasEnded(caller.end(result))
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
        this.poll_all(context);
        if this.deadline.is_none() {
            let time = this.options.deadline;
            this.deadline = Some(time.and_then(|time| Instant::now().checked_add(time)));
        }
        if this.under_way.len() < before || before == 0 {
            coop.made_progress();
            this.begin(context);
        }
        if !(this.is_exhausted && this.under_way.is_empty() && this.put_back.is_empty()) {
            return Poll::Pending;
        }
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
