//! A call that goes its way by itself.

use std::sync::{Arc, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

use super::answer::{Answer, Case, History, refusal, unsendable};
use crate::error::{Result, WorkerIdentity};
use crate::ledger::{Outcome, Promise, Receipt};
use crate::pool::{
    Admittance, Arrival, Entrance, Handover, Letter, Parcel, Place, Shared, Ticket, Trial,
};
use crate::sync::{Mutex, MutexGuard};
use crate::telemetry;

/// A one-way call, from its acceptance to its one end.
///
/// Nobody polls it: it is its own waker. Whoever ends its entry in the ledger wakes it, outside of every lock, and it
/// decides there what that means. Its entry owns the waker until then, and with it this; so it lives as long as its call,
/// and needs no task.
#[derive(Debug)]
pub(super) struct Errand {
    /// Weak, because what waits in the pool's line must not keep the pool.
    shared: Weak<Shared>,
    letter: Arc<Letter>,
    is_idempotent: bool,
    /// What breakers will learn from its end.
    trial: Trial,
    progress: Mutex<Progress>,
}

#[derive(Debug, Default)]
struct Progress {
    /// Its half of the entry; `None` while somebody decides what an end means.
    receipt: Option<Receipt>,
    /// Where it waits. Dropping it leaves the line.
    place: Option<Place>,
    /// Its turn among the others, which it keeps when it is sent again.
    ticket: Option<Ticket>,
    history: History,
}

impl Errand {
    pub(super) fn new(
        shared: &Arc<Shared>,
        letter: Letter,
        is_idempotent: bool,
        trial: Trial,
    ) -> Arc<Self> {
        Arc::new(Self {
            shared: Arc::downgrade(shared),
            letter: Arc::new(letter),
            is_idempotent,
            trial,
            progress: Mutex::new(Progress::default()),
        })
    }

    /// Sends the call, or lets it wait. From then on nobody is told how it ends, even if it has ended by now.
    ///
    /// # Errors
    ///
    /// Why it is not accepted.
    pub(super) fn begin(self: Arc<Self>, shared: &Shared) -> Result<()> {
        match self.enter(shared) {
            Ok(()) => {
                self.go_on(shared);
                Ok(())
            }
            Err(error) => self.end(shared, Err(error)),
        }
    }

    /// Goes on with the call if it has ended, and says so to nobody but the log if it has failed for good.
    fn go_on(self: &Arc<Self>, shared: &Shared) {
        if let Poll::Ready(Err(error)) = self.advance(shared) {
            telemetry::failed_one_way(shared.name(), &error);
        }
    }

    /// Asks for a place, and sends the call if there is one.
    ///
    /// # Errors
    ///
    /// There is none for it, or no worker can be sent it.
    fn enter(&self, shared: &Shared) -> Result<()> {
        let claim = self.letter.claim();
        loop {
            let ticket = self.progress().ticket;
            let arrival = ticket.map_or(Arrival::New, Arrival::Returning);
            let mut waiting = None;
            let leave_parcel = || {
                let (parcel, receipt) = self.parcel();
                waiting = Some(receipt);
                parcel
            };
            let entrance = shared
                .gate()
                .enter(claim, arrival, Instant::now(), leave_parcel)
                .map_err(|reason| refusal(reason, claim.function, shared))?;
            let (place, receipt, ticket) = match entrance {
                Entrance::Line(place, ticket) => (Some(place), waiting, ticket),
                Entrance::Open(admittance, ticket) => {
                    let receipt = self.submit(admittance, shared)?;
                    (None, receipt, ticket)
                }
            };
            let mut progress = self.progress();
            progress.ticket = Some(ticket);
            if receipt.is_some() {
                progress.place = place;
                progress.receipt = receipt;
                return Ok(());
            }
        }
    }

    /// Sends the call. `None` says that it was on a connection that had just closed.
    fn submit(&self, admittance: Admittance, shared: &Shared) -> Result<Option<Receipt>> {
        let Admittance {
            permit, connection, ..
        } = admittance;
        let (parcel, receipt) = self.parcel();
        match parcel.send(&connection, permit, true) {
            Handover::Sent | Handover::Needless(_) => Ok(Some(receipt)),
            Handover::Unsendable(reason, ..) => {
                Err(unsendable(reason, &self.letter.function, shared))
            }
            Handover::Closed(..) => {
                shared.close_slot(connection.worker());
                Ok(None)
            }
        }
    }

    fn parcel(&self) -> (Parcel, Receipt) {
        let (promise, receipt) = Promise::new();
        let letter = Arc::clone(&self.letter);
        (Parcel { letter, promise }, receipt)
    }

    /// Looks whether the call has ended, and goes on with it as long as it has not ended for good.
    fn advance(self: &Arc<Self>, shared: &Shared) -> Poll<Result<()>> {
        let waker = Waker::from(Arc::clone(self));
        let context = Context::from_waker(&waker);
        loop {
            let (outcome, receipt, place) = {
                let mut progress = self.progress();
                // Somebody else is at it, or was.
                let Some(mut receipt) = progress.receipt.take() else {
                    return Poll::Pending;
                };
                match receipt.poll(&context) {
                    Poll::Ready(outcome) => (outcome, receipt, progress.place.take()),
                    Poll::Pending => {
                        progress.receipt = Some(receipt);
                        return Poll::Pending;
                    }
                }
            };
            drop(place);
            if let Some(result) = self.settle(outcome, receipt.worker(), shared) {
                return Poll::Ready(self.end(shared, result));
            }
            if let Err(error) = self.enter(shared) {
                return Poll::Ready(self.end(shared, Err(error)));
            }
        }
    }

    /// Decides what an outcome means. `None` says that the call is to be sent again.
    fn settle(
        &self,
        outcome: Outcome,
        worker: Option<&WorkerIdentity>,
        shared: &Shared,
    ) -> Option<Result<()>> {
        let failure = match outcome {
            Ok(_) => return Some(Ok(())),
            Err(failure) => failure,
        };
        let case = Case {
            function: &self.letter.function,
            is_idempotent: self.is_idempotent,
            deadline: self.letter.deadline,
            worker,
        };
        match self.progress().history.judge(failure, case, shared) {
            Answer::Error(error) => return Some(Err(error)),
            Answer::Move => shared.counters().count_moved(),
            Answer::SendAgain(_) => {
                shared.overdraw_retries();
                shared.counters().count_resent();
            }
        }
        if let Some(worker) = worker {
            shared.close_slot(worker);
        }
        None
    }

    /// Notes how the call has ended.
    fn end(&self, shared: &Shared, result: Result<()>) -> Result<()> {
        let result = self.progress().history.amend(result);
        let error = result.as_ref().err();
        shared.counters().count_end(error);
        shared.note_end(self.trial, &self.letter.function, error);
        result
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Errand {
    fn wake(self: Arc<Self>) {
        // Without its pool there is nobody to tell.
        let Some(shared) = self.shared.upgrade() else {
            return;
        };
        self.go_on(&shared);
    }
}
