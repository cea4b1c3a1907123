//! A call, from the first poll to its one end.

mod answer;

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use pyproc_proto::{Codec, Metadata, Request};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::connection::Unsent;
use crate::deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::{Promise, Receipt};
use crate::pool::{Admittance, Arrival, Entrance, Parcel, Place, Pool, Ticket};
use answer::{Answer, refusal, unsendable};

/// A call of a Python function: a future that does nothing until it is polled.
///
/// It encodes its argument, waits for its turn, sends the request, waits for the reply, and decodes it into an `R`, on
/// any executor. It ends exactly once, and by its deadline at the latest. The encoded argument is kept to the end, for
/// another worker in case that this one is lost.
///
/// # Cancel safety
///
/// Dropping the future cancels the call. One that waits for its turn is never sent; one that the worker has queued is
/// skipped there; a function that already runs is not interrupted, and occupies its worker until it returns or is taken
/// to be stuck, [`overdue_after`](crate::PoolBuilder::overdue_after) past its deadline.
#[must_use = "a call does nothing until it is awaited"]
pub struct Call<'a, C: Codec, A, R> {
    pool: &'a Pool<C>,
    function: &'a str,
    argument: A,
    options: CallOptions,
    /// How many workers have died of the call, and may have run it.
    attempts: u32,
    deadline: Option<Instant>,
    body: Bytes,
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
    /// Nothing has happened; the argument is not encoded yet.
    New,
    /// The body is encoded, and a place is asked for next.
    Encoded,
    /// The call was sent, or its parcel waits in the line. Dropping the one leaves the line, dropping the other cancels.
    Accepted {
        _place: Option<Place>,
        receipt: Receipt,
    },
    Ended,
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
            attempts: 0,
            deadline: None,
            body: Bytes::new(),
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
    /// another one, up to the pool's [`max_attempts`](crate::PoolBuilder::max_attempts).
    pub fn idempotent(mut self) -> Self {
        self.options.idempotent = true;
        self
    }
}

impl<C: Codec, A: Serialize, R: DeserializeOwned> Call<'_, C, A, R> {
    fn encode(&mut self) -> Result<()> {
        self.deadline = self
            .options
            .deadline
            .and_then(|time| Instant::now().checked_add(time));
        // No permit is held yet: a `Serialize` that blocks, panics or calls the pool keeps no worker from others.
        let mut body = Vec::new();
        self.pool
            .codec()
            .encode(&self.argument, &mut body)
            .map_err(|error| {
                Error::new(ErrorKind::Codec, "the argument cannot be encoded")
                    .with_function(self.function)
                    .with_source(error)
            })?;
        self.body = body.into();
        Ok(())
    }

    /// Asks for a place, and sends the call or lets it wait.
    fn enter(&mut self) -> Result<State> {
        let shared = self.pool.shared();
        let arrival = self.ticket.map_or(Arrival::New, Arrival::Returning);
        let mut waiting = None;
        let parcel = || {
            let (promise, receipt) = Promise::new();
            waiting = Some(receipt);
            Parcel {
                function: self.function.into(),
                body: self.body.clone(),
                deadline: self.deadline,
                clock: shared.deadline_clock(),
                promise,
            }
        };
        let entrance = shared
            .gate()
            .enter(self.deadline, arrival, parcel)
            .map_err(|reason| refusal(reason, self.function, shared))?;
        match (entrance, waiting) {
            (Entrance::Line(place, ticket), Some(receipt)) => {
                self.ticket = Some(ticket);
                let _place = Some(place);
                Ok(State::Accepted { _place, receipt })
            }
            (Entrance::Line(..), None) => Ok(State::Encoded),
            (Entrance::Open(admittance, ticket), _) => {
                self.ticket = Some(ticket);
                self.submit(admittance)
            }
        }
    }

    fn submit(&mut self, admittance: Admittance) -> Result<State> {
        let Admittance { permit, connection } = admittance;
        let shared = self.pool.shared();
        let (promise, receipt) = Promise::new();
        let metadata = Metadata::default();
        let request = Request {
            function: self.function,
            body: &self.body,
            deadline: self
                .deadline
                .map(|at| deadline::on_the_wire(at, shared.deadline_clock())),
            metadata: &metadata,
        };
        match connection.submit(request, promise.with_permit(Some(permit))) {
            Ok(()) => {
                let _place = None;
                Ok(State::Accepted { _place, receipt })
            }
            Err((Unsent::Closed, _)) => {
                // Whoever finds a connection closed closes the slot too, so that the next try goes elsewhere.
                shared.close_slot(connection.worker());
                Ok(State::Encoded)
            }
            Err((Unsent::Invalid(reason), _)) => Err(unsendable(reason, self.function, shared)),
        }
    }

    fn poll_state(&mut self, context: &Context<'_>) -> Poll<Result<R>> {
        loop {
            self.state = match &mut self.state {
                State::New => {
                    self.encode()?;
                    State::Encoded
                }
                State::Encoded => self.enter()?,
                State::Accepted { receipt, .. } => {
                    let outcome = ready!(receipt.poll(context));
                    let shared = self.pool.shared();
                    let worker = receipt.sent().map(|sent| &sent.worker);
                    let may_run_again =
                        self.options.idempotent && self.attempts + 1 < shared.max_attempts();
                    match Answer::judge(outcome, may_run_again, self.function, worker, shared) {
                        Answer::Body(body) => return Poll::Ready(self.decode(&body)),
                        Answer::Error(error) => return Poll::Ready(Err(error)),
                        again @ (Answer::Move | Answer::SendAgain) => {
                            if let Some(worker) = worker {
                                shared.close_slot(worker);
                            }
                            if matches!(again, Answer::SendAgain) {
                                self.attempts += 1;
                                shared.counters().count_resent();
                            }
                            State::Encoded
                        }
                    }
                }
                State::Ended => return Poll::Ready(Err(ended_already())),
            };
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
        if self.attempts > 0 {
            // Whatever ended it at last, an earlier worker may have run it.
            result = result.map_err(Error::at_least_may_have_run);
        }
        self.state = State::Ended;
        self.pool
            .shared()
            .counters()
            .count_end(result.as_ref().err());
        Poll::Ready(result)
    }
}

// Nothing in a call is pinned: the argument is only borrowed within a poll.
impl<C: Codec, A, R> Unpin for Call<'_, C, A, R> {}

impl<C: Codec, A, R> Drop for Call<'_, C, A, R> {
    fn drop(&mut self) {
        if !matches!(self.state, State::New | State::Ended) {
            self.pool.shared().counters().count_cancelled();
        }
    }
}

impl<C: Codec, A, R> fmt::Debug for Call<'_, C, A, R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::New | State::Encoded => "new",
            State::Accepted { .. } => "accepted",
            State::Ended => "ended",
        };
        formatter
            .debug_struct("Call")
            .field("function", &self.function)
            .field("state", &state)
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}

fn ended_already() -> Error {
    Error::new(ErrorKind::Closed, "the call was polled again after its end")
}
