//! The ledger: every accepted call has one promise, and every promise is kept exactly once.
//!
//! A call that is sent has an [`Entry`], which lives in the connection's table of calls in flight and owns the call's
//! permit. The caller's future holds the other half, the [`Receipt`], on which it waits. Either half may end first: an
//! entry whose receipt is gone keeps its permit until the worker has answered or died.

mod items;

pub(crate) use items::{Items, Unpushed};

use std::fmt;
use std::ops::Add;
use std::sync::{Arc, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use bytes::Bytes;
use pyproc_proto::{CallId, Metadata, RemoteError, RequestError};

use crate::connection::Connection;
use crate::death::DeathReport;
use crate::error::WorkerIdentity;
use crate::sync::{Mutex, MutexGuard, OnceLock};

/// How an entry ended.
pub(crate) type Outcome = Result<Reply, Failure>;

/// The encoded value that a call returned.
#[derive(Debug)]
pub(crate) enum Reply {
    /// A small one is copied, so that the buffer that it was read into is free at once.
    Small {
        length: u8,
        bytes: [u8; MAX_SMALL_REPLY],
    },
    /// A view into the buffer that it was read into.
    Large(Bytes),
    /// One that came with metadata.
    Accompanied {
        body: Bytes,
        metadata: Box<Metadata>,
    },
}

/// A cache line, less the length. The typical small struct fits.
const MAX_SMALL_REPLY: usize = 63;

/// Why an entry ended without a value.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It was not admitted, or not any more.
    Refused(Refusal),
    /// No worker of the pool can be sent the request.
    Unsendable(RequestError),
    /// The worker answered with an error.
    Remote(Box<RemoteError>),
    /// The deadline passed while the worker had the call.
    Expired {
        /// The stacks of its threads, if it was running the call and they could be taken.
        stacks: Option<Box<str>>,
        /// The function that kept its event loop from running the call.
        blocker: Option<Box<str>>,
    },
    /// The worker is gone.
    Died {
        begun: Begun,
        death: Arc<DeathReport>,
    },
    /// The pool closed, or its runtime ended.
    Closed,
}

/// How far a worker that is gone had come with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begun {
    /// It certainly had not begun it.
    Not,
    /// It certainly had not begun it, was in no other that it had, and this one was the next: it may have died of reading
    /// it.
    Next,
    /// It had taken it, and then another one.
    Earlier,
    /// It had taken it last. Where nothing is known, each call that it had been handed whole counts as that.
    Last,
}

/// Why a call is not admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The waiting line is full.
    Overloaded,
    /// The deadline passed in the waiting line.
    Expired,
    /// The pool is closed.
    Closed,
    /// No slot will ever have a worker again.
    Unavailable,
    /// No slot has a worker that lives long enough, for the time being.
    Degraded,
}

/// The worker that a permit is good for: the slot, and which of its workers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Seat {
    pub(crate) slot: usize,
    pub(crate) generation: u64,
}

/// How many calls of a worker have ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) calls: usize,
    /// Streams that had yielded.
    pub(crate) streams: usize,
    /// Calls that were not sent after all. Their end says nothing of the worker.
    pub(crate) unsent: usize,
}

/// Who gives permits out, and takes them back.
pub(crate) trait Issuer: Send + Sync {
    /// Takes back the permits of calls of this worker, which ended at `now`.
    fn take_back(self: Arc<Self>, seat: Seat, ended: Ended, now: Instant);

    /// A call of this worker is a stream that has yielded. Its place may be given to others, when [`serve`](Self::serve)
    /// is called. This one locks nothing but the issuer's own.
    fn note_stream(&self, seat: Seat, now: Instant);

    /// Gives places that have become free to those who wait for one.
    fn serve(self: Arc<Self>, now: Instant);
}

/// The right to have a call in flight on one worker.
///
/// It belongs to the ledger entry of the call, not to the caller's future: a call whose future was dropped still
/// occupies its worker. Dropping the permit gives the place to the next in the line.
#[must_use]
pub(crate) struct Permit {
    /// `None` once it is returned.
    issuer: Option<Arc<dyn Issuer>>,
    seat: Seat,
    course: Course,
}

/// What the call of a permit has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Course {
    Sent,
    /// It is a stream that has yielded, and has given up its place.
    Yielded,
    /// It was not sent after all.
    Unsent,
}

/// Permits of one worker on their way back, which takes one lock for all of them.
#[must_use]
pub(crate) struct ReturnedPermits {
    issuer: Option<Arc<dyn Issuer>>,
    seat: Seat,
    ended: Ended,
    now: Instant,
}

/// The ledger's half of a call that was sent.
#[derive(Debug)]
pub(crate) struct Entry {
    // Dropped first: a caller that has its answer finds the place free.
    permit: Option<Permit>,
    promise: Promise,
}

/// The ledger's half of a call: somebody will say how it ended. Dropped without that, it ends as [`Failure::Closed`].
#[derive(Debug)]
pub(crate) struct Promise {
    cell: Arc<Cell>,
}

/// The caller's half of a call. Dropping it before the outcome is there cancels the call.
#[derive(Debug)]
pub(crate) struct Receipt {
    cell: Arc<Cell>,
    /// Where the caller itself has sent the call, if it has.
    sent: Option<(Arc<Connection>, CallId)>,
    /// Whether the outcome was taken.
    is_settled: bool,
}

/// Where a call was sent that waited for it.
#[derive(Debug)]
struct Sent {
    worker: WorkerIdentity,
    /// Weak, because the connection's table owns the entry.
    connection: Weak<Connection>,
    call: CallId,
}

#[derive(Debug)]
struct Cell {
    state: Mutex<State>,
    sent: OnceLock<Sent>,
    /// For a stream, the items that its caller has not taken yet.
    items: Option<Box<Mutex<Items>>>,
}

#[derive(Debug)]
enum State {
    Open(Option<Waker>),
    Ended(Outcome),
    /// The outcome was taken, or nobody waits for it.
    Settled,
}

impl Ended {
    const NONE: Self = Self {
        calls: 0,
        streams: 0,
        unsent: 0,
    };
    const CALL: Self = Self {
        calls: 1,
        ..Self::NONE
    };
    const STREAM: Self = Self {
        streams: 1,
        ..Self::NONE
    };
    pub(crate) const UNSENT: Self = Self {
        unsent: 1,
        ..Self::NONE
    };

    pub(crate) fn all(self) -> usize {
        self.places() + self.streams
    }

    /// How many of them have a place to give back.
    pub(crate) fn places(self) -> usize {
        self.calls + self.unsent
    }
}

impl Add for Ended {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            calls: self.calls + other.calls,
            streams: self.streams + other.streams,
            unsent: self.unsent + other.unsent,
        }
    }
}

impl Permit {
    pub(crate) fn new(issuer: Arc<dyn Issuer>, seat: Seat) -> Self {
        Self {
            issuer: Some(issuer),
            seat,
            course: Course::Sent,
        }
    }

    fn ended(&self) -> Ended {
        match self.course {
            Course::Sent => Ended::CALL,
            Course::Yielded => Ended::STREAM,
            Course::Unsent => Ended::UNSENT,
        }
    }

    /// The permit of a call that was not sent after all.
    fn unused(mut self) -> Self {
        self.course = Course::Unsent;
        self
    }

    /// Gives up the permit without telling its issuer, who is the one to call this.
    pub(crate) fn surrender(mut self) -> Seat {
        self.issuer = None;
        self.seat
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(issuer) = self.issuer.take() {
            issuer.take_back(self.seat, self.ended(), Instant::now());
        }
    }
}

impl ReturnedPermits {
    /// None yet. They are returned at `now`, when this is dropped.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            issuer: None,
            seat: Seat::default(),
            ended: Ended::default(),
            now,
        }
    }

    /// Adds the permit of an entry of the same worker.
    #[inline]
    pub(crate) fn add(&mut self, entry: &mut Entry) {
        if let Some(mut permit) = entry.permit.take() {
            self.seat = permit.seat;
            self.ended = self.ended + permit.ended();
            self.issuer = permit.issuer.take();
        }
    }
}

impl Drop for ReturnedPermits {
    fn drop(&mut self) {
        if let Some(issuer) = self.issuer.take() {
            issuer.take_back(self.seat, self.ended, self.now);
        }
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Permit")
            .field("seat", &self.seat)
            .finish_non_exhaustive()
    }
}

impl Promise {
    /// Opens a call in the ledger.
    pub(crate) fn new() -> (Self, Receipt) {
        Self::of(None)
    }

    /// Opens a call in the ledger that is to be answered by a stream.
    pub(crate) fn of_stream() -> (Self, Receipt) {
        Self::of(Some(Box::default()))
    }

    fn of(items: Option<Box<Mutex<Items>>>) -> (Self, Receipt) {
        let cell = Arc::new(Cell {
            state: Mutex::new(State::Open(None)),
            sent: OnceLock::new(),
            items,
        });
        let receipt = Receipt {
            cell: Arc::clone(&cell),
            sent: None,
            is_settled: false,
        };
        (Self { cell }, receipt)
    }

    /// The entry of the call, which owns its permit; only the supervisor's own calls may go without one.
    pub(crate) fn with_permit(self, permit: Option<Permit>) -> Entry {
        Entry {
            permit,
            promise: self,
        }
    }

    /// Ends the call, if it has not ended.
    pub(crate) fn keep(self, outcome: Outcome) {
        wake(self.cell.end(outcome));
    }

    /// Whether nobody waits for the outcome any more.
    pub(crate) fn is_abandoned(&self) -> bool {
        matches!(*self.cell.lock(), State::Settled)
    }

    /// Whether somebody waits for the outcome, and has not been told any.
    fn is_awaited(&self) -> bool {
        matches!(*self.cell.lock(), State::Open(_))
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        wake(self.cell.end(Err(Failure::Closed)));
    }
}

impl Entry {
    /// Ends the entry, if it has not ended, and gives its permit back first: a caller that has its answer finds the
    /// place free.
    pub(crate) fn end(self, outcome: Outcome) {
        let Self { permit, promise } = self;
        drop(permit);
        promise.keep(outcome);
    }

    /// Undoes the entry of a call that was not sent after all.
    pub(crate) fn withdraw(self) -> (Promise, Option<Permit>) {
        (self.promise, self.permit.map(Permit::unused))
    }

    /// Notes where a call that waited was sent, before its answer can be read. Says whether anybody waits for that.
    pub(crate) fn note_sent(&self, connection: &Arc<Connection>, call: CallId) -> bool {
        let sent = Sent {
            worker: connection.worker().clone(),
            connection: Arc::downgrade(connection),
            call,
        };
        // An entry is sent once: what is sent again has an entry of its own.
        let _ = self.promise.cell.sent.set(sent);
        !self.promise.is_abandoned()
    }

    /// Whether the caller waits, and was not told of an end yet.
    pub(crate) fn is_awaited(&self) -> bool {
        self.promise.is_awaited()
    }

    /// Whether the call is answered by a stream.
    pub(crate) fn is_stream(&self) -> bool {
        self.promise.cell.items.is_some()
    }

    /// Hands an item of the stream to its caller. Whoever is returned is to be woken outside of every lock.
    #[must_use]
    pub(crate) fn yields(&self, body: &[u8]) -> Option<Waker> {
        let cell = &self.promise.cell;
        let items = cell.items.as_ref()?;
        match &mut *cell.lock() {
            State::Open(waker) => {
                items
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(body);
                waker.take()
            }
            State::Ended(_) | State::Settled => None,
        }
    }

    /// Whoever is returned may go on, and is to be woken outside of every lock.
    #[must_use]
    pub(crate) fn rouse(&self) -> Option<Waker> {
        match &mut *self.promise.cell.lock() {
            State::Open(waker) => waker.take(),
            State::Ended(_) | State::Settled => None,
        }
    }

    /// Gives up the place of a stream that has yielded, if it has one. Whoever is returned is to serve those who wait for
    /// one, outside of every lock.
    #[must_use]
    pub(crate) fn give_way(&mut self) -> Option<Arc<dyn Issuer>> {
        let permit = self.permit.as_mut()?;
        if std::mem::replace(&mut permit.course, Course::Yielded) == Course::Yielded {
            return None;
        }
        let issuer = permit.issuer.as_ref()?;
        issuer.note_stream(permit.seat, Instant::now());
        Some(Arc::clone(issuer))
    }

    /// Ends the call for its caller, whom the pool does not let wait any more. The entry itself stays. Whoever is
    /// returned is to be woken outside of every lock.
    #[must_use]
    pub(crate) fn cut(&self) -> Option<Waker> {
        self.promise.cell.end(Err(Failure::Closed))
    }

    /// Ends the call for its caller, because its deadline passed. The permit stays with the entry: the worker is not
    /// free yet. Whoever is returned is to be woken outside of every lock.
    #[must_use]
    pub(crate) fn expire(&self, stacks: Option<&str>, blocker: Option<&str>) -> Option<Waker> {
        let [stacks, blocker] = [stacks, blocker].map(|text| text.map(Box::from));
        let failure = Failure::Expired { stacks, blocker };
        self.promise.cell.end(Err(failure))
    }
}

impl Receipt {
    /// Notes where its caller has sent the call.
    pub(crate) fn sent(mut self, connection: Arc<Connection>, call: CallId) -> Self {
        self.sent = Some((connection, call));
        self
    }

    /// Waits for the outcome.
    pub(crate) fn poll(&mut self, context: &Context<'_>) -> Poll<Outcome> {
        let mut state = self.cell.lock();
        match &mut *state {
            State::Open(Some(waker)) if waker.will_wake(context.waker()) => Poll::Pending,
            State::Open(waker) => {
                let old = waker.replace(context.waker().clone());
                // The last waker of a task may own it, and with it other calls.
                drop(state);
                drop(old);
                Poll::Pending
            }
            State::Ended(_) => match std::mem::replace(&mut *state, State::Settled) {
                State::Ended(outcome) => {
                    self.is_settled = true;
                    Poll::Ready(outcome)
                }
                _ => Poll::Ready(Err(Failure::Closed)),
            },
            State::Settled => Poll::Ready(Err(Failure::Closed)),
        }
    }

    /// Takes the items that have come, in exchange for `empty`, which keeps its memory. Says whether there are any.
    pub(crate) fn take_items(&self, empty: &mut Items) -> bool {
        let Some(items) = &self.cell.items else {
            return false;
        };
        let mut items = items.lock().unwrap_or_else(PoisonError::into_inner);
        if items.is_empty() {
            return false;
        }
        std::mem::swap(&mut *items, empty);
        true
    }

    /// Lets the worker send so many more bytes of a stream.
    pub(crate) fn grant(&self, bytes: u32) {
        if let Some((connection, call)) = self.place() {
            connection.grant(call, bytes);
        }
    }

    /// Where the call is, if it was sent and its connection is still there.
    pub(crate) fn place(&self) -> Option<(Arc<Connection>, CallId)> {
        if let Some((connection, call)) = &self.sent {
            return Some((Arc::clone(connection), *call));
        }
        let sent = self.cell.sent.get()?;
        Some((sent.connection.upgrade()?, sent.call))
    }

    /// Wakes nobody until the next poll. Whoever reads its own reply would otherwise wake itself, and be polled once too
    /// often, perhaps by another thread.
    pub(crate) fn wake_nobody(&self) {
        let waker = match &mut *self.cell.lock() {
            State::Open(waker) => waker.take(),
            State::Ended(_) | State::Settled => None,
        };
        // The last waker of a task may own it, and with it other calls.
        drop(waker);
    }

    /// Whether the outcome is there.
    pub(crate) fn has_ended(&self) -> bool {
        !matches!(*self.cell.lock(), State::Open(_))
    }

    /// The connection on which its caller has sent the call, if it has.
    pub(crate) fn connection(&self) -> Option<&Arc<Connection>> {
        Some(&self.sent.as_ref()?.0)
    }

    /// The worker that the call was sent to, if it was.
    pub(crate) fn worker(&self) -> Option<&WorkerIdentity> {
        match &self.sent {
            Some((connection, _)) => Some(connection.worker()),
            None => Some(&self.cell.sent.get()?.worker),
        }
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if self.is_settled {
            return;
        }
        let state = std::mem::replace(&mut *self.cell.lock(), State::Settled);
        if let State::Open(_) = state {
            if let Some((connection, call)) = &self.sent {
                connection.cancel(*call);
            } else if let Some(sent) = self.cell.sent.get() {
                // Whoever sends it at this moment finds it abandoned, and cancels it there.
                if let Some(connection) = sent.connection.upgrade() {
                    connection.cancel(sent.call);
                }
            }
        }
    }
}

impl Reply {
    pub(crate) fn new(body: Bytes, metadata: Option<Box<Metadata>>) -> Self {
        match metadata {
            None => body.into(),
            Some(metadata) => Self::Accompanied { body, metadata },
        }
    }

    /// What came beside the value.
    pub(crate) fn take_metadata(&mut self) -> Metadata {
        match self {
            Self::Small { .. } | Self::Large(_) => Metadata::new(),
            Self::Accompanied { metadata, .. } => std::mem::take(metadata),
        }
    }
}

impl From<Bytes> for Reply {
    fn from(body: Bytes) -> Self {
        if body.len() > MAX_SMALL_REPLY {
            return Self::Large(body);
        }
        let mut bytes = [0; MAX_SMALL_REPLY];
        bytes[..body.len()].copy_from_slice(&body);
        Self::Small {
            length: body.len() as u8,
            bytes,
        }
    }
}

impl AsRef<[u8]> for Reply {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Small { length, bytes } => &bytes[..usize::from(*length)],
            Self::Large(body) | Self::Accompanied { body, .. } => body,
        }
    }
}

impl Cell {
    /// Ends the call, if it has not ended, and returns whom to wake.
    fn end(&self, outcome: Outcome) -> Option<Waker> {
        let mut state = self.lock();
        match &mut *state {
            State::Open(waker) => {
                let waker = waker.take();
                *state = State::Ended(outcome);
                waker
            }
            State::Ended(_) | State::Settled => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
