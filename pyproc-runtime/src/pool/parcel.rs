//! A call that waits, in a form in which it can be sent without its caller.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use pyproc_proto::{Body, DeadlineClock, Metadata, Request};

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
    pub(crate) clock: DeadlineClock,
    pub(crate) promise: Promise,
}

impl Parcel {
    /// Sends the call. The parcel and the permit come back when the connection takes no more requests.
    pub(super) fn send(
        self,
        connection: &Arc<Connection>,
        permit: Permit,
    ) -> Result<(), (Self, Option<Permit>)> {
        if self.promise.is_abandoned() {
            return Ok(());
        }
        let Self {
            function,
            body,
            deadline,
            clock,
            promise,
        } = self;
        let metadata = Metadata::default();
        let request = Request {
            function: &function,
            body: Body::Shared(&body),
            deadline: deadline.map(|at| deadline::on_the_wire(at, clock)),
            metadata: &metadata,
        };
        let entry = promise.with_permit(Some(permit));
        match connection.submit(request, entry, Sender::Line, Instant::now()) {
            Ok(_) => Ok(()),
            Err((Unsent::Invalid(reason), entry)) => {
                entry.end(Err(Failure::Unsendable(reason)));
                Ok(())
            }
            Err((Unsent::Closed, entry)) => {
                let (promise, permit) = entry.withdraw();
                let parcel = Self {
                    function,
                    body,
                    deadline,
                    clock,
                    promise,
                };
                Err((parcel, permit))
            }
        }
    }

    pub(super) fn refuse(self, refusal: Refusal) {
        self.promise.keep(Err(Failure::Refused(refusal)));
    }
}
