//! A call that waits, in a form in which it can be sent without its caller.

use std::sync::Arc;
use std::time::Instant;

use pyproc_proto::RequestError;

use super::claim::{Claim, Waits};
use super::letter::Letter;
use crate::connection::{Connection, Sender, Unsent};
use crate::ledger::{Failure, Permit, Promise, Refusal};

/// What a waiting call leaves with the line.
///
/// Whoever frees a place sends it, so that a future that is alive and not polled keeps no place from others.
#[derive(Debug)]
pub(crate) struct Parcel {
    /// Apart from it, because the line moves parcels often, and while others wait for its lock.
    pub(crate) letter: Arc<Letter>,
    pub(crate) promise: Promise,
}

/// What became of a parcel whose turn has come. A permit that comes back is for the caller to return: dropped here, it
/// would give the place to the next parcel while this one is still being dealt with, and so on through the whole line.
pub(crate) enum Handover {
    Sent,
    /// Nobody waits for the call any more.
    Needless(Option<Permit>),
    /// No worker can be sent it.
    Unsendable(RequestError, Promise, Option<Permit>),
    /// The connection takes no more requests.
    Closed(Parcel, Option<Permit>),
}

impl Parcel {
    /// Sends the call; where others follow, together with them.
    pub(crate) fn send(
        self,
        connection: &Arc<Connection>,
        permit: Permit,
        is_last: bool,
    ) -> Handover {
        if self.promise.is_abandoned() {
            return Handover::Needless(Some(permit));
        }
        let Self { letter, promise } = self;
        let (request, entry) = (letter.request(), promise.with_permit(Some(permit)));
        match connection.submit(request, entry, Sender::Line { is_last }, Instant::now()) {
            Ok(_) => Handover::Sent,
            Err((Unsent::Invalid(reason), entry)) => {
                let (promise, permit) = entry.withdraw();
                Handover::Unsendable(reason, promise, permit)
            }
            Err((Unsent::Closed, entry)) => {
                let (promise, permit) = entry.withdraw();
                Handover::Closed(Self { letter, promise }, permit)
            }
        }
    }

    pub(super) fn refuse(self, refusal: Refusal) {
        self.promise.keep(Err(Failure::Refused(refusal)));
    }
}

impl Waits for Parcel {
    fn claim(&self) -> Claim<'_> {
        self.letter.claim()
    }
}
