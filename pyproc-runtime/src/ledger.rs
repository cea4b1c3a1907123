//! The ledger: every call that was sent has one entry, and every entry ends exactly once.
//!
//! The entry lives in the connection's table of calls in flight and owns the call's permit. The caller's future holds
//! the other half, the [`Receipt`], on which it waits. Either half may end first: an entry whose receipt is gone keeps
//! its permit until the worker has answered or died.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use pyproc_proto::RemoteError;

use crate::death::Death;

/// How an entry ended.
pub(crate) type Outcome = Result<Bytes, Failure>;

/// Why an entry ended without a value.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The worker answered with an error.
    Remote(Box<RemoteError>),
    /// The deadline passed while the worker had the call.
    Expired,
    /// The worker is gone. `taken` says whether it may have run the call: it had been handed the whole request, and did
    /// not leave in good order.
    Died { taken: bool, death: Arc<Death> },
    /// The pool closed, or its runtime ended.
    Closed,
}

/// Who gives permits out, and takes them back.
pub(crate) trait Issuer: Send + Sync {
    /// Takes back a permit for a call on this slot.
    fn take_back(&self, slot: usize);
}

/// The right to have a call in flight on one slot.
///
/// It belongs to the ledger entry of the call, not to the caller's future: a call whose future was dropped still
/// occupies its worker. Dropping the permit gives the place to the next in the line.
#[must_use]
pub(crate) struct Permit {
    issuer: Arc<dyn Issuer>,
    slot: usize,
}

/// The ledger's half of a call in flight. Dropped without an end, it ends as [`Failure::Closed`].
#[derive(Debug)]
pub(crate) struct Entry {
    permit: Option<Permit>,
    cell: Arc<Cell>,
}

/// The caller's half of a call in flight.
#[derive(Debug)]
pub(crate) struct Receipt {
    cell: Arc<Cell>,
}

#[derive(Debug)]
struct Cell {
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    Open(Option<Waker>),
    Ended(Outcome),
    /// The outcome was taken, or nobody waits for it.
    Settled,
}

impl Permit {
    pub(crate) fn new(issuer: Arc<dyn Issuer>, slot: usize) -> Self {
        Self { issuer, slot }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.issuer.take_back(self.slot);
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Permit")
            .field("slot", &self.slot)
            .finish_non_exhaustive()
    }
}

impl Entry {
    /// Opens an entry that owns `permit`; only the supervisor's own calls may go without one.
    pub(crate) fn open(permit: Option<Permit>) -> (Self, Receipt) {
        let cell = Arc::new(Cell {
            state: Mutex::new(State::Open(None)),
        });
        (
            Self {
                permit,
                cell: Arc::clone(&cell),
            },
            Receipt { cell },
        )
    }

    /// Ends the entry, if it has not ended, and gives its permit back first: a caller that has its answer finds the
    /// place free.
    pub(crate) fn end(mut self, outcome: Outcome) {
        drop(self.permit.take());
        wake(self.cell.end(outcome));
    }

    /// Ends the call for its caller, whom the pool does not let wait any more. The entry itself stays. Whoever is
    /// returned is to be woken outside of every lock.
    #[must_use]
    pub(crate) fn cut(&self) -> Option<Waker> {
        self.cell.end(Err(Failure::Closed))
    }

    /// Ends the call for its caller, because its deadline passed. The permit stays with the entry: the worker is not
    /// free yet. Whoever is returned is to be woken outside of every lock.
    #[must_use]
    pub(crate) fn expire(&self) -> Option<Waker> {
        self.cell.end(Err(Failure::Expired))
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        wake(self.cell.end(Err(Failure::Closed)));
    }
}

impl Receipt {
    /// Waits for the outcome.
    pub(crate) fn poll(&mut self, context: &Context<'_>) -> Poll<Outcome> {
        let mut state = self.cell.lock();
        match &mut *state {
            State::Open(Some(waker)) => {
                waker.clone_from(context.waker());
                Poll::Pending
            }
            State::Open(None) => {
                *state = State::Open(Some(context.waker().clone()));
                Poll::Pending
            }
            State::Ended(_) => match std::mem::replace(&mut *state, State::Settled) {
                State::Ended(outcome) => Poll::Ready(outcome),
                _ => Poll::Ready(Err(Failure::Closed)),
            },
            State::Settled => Poll::Ready(Err(Failure::Closed)),
        }
    }

    /// Whether the outcome is there. When it is not, nobody will be told of it any more.
    pub(crate) fn abandon(self) -> Abandoned {
        let mut state = self.cell.lock();
        match std::mem::replace(&mut *state, State::Settled) {
            State::Open(_) => Abandoned::InFlight,
            State::Ended(_) | State::Settled => Abandoned::Ended,
        }
    }
}

/// Whether a call was still in flight when its caller went away.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Abandoned {
    InFlight,
    Ended,
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
