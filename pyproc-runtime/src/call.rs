//! A call, from the first poll to its one end.

mod answer;
mod scratch;

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use pyproc_proto::{Codec, Metadata, Request};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::connection::{Look, Sender, Unsent};
use crate::deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::flavor::yields_cheaply;
use crate::ledger::{Promise, Receipt};
use crate::pool::{Admittance, Arrival, Entrance, Parcel, Place, Pool, Ticket, Trial};
use answer::{Answer, Tries, refusal, tripped, unsendable};
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
/// skipped there; a function that already runs goes on, and occupies its worker until it returns, is interrupted at its
/// deadline, or is taken to be stuck, [`overdue_after`](crate::PoolBuilder::overdue_after) past it.
#[must_use = "a call does nothing until it is awaited"]
pub struct Call<'a, C: Codec, A, R> {
    pool: &'a Pool<C>,
    function: &'a str,
    argument: A,
    options: CallOptions,
    /// How many calls of the pool had ended when this one was made. Where others have ended between that and its first
    /// poll, it was made together with them, and others may follow it in the same poll of their task.
    ended_before: u64,
    /// How many workers have died in this call.
    victims: u32,
    /// How many workers have died when it was the next that they would have begun.
    suspicions: u32,
    /// Whether a worker that is gone may have run it.
    may_have_run: bool,
    deadline: Option<Instant>,
    /// What breakers will learn from its end.
    trial: Trial,
    /// The call's turn among the others, which it keeps when it is sent again.
    ticket: Option<Ticket>,
    state: State,
    result: PhantomData<fn() -> R>,
}

/// What may be set per call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CallOptions {
    pub(crate) deadline: Option<Duration>,
    pub(crate) idempotent: bool,
}

enum State {
    /// Nothing has happened.
    New,
    /// It came back from a worker that was lost.
    Returned,
    /// The call was sent. Dropping the receipt cancels it.
    Sent {
        receipt: Receipt,
        look: Looking,
    },
    /// Its parcel waits in the line, or was sent from there. Dropping the place leaves the line.
    Waiting {
        _place: Place,
        receipt: Receipt,
    },
    Ended,
}

/// What the caller of a lone call does in its next polls.
enum Looking {
    /// It lets others run once, other futures of its task among them: one of them may be about to make a call too.
    AfterOthers(Look),
    Now(Look),
    /// It waits to be woken.
    Not,
}

impl<'a, C: Codec, A, R> Call<'a, C, A, R> {
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
            ended_before: pool.shared().counters().ended(),
            victims: 0,
            suspicions: 0,
            may_have_run: false,
            deadline: None,
            trial: Trial::default(),
            ticket: None,
            state: State::New,
            result: PhantomData,
        }
    }

    /// The time that this call may take, from its first poll on, waiting and running together. It replaces the pool's
    /// [`deadline`](crate::PoolBuilder::deadline).
    pub fn deadline(mut self, time: Duration) -> Self {
        self.options.deadline = Some(time);
        self
    }

    /// Says that the function may run more than once for this call. When its worker dies, the call is sent again to
    /// another one, unless it has taken as many workers with it as the pool's
    /// [`poison_limit`](crate::PoolBuilder::poison_limit) says.
    pub fn idempotent(mut self) -> Self {
        self.options.idempotent = true;
        self
    }
}

impl<C: Codec, A: Serialize, R: DeserializeOwned> Call<'_, C, A, R> {
    /// Encodes the argument, asks for a place, and sends the call or lets it wait.
    fn send(&mut self) -> Result<State> {
        if let (State::New, Some(time)) = (&self.state, self.options.deadline) {
            self.deadline = Instant::now().checked_add(time);
        }
        if let State::New = &self.state {
            let shared = self.pool.shared();
            self.trial = shared
                .admit(self.function)
                .map_err(|which| tripped(which, self.function, shared))?;
        }
        // No permit is held yet: a `Serialize` that blocks, panics or calls the pool keeps no worker from others.
        let codec = self.pool.codec();
        let body = Scratch::encode(|body| codec.encode(&self.argument, body)).map_err(|error| {
            Error::new(ErrorKind::Codec, "the argument cannot be encoded")
                .with_function(self.function)
                .with_source(error)
        })?;
        loop {
            // The user's code may have taken its time.
            if let Some(state) = self.enter(&body, Instant::now())? {
                return Ok(state);
            }
        }
    }

    /// Asks for a place. `None` says that it was on a connection that had just closed.
    fn enter(&mut self, body: &Scratch, now: Instant) -> Result<Option<State>> {
        let shared = self.pool.shared();
        let arrival = self.ticket.map_or(Arrival::New, Arrival::Returning);
        let mut waiting = None;
        let parcel = || {
            let (promise, receipt) = Promise::new();
            waiting = Some(receipt);
            Parcel {
                function: self.function.into(),
                body: body.to_bytes(),
                deadline: self.deadline,
                clock: shared.deadline_clock(),
                promise,
            }
        };
        let entrance = shared
            .gate()
            .enter(self.deadline, arrival, now, parcel)
            .map_err(|reason| refusal(reason, self.function, shared))?;
        match (entrance, waiting) {
            (Entrance::Line(_place, ticket), Some(receipt)) => {
                self.ticket = Some(ticket);
                Ok(Some(State::Waiting { _place, receipt }))
            }
            (Entrance::Line(..), None) => Ok(None),
            (Entrance::Open(admittance, ticket), _) => {
                self.ticket = Some(ticket);
                self.submit(admittance, body, now)
            }
        }
    }

    fn submit(
        &self,
        admittance: Admittance,
        body: &Scratch,
        now: Instant,
    ) -> Result<Option<State>> {
        let Admittance {
            permit,
            connection,
            is_alone,
        } = admittance;
        let shared = self.pool.shared();
        let has_siblings = self.ended_before != shared.counters().ended();
        let (promise, receipt) = Promise::new();
        let metadata = Metadata::default();
        let request = Request {
            function: self.function,
            body: body.body(),
            deadline: self
                .deadline
                .map(|at| deadline::on_the_wire(at, shared.deadline_clock())),
            metadata: &metadata,
        };
        let sender = if is_alone {
            Sender::LoneCaller
        } else {
            Sender::Caller
        };
        match connection.submit(request, promise.with_permit(Some(permit)), sender, now) {
            Ok(submitted) => Ok(Some(State::Sent {
                receipt: receipt.sent(connection, submitted.call),
                look: match submitted.look {
                    None => Looking::Not,
                    Some(look) if has_siblings || yields_cheaply() => Looking::AfterOthers(look),
                    Some(look) => Looking::Now(look),
                },
            })),
            Err((Unsent::Closed, _)) => {
                // Whoever finds a connection closed closes the slot too, so that the next try goes elsewhere.
                shared.close_slot(connection.worker());
                Ok(None)
            }
            Err((Unsent::Invalid(reason), _)) => Err(unsendable(reason, self.function, shared)),
        }
    }

    fn poll_state(&mut self, context: &Context<'_>) -> Poll<Result<R>> {
        loop {
            let receipt = match &mut self.state {
                State::New | State::Returned => {
                    self.state = self.send()?;
                    continue;
                }
                State::Sent { receipt, look } => {
                    match std::mem::replace(look, Looking::Not) {
                        Looking::AfterOthers(next) => {
                            *look = Looking::Now(next);
                            context.waker().wake_by_ref();
                        }
                        Looking::Now(now) => {
                            if let Some(connection) = receipt.connection() {
                                connection.look_for(receipt, &now);
                            }
                        }
                        Looking::Not => {}
                    }
                    receipt
                }
                State::Waiting { receipt, .. } => receipt,
                State::Ended => return Poll::Ready(Err(ended_already())),
            };
            let outcome = ready!(receipt.poll(context));
            let shared = self.pool.shared();
            let tries = Tries {
                is_idempotent: self.options.idempotent,
                victims: self.victims,
                poison_limit: shared.poison_limit(),
                suspicions: self.suspicions,
            };
            let worker = receipt.worker();
            match Answer::judge(outcome, tries, self.function, worker, shared) {
                Answer::Body(body) => return Poll::Ready(self.decode(body.as_ref())),
                Answer::Error(error) => return Poll::Ready(Err(error)),
                Answer::Move { is_suspect } => {
                    self.suspicions += u32::from(is_suspect);
                    shared.counters().count_moved();
                }
                Answer::SendAgain { is_victim } => {
                    self.victims += u32::from(is_victim);
                    self.may_have_run = true;
                    shared.counters().count_resent();
                }
            }
            if let Some(worker) = worker {
                shared.close_slot(worker);
            }
            self.state = State::Returned;
        }
    }

    fn decode(&self, body: &[u8]) -> Result<R> {
        self.pool.codec().decode(body).map_err(|error| {
            let error = Error::new(ErrorKind::Codec, "the result is not of the type asked for")
                .with_source(error);
            error
                .with_fate(crate::error::Fate::Failed)
                .with_function(self.function)
        })
    }
}

impl<C: Codec, A: Serialize, R: DeserializeOwned> Future for Call<'_, C, A, R> {
    type Output = Result<R>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let coop = ready!(tokio::task::coop::poll_proceed(context));
        let mut result = ready!(self.poll_state(context));
        coop.made_progress();
        if self.may_have_run {
            // Whatever ended it at last, an earlier worker may have run it.
            result = result.map_err(Error::at_least_may_have_run);
        }
        self.state = State::Ended;
        let (shared, error) = (self.pool.shared(), result.as_ref().err());
        shared.counters().count_end(error);
        shared.note_end(self.trial, self.function, error);
        Poll::Ready(result)
    }
}

// Nothing in a call is pinned: the argument is only borrowed within a poll.
impl<C: Codec, A, R> Unpin for Call<'_, C, A, R> {}

impl<C: Codec, A, R> Drop for Call<'_, C, A, R> {
    fn drop(&mut self) {
        if !matches!(self.state, State::New | State::Ended) {
            let shared = self.pool.shared();
            shared.counters().count_cancelled();
            shared.note_cancelled(self.trial, self.function);
        }
    }
}

impl<C: Codec, A, R> fmt::Debug for Call<'_, C, A, R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::New => "new",
            State::Returned => "returned",
            State::Sent { .. } => "sent",
            State::Waiting { .. } => "waiting",
            State::Ended => "ended",
        };
        formatter
            .debug_struct("Call")
            .field("function", &self.function)
            .field("state", &state)
            .field("victims", &self.victims)
            .finish_non_exhaustive()
    }
}

fn ended_already() -> Error {
    Error::new(ErrorKind::Closed, "the call was polled again after its end")
}
