//! A call to every worker.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use pyproc_proto::{Codec, Request};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::answer::{Answer, Case, History, refusal, unsendable};
use super::caller::ended_already;
use super::{CallOptions, decode, encode};
use crate::connection::{Sender, Unsent};
use crate::deadline;
use crate::error::{Answers, Error, ErrorKind, Fate, Result, WorkerIdentity};
use crate::ledger::{Begun, Failure, Outcome, Promise, Receipt, Reply};
use crate::pool::{Admittance, Pool, Shared};

/// A call of a function in every worker of the pool, to reload a model, say: a future that ends with what each of them has
/// answered, in the order of their slots.
///
/// It goes to each worker that takes calls when it is first polled, and is done there when its turn comes, behind the calls
/// that the worker has. It does not wait in the pool's line, and is above the limits on calls in flight, in which it counts.
/// Breakers do not hold it up, for it may be the cure, and learn nothing from its answers; that of the pool learns of the
/// workers that die of it, as of all others.
///
/// Workers that are being started are not among them: what a broadcast changes, the script must find at its start, too. So
/// are those that drain and only finish what they have; and a pool none of whose workers is there at the moment answers
/// with an empty list. Every answer is that of one worker: where it dies, the call is not moved, and has the error
/// [`WorkerDied`](ErrorKind::WorkerDied) there, whose fate says whether it had begun.
///
/// # Errors
///
/// In place of all answers: [`ErrorKind::Closed`], [`ErrorKind::Unavailable`] where no worker will come, and an argument
/// that cannot be encoded. Whatever else goes wrong is the answer of one worker.
///
/// # Cancel safety
///
/// Dropping it cancels the call in each worker that has not answered, as for a [`Call`](super::Call).
#[must_use = "a call does nothing until it is awaited"]
pub struct Broadcast<'a, C: Codec, A, R> {
    pool: &'a Pool<C>,
    function: &'a str,
    argument: A,
    options: CallOptions,
    /// When all must have answered; known from the first poll on.
    deadline: Option<Instant>,
    state: State,
    result: PhantomData<fn() -> R>,
}

enum State {
    New,
    Sent(Vec<Leg>),
    Ended,
}

/// The call in one of the workers.
struct Leg {
    worker: WorkerIdentity,
    /// Dropping it before the answer is there cancels the call.
    receipt: Receipt,
    answer: Option<Result<Reply>>,
}

impl<'a, C: Codec, A, R> Broadcast<'a, C, A, R> {
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
            deadline: None,
            state: State::New,
            result: PhantomData,
        }
    }

    /// The time that all of it may take, in place of the pool's [`deadline`](crate::PoolBuilder::deadline). A worker that
    /// has not answered by then answers with [`ErrorKind::Deadline`].
    pub fn deadline(mut self, time: Duration) -> Self {
        self.options.deadline = Some(time);
        self
    }

    /// Sends a pair of texts beside the argument: see [`Call::metadata`](super::Call::metadata).
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.options.push_metadata(key.into(), value.into());
        self
    }
}

impl<C: Codec, A: Serialize, R: DeserializeOwned> Broadcast<'_, C, A, R> {
    fn send(&self) -> Result<Vec<Leg>> {
        let (shared, function) = (self.pool.shared(), self.function);
        let metadata = self.options.metadata();
        let metadata = metadata.map_err(|error| error.with_function(function))?;
        let body = encode(self.pool.codec(), function, &self.argument)?;
        let admitted = shared.gate().enter_all();
        let admitted = admitted.map_err(|reason| refusal(reason, function, shared))?;
        let request = Request {
            function,
            body: body.body(),
            deadline: self
                .deadline
                .map(|at| deadline::on_the_wire(at, shared.deadline_clock())),
            metadata,
            credit: None,
            has_items: false,
        };
        let mut legs = Vec::with_capacity(admitted.len());
        for Admittance {
            permit, connection, ..
        } in admitted
        {
            let (promise, receipt) = Promise::new();
            let entry = promise.with_permit(Some(permit));
            let sent = connection.submit(request, entry, Sender::Caller, Instant::now());
            let worker = connection.worker().clone();
            let (receipt, answer) = match sent {
                Ok(submitted) => (receipt.sent(connection, submitted.call), None),
                Err((Unsent::Invalid(reason), entry)) => {
                    drop(entry.withdraw());
                    (receipt, Some(Err(unsendable(reason, function, shared))))
                }
                // It takes no more calls, and is none of those that do.
                Err((Unsent::Closed, entry)) => {
                    drop(entry.withdraw());
                    shared.close_slot(&worker);
                    continue;
                }
            };
            legs.push(Leg {
                worker,
                receipt,
                answer,
            });
        }
        Ok(legs)
    }

    /// Decodes the answers, and counts them.
    fn end(&self, legs: Vec<Leg>) -> Answers<R> {
        let decode = |leg: Leg| {
            let result = leg.answer?;
            let result = result.and_then(|reply| decode(self.pool, self.function, reply.as_ref()));
            let error = result.as_ref().err();
            self.pool.shared().counters().count_end(error);
            Some((leg.worker, result))
        };
        legs.into_iter().filter_map(decode).collect()
    }
}

impl Leg {
    /// Whether the answer is there.
    fn poll(
        &mut self,
        context: &Context<'_>,
        function: &str,
        deadline: Option<Instant>,
        shared: &Shared,
    ) -> Poll<()> {
        if self.answer.is_none() {
            let outcome = ready!(self.receipt.poll(context));
            let case = Case {
                function,
                is_idempotent: false,
                deadline,
                worker: Some(&self.worker),
            };
            self.answer = Some(judge(outcome, case, shared));
        }
        Poll::Ready(())
    }
}

/// What an outcome means here, where the call belongs to its worker and no other.
fn judge(outcome: Outcome, case: Case<'_>, shared: &Shared) -> Result<Reply> {
    let failure = match outcome {
        Ok(reply) => return Ok(reply),
        Err(Failure::Died {
            begun: Begun::Not | Begun::Next,
            death,
        }) => return Err(death.error(Fate::NotStarted).with_function(case.function)),
        Err(failure) => failure,
    };
    match History::default().judge(failure, case, shared) {
        Answer::Error(error) => Err(error),
        Answer::Move | Answer::SendAgain(_) => {
            let message = "the worker was told to end before it began the call";
            let error = Error::new(ErrorKind::WorkerDied, message).with_function(case.function);
            Err(match case.worker {
                Some(worker) => error.with_worker(worker.clone()),
                None => error,
            })
        }
    }
}

impl<C: Codec, A: Serialize, R: DeserializeOwned> Future for Broadcast<'_, C, A, R> {
    type Output = Result<Answers<R>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let coop = ready!(tokio::task::coop::poll_proceed(context));
        let this = &mut *self;
        if let State::New = this.state {
            this.state = State::Ended;
            let time = this.options.deadline;
            this.deadline = time.and_then(|time| Instant::now().checked_add(time));
            this.state = match this.send() {
                Ok(legs) => State::Sent(legs),
                Err(error) => {
                    this.pool.shared().counters().count_end(Some(&error));
                    return Poll::Ready(Err(error));
                }
            };
        }
        let State::Sent(legs) = &mut this.state else {
            return Poll::Ready(Err(ended_already()));
        };
        // Each of them is polled, so that each wakes this one.
        let (shared, function, deadline) = (this.pool.shared(), this.function, this.deadline);
        let awaited = legs.iter_mut().filter_map(|leg| {
            leg.poll(context, function, deadline, shared)
                .is_pending()
                .then_some(())
        });
        if awaited.count() > 0 {
            return Poll::Pending;
        }
        coop.made_progress();
        let legs = std::mem::take(legs);
        this.state = State::Ended;
        Poll::Ready(Ok(this.end(legs)))
    }
}

impl<C: Codec, A, R> Drop for Broadcast<'_, C, A, R> {
    fn drop(&mut self) {
        if let State::Sent(legs) = &self.state {
            let counters = self.pool.shared().counters();
            legs.iter().for_each(|_| counters.count_cancelled());
        }
    }
}

// Nothing in it is pinned: the argument is only borrowed within a poll.
impl<C: Codec, A, R> Unpin for Broadcast<'_, C, A, R> {}

impl<C: Codec, A, R> fmt::Debug for Broadcast<'_, C, A, R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Broadcast")
            .field("function", &self.function)
            .finish_non_exhaustive()
    }
}
