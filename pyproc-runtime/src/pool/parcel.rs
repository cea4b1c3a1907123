//! A call that waits, in a form in which it can be sent without its caller.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use pyproc_proto::{Body, DeadlineClock, Metadata, Request, RequestError};

use super::claim::{Claim, Priority, Waits};
use crate::connection::{Connection, Sender, Unsent};
use crate::deadline;
use crate::ledger::{Failure, Permit, Promise, Refusal};

/// What a waiting call leaves with the line.
///
/// Whoever frees a place sends it, so that a future that is alive and not polled keeps no place from others.
#[derive(Debug)]
pub(crate) struct Parcel {
    pub(crate) function: Box<str>,
    pub(crate) body: Bytes,
    pub(crate) deadline: Option<Instant>,
    pub(crate) priority: Priority,
    pub(crate) key: Option<u64>,
    pub(crate) clock: DeadlineClock,
    /// `None` where there are none.
    pub(crate) metadata: Option<Box<Metadata>>,
    /// For a stream, what the worker may send of it at first.
    pub(crate) credit: Option<u32>,
    /// Whether its caller has items of an argument to send afterwards.
    pub(crate) has_items: bool,
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

static NO_METADATA: Metadata = Metadata::new();

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
        let Self {
            function,
            body,
            deadline,
            priority,
            key,
            clock,
            metadata,
            credit,
            has_items,
            promise,
        } = self;
        let request = Request {
            function: &function,
            body: Body::Shared(&body),
            deadline: deadline.map(|at| deadline::on_the_wire(at, clock)),
            metadata: metadata.as_deref().unwrap_or(&NO_METADATA),
            credit,
            has_items,
        };
        let entry = promise.with_permit(Some(permit));
        match connection.submit(request, entry, Sender::Line { is_last }, Instant::now()) {
            Ok(_) => Handover::Sent,
            Err((Unsent::Invalid(reason), entry)) => {
                let (promise, permit) = entry.withdraw();
                Handover::Unsendable(reason, promise, permit)
            }
            Err((Unsent::Closed, entry)) => {
                let (promise, permit) = entry.withdraw();
                let parcel = Self {
                    function,
                    body,
                    deadline,
                    priority,
                    key,
                    clock,
                    metadata,
                    credit,
                    has_items,
                    promise,
                };
                Handover::Closed(parcel, permit)
            }
        }
    }

    pub(super) fn refuse(self, refusal: Refusal) {
        self.promise.keep(Err(Failure::Refused(refusal)));
    }
}

impl Waits for Parcel {
    fn claim(&self) -> Claim<'_> {
        Claim {
            function: &self.function,
            deadline: self.deadline,
            priority: self.priority,
            key: self.key,
        }
    }
}
