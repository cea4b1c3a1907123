//! Who makes a call, whatever it is answered with: it waits for its turn, is sent, and perhaps sent again.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use pyproc_proto::{Codec, Metadata, Request};

use super::answer::{Answer, Case, History, refusal, tripped, unsendable};
use super::argument::Argument;
use super::encode;
use super::options::CallOptions;
use super::scratch::Scratch;
use crate::connection::{Connection, Look, Sender, Unsent};
use crate::deadline;
use crate::error::{Error, ErrorKind, Fate, Result, WorkerIdentity};
use crate::flavor::yields_cheaply;
use crate::ledger::{Items, Outcome, Promise, Receipt, Reply};
use crate::pool::{
    Admittance, Arrival, Claim, Entrance, Letter, Parcel, Place, Pool, Rest, Retry, Ticket, Trial,
};

/// The state of a call, until it ends.
pub(super) struct Caller<'a, C: Codec, A> {
    /// The caller's, or one more handle where the call is to live by itself.
    pub(super) pool: Cow<'a, Pool<C>>,
    pub(super) function: Cow<'a, str>,
    pub(super) argument: A,
    pub(super) options: CallOptions,
    /// For a stream, what the worker may send of it at first.
    credit: Option<u32>,
    /// Whether others are made with it, which it is sent together with.
    is_one_of_many: bool,
    /// How many calls of the pool had ended when this one was made. Where others have ended between that and its first
    /// poll, it was made together with them, and others may follow it in the same poll of their task.
    ended_before: u64,
    pub(super) history: History,
    deadline: Option<Instant>,
    /// How often it was tried in vain.
    failures: u32,
    /// Whether the breakers have let it through.
    is_admitted: bool,
    /// What they will learn from its end.
    trial: Trial,
    /// The call's turn among the others, which it keeps when it is sent again.
    ticket: Option<Ticket>,
    pub(super) state: State,
}

pub(super) enum State {
    /// Nothing has happened.
    New,
    /// It came back from a worker that was lost, or is to be tried again.
    Returned,
    /// It was refused, and waits for a while before it is tried again.
    Resting(Rest),
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
    /// Its stream has ended, and the last of its items are there.
    Over(Result<()>),
    Ended,
}

/// What the caller of a lone call does in its next polls.
pub(super) enum Looking {
    /// It lets others run once, other futures of its task among them: one of them may be about to make a call too.
    AfterOthers(Look),
    Now(Look),
    /// It waits to be woken.
    Not,
}

/// Why a call is not tried again that might be.
struct NoTryLeft;

/// How a stream goes on.
pub(super) enum Step {
    /// There are items.
    Items,
    /// There are no more.
    End,
}

impl<'a, C: Codec, A> Caller<'a, C, A> {
    pub(super) fn new(
        pool: Cow<'a, Pool<C>>,
        function: Cow<'a, str>,
        argument: A,
        options: CallOptions,
        credit: Option<u32>,
    ) -> Self {
        let ended_before = pool.shared().counters().ended();
        Self {
            pool,
            function,
            argument,
            options,
            credit,
            is_one_of_many: false,
            ended_before,
            history: History::default(),
            deadline: None,
            failures: 0,
            is_admitted: false,
            trial: Trial::default(),
            ticket: None,
            state: State::New,
        }
    }

    /// Makes this one of many calls that are sent together, and have one deadline. Whoever polls it first must have its
    /// [`connection`](Self::connection) send it. Where it finds the line full that is the others' doing, perhaps; so it
    /// returns the error, has not ended, and may be [begun](Self::begin) again or [rest](Self::rest_after).
    pub(super) fn join_others(&mut self, deadline: Option<Instant>) {
        self.is_one_of_many = true;
        self.options.deadline = None;
        self.deadline = deadline;
    }

    /// The connection on which it has sent the call, if it has.
    pub(super) fn connection(&self) -> Option<&Arc<Connection>> {
        match &self.state {
            State::Sent { receipt, .. } => receipt.connection(),
            _ => None,
        }
    }

    /// Lets the worker send so many more bytes of a stream.
    pub(super) fn grant(&self, bytes: u32) {
        if let State::Sent { receipt, .. } | State::Waiting { receipt, .. } = &self.state {
            receipt.grant(bytes);
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        matches!(self.state, State::Ended)
    }

    pub(super) fn fmt_as(&self, name: &str, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::New => "new",
            State::Returned => "returned",
            State::Resting(_) => "resting",
            State::Sent { .. } => "sent",
            State::Waiting { .. } => "waiting",
            State::Over(_) => "over",
            State::Ended => "ended",
        };
        formatter
            .debug_struct(name)
            .field("function", &self.function)
            .field("state", &state)
            .field("history", &self.history)
            .finish_non_exhaustive()
    }

    fn metadata(&self) -> Result<&Metadata> {
        let metadata = self.options.metadata();
        metadata.map_err(|error| error.with_function(&self.function))
    }

    fn promise(&self) -> (Promise, Receipt) {
        match self.credit {
            Some(_) => Promise::of_stream(),
            None => Promise::new(),
        }
    }
}

impl<C: Codec, A: Argument> Caller<'_, C, A> {
    /// Notes how the call has ended, and returns the error that its caller gets.
    #[inline]
    pub(super) fn end<T>(&mut self, result: Result<T>) -> Result<T> {
        let result = self.history.amend(result);
        self.state = State::Ended;
        // Whoever keeps the call keeps no sender waiting for its source.
        self.argument.forget_items();
        let (shared, error) = (self.pool.shared(), result.as_ref().err());
        shared.counters().count_end(error);
        shared.note_end(self.trial, &self.function, error);
        result
    }

    /// Encodes the argument, asks for a place, and sends the call or lets it wait.
    fn send(&mut self) -> Result<State> {
        let body = self.prepare()?;
        self.send_body(&body)
    }

    /// Encodes the argument. That is the user's code: nothing of the pool is held yet.
    pub(super) fn prepare(&mut self) -> Result<Scratch> {
        if let (None, Some(time)) = (self.deadline, self.options.deadline) {
            self.deadline = Instant::now().checked_add(time);
        }
        if !self.is_admitted {
            let shared = self.pool.shared();
            self.trial = shared
                .admit(&self.function)
                .map_err(|which| tripped(which, &self.function, shared))?;
            self.is_admitted = true;
        }
        // No permit is held yet: a `Serialize` that blocks, panics or calls the pool keeps no worker from others.
        encode(self.pool.codec(), &self.function, &self.argument)
    }

    /// Begins a call whose argument is encoded.
    pub(super) fn begin(&mut self, body: &Scratch) -> Result<()> {
        let sent = self.send_body(body);
        self.state = sent.or_else(|error| self.state_after(error))?;
        Ok(())
    }

    /// Lets the call wait for a while before it is tried again, if that helps and is allowed.
    pub(super) fn rest_after(&mut self, error: Error) -> Result<()> {
        self.state = self.resting(error)?;
        Ok(())
    }

    fn send_body(&mut self, body: &Scratch) -> Result<State> {
        loop {
            // The user's code may have taken its time.
            if let Some(state) = self.enter(body, Instant::now())? {
                return Ok(state);
            }
        }
    }

    /// Asks for a place. `None` says that it was on a connection that had just closed.
    fn enter(&mut self, body: &Scratch, now: Instant) -> Result<Option<State>> {
        let shared = self.pool.shared();
        let arrival = self.ticket.map_or(Arrival::New, Arrival::Returning);
        let metadata = self.metadata()?;
        let claim = Claim {
            function: &self.function,
            deadline: self.deadline,
            priority: self.options.priority,
            key: self.options.key,
        };
        let mut waiting = None;
        let parcel = || {
            let (promise, receipt) = self.promise();
            waiting = Some(receipt);
            let letter = Letter {
                function: self.function.as_ref().into(),
                body: body.to_bytes(),
                deadline: self.deadline,
                priority: self.options.priority,
                key: self.options.key,
                clock: shared.deadline_clock(),
                metadata: metadata.clone(),
                credit: self.credit,
                has_items: A::HAS_ITEMS,
            };
            Parcel {
                letter: Arc::new(letter),
                promise,
            }
        };
        let entrance = shared
            .gate()
            .enter(claim, arrival, now, parcel)
            .map_err(|reason| refusal(reason, &self.function, shared))?;
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
        let (promise, receipt) = self.promise();
        let request = Request {
            function: &self.function,
            body: body.body(),
            deadline: self
                .deadline
                .map(|at| deadline::on_the_wire(at, shared.deadline_clock())),
            metadata: self.metadata()?,
            credit: self.credit,
            has_items: A::HAS_ITEMS,
        };
        // A stream takes long, and what comes of it is the driver's to hand out.
        let sender = if self.is_one_of_many && matches!(self.state, State::New) {
            Sender::OneOfMany
        } else if is_alone && self.credit.is_none() && !A::HAS_ITEMS {
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
            Err((Unsent::Closed, entry)) => {
                drop(entry.withdraw());
                // Whoever finds a connection closed closes the slot too, so that the next try goes elsewhere.
                shared.close_slot(connection.worker());
                Ok(None)
            }
            Err((Unsent::Invalid(reason), entry)) => {
                drop(entry.withdraw());
                Err(unsendable(reason, &self.function, shared))
            }
        }
    }

    /// Sends the call if it is to be sent, perhaps after a rest.
    fn poll_begun(&mut self, context: &Context<'_>) -> Poll<Result<()>> {
        loop {
            match &mut self.state {
                State::New | State::Returned => {
                    self.state = self.send().or_else(|error| self.state_after(error))?;
                }
                State::Resting(rest) => {
                    ready!(rest.poll(context));
                    self.failures += 1;
                    self.state = State::Returned;
                }
                _ => return Poll::Ready(Ok(())),
            }
        }
    }

    /// Waits for the value.
    #[inline]
    pub(super) fn poll_value(&mut self, context: &Context<'_>) -> Poll<Result<Reply>> {
        loop {
            ready!(self.poll_begun(context))?;
            let receipt = match &mut self.state {
                State::New | State::Returned | State::Resting(_) => continue,
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
                State::Over(_) | State::Ended => return Poll::Ready(Err(ended_already())),
            };
            let Poll::Ready(outcome) = receipt.poll(context) else {
                self.feed(context)?;
                return Poll::Pending;
            };
            if let Some(result) = self.settle(outcome) {
                return Poll::Ready(result);
            }
        }
    }

    /// Waits for items, which it puts in place of those that were there, or for the end of them.
    pub(super) fn poll_items(
        &mut self,
        context: &Context<'_>,
        items: &mut Items,
    ) -> Poll<Result<Step>> {
        loop {
            ready!(self.poll_begun(context))?;
            let receipt = match &mut self.state {
                State::New | State::Returned | State::Resting(_) => continue,
                State::Sent { receipt, .. } | State::Waiting { receipt, .. } => receipt,
                State::Over(_) => {
                    let State::Over(result) = std::mem::replace(&mut self.state, State::Ended)
                    else {
                        continue;
                    };
                    return Poll::Ready(result.map(|()| Step::End));
                }
                State::Ended => return Poll::Ready(Err(ended_already())),
            };
            if receipt.take_items(items) {
                self.history.has_streamed = true;
                return Poll::Ready(Ok(Step::Items));
            }
            let outcome = receipt.poll(context);
            // What came meanwhile found no waker.
            let has_items = receipt.take_items(items);
            self.history.has_streamed |= has_items;
            match (outcome, has_items) {
                (Poll::Pending, true) => return Poll::Ready(Ok(Step::Items)),
                (Poll::Pending, false) => {
                    self.feed(context)?;
                    return Poll::Pending;
                }
                (Poll::Ready(outcome), _) => {
                    let Some(result) = self.settle(outcome) else {
                        continue;
                    };
                    self.state = State::Over(result.map(drop));
                    self.argument.forget_items();
                    if has_items {
                        return Poll::Ready(Ok(Step::Items));
                    }
                }
            }
        }
    }

    /// Decides what an outcome means. `None` says that the call is to be sent again.
    #[inline]
    fn settle(&mut self, outcome: Outcome) -> Option<Result<Reply>> {
        let failure = match outcome {
            Ok(reply) => return Some(Ok(reply)),
            Err(failure) => failure,
        };
        let shared = self.pool.shared();
        let worker = match &self.state {
            State::Sent { receipt, .. } | State::Waiting { receipt, .. } => receipt.worker(),
            _ => None,
        };
        let case = Case {
            function: &self.function,
            is_idempotent: self.options.idempotent,
            deadline: self.deadline,
            worker,
        };
        match self.history.judge(failure, case, shared) {
            Answer::Error(error) => match self.state_after(error) {
                Ok(resting) => self.state = resting,
                Err(error) => return Some(Err(error)),
            },
            Answer::Move => {
                shared.counters().count_moved();
                self.return_from(worker.cloned(), State::Returned);
            }
            Answer::SendAgain(death) => {
                let next = match self.rest_after_death() {
                    Ok(next) => next,
                    Err(NoTryLeft) => {
                        let error = death.error(Fate::MayHaveRun);
                        return Some(Err(error.with_function(&self.function)));
                    }
                };
                shared.counters().count_resent();
                self.return_from(worker.cloned(), next);
            }
        }
        None
    }

    /// The worker takes no more calls, and this one goes on elsewhere.
    fn return_from(&mut self, worker: Option<WorkerIdentity>, next: State) {
        self.state = next;
        if let Some(worker) = worker {
            self.pool.shared().close_slot(&worker);
        }
    }

    /// The state of a call that has failed, if it goes on.
    fn state_after(&self, error: Error) -> Result<State> {
        // The others fill the line, perhaps.
        if self.is_one_of_many && error.kind() == ErrorKind::Overloaded {
            return Err(error);
        }
        self.resting(error)
    }

    fn resting(&self, error: Error) -> Result<State> {
        if !error.is_retryable() || self.history.has_streamed {
            return Err(error);
        }
        match self.policy().and_then(|policy| self.rest(&policy)) {
            Some(rest) => {
                self.pool.shared().counters().count_retried();
                Ok(State::Resting(rest))
            }
            None => Err(error),
        }
    }

    /// The same for a call whose worker has died in it. Where there is no policy, it is sent again at once.
    fn rest_after_death(&self) -> Result<State, NoTryLeft> {
        match self.policy() {
            Some(policy) => self.rest(&policy).map(State::Resting).ok_or(NoTryLeft),
            None => {
                self.pool.shared().overdraw_retries();
                Ok(State::Returned)
            }
        }
    }

    /// How calls like this one are tried again, if they are.
    fn policy(&self) -> Option<Retry> {
        let policy = self.options.retry().or(self.pool.shared().retry());
        policy.filter(Retry::is_ever)
    }

    fn rest(&self, policy: &Retry) -> Option<Rest> {
        let delay = policy.delay(self.failures + 1, fastrand::f64())?;
        let end = Instant::now().checked_add(delay);
        let is_too_late = self
            .deadline
            .is_some_and(|deadline| end.is_none_or(|end| end >= deadline));
        if is_too_late {
            return None;
        }
        self.pool.shared().rest(delay)
    }
}

impl<C: Codec, A> Drop for Caller<'_, C, A> {
    fn drop(&mut self) {
        let shared = self.pool.shared();
        if !matches!(self.state, State::New | State::Ended) {
            shared.counters().count_cancelled();
        }
        // One of many that was let through may have found no place.
        if !self.has_ended() {
            shared.note_cancelled(self.trial, &self.function);
        }
    }
}

pub(super) fn ended_already() -> Error {
    Error::new(ErrorKind::Closed, "the call was polled again after its end")
}
