//! What a host can say on its end.

use std::time::Instant;

use super::super::in_flight::Manner;
use super::super::{InFlight, Protocol};
use super::{HostConnection, Mode, Rejected, Request, RequestError, State};
use crate::frame::Outgoing;
use crate::{CallId, FunctionIndex, Kind};

impl<T> HostConnection<T> {
    /// Requests a call. The frame is appended to the output whole, and its id follows the one
    /// before it. A warm connection allocates nothing for it.
    ///
    /// # Errors
    ///
    /// [`Rejected`] gives the token back and says why; nothing was written then, and the
    /// connection goes on as before.
    pub fn request(
        &mut self,
        request: Request<'_>,
        token: T,
        now: Instant,
    ) -> Result<CallId, Rejected<T>> {
        let deadline = request.deadline.map(|deadline| deadline.at);
        match self.queue_request(&request, now) {
            Ok(Queued {
                call,
                function,
                mode,
                items,
            }) => {
                let end = self.output.end();
                let is_stream = request.credit.is_some();
                let manner = Manner { mode, is_stream };
                let table = &mut self.in_flight;
                table.insert(call, function, token, end, deadline, manner);
                if let Some(credit) = request.credit {
                    self.grant(call, credit);
                }
                if let Some(place) = items {
                    self.in_flight.expect_items(call, place);
                }
                Ok(call)
            }
            Err(reason) => Err(Rejected { token, reason }),
        }
    }

    fn queue_request(
        &mut self,
        request: &Request<'_>,
        now: Instant,
    ) -> Result<Queued, RequestError> {
        match self.state {
            State::Greeting { .. } => return Err(RequestError::NotReady),
            State::Draining => return Err(RequestError::Draining),
            State::Left | State::Closed => return Err(RequestError::Closed),
            State::Ready => {}
        }
        if request.deadline.is_some_and(|deadline| deadline.at <= now) {
            return Err(RequestError::DeadlinePassed);
        }
        match self.protocol {
            Protocol::Binary => self.queue_frame(request),
            Protocol::Json if request.credit.is_some() || request.has_items => {
                Err(RequestError::NoStreams {
                    name: request.function.to_owned(),
                })
            }
            Protocol::Json => self.queue_message(request).map(|call| Queued {
                call,
                function: None,
                mode: Mode::Alone,
                items: None,
            }),
        }
    }

    /// Lets the worker send so many more bytes of a stream, its frames counted whole. Ignored for
    /// what is no stream in flight, and for one that was cancelled.
    pub fn grant(&mut self, call: CallId, bytes: u32) {
        if bytes > 0 && self.in_flight.grant(call, bytes) {
            let body = bytes.to_be_bytes();
            self.send(&Outgoing::of_call(Kind::Credit, call.get(), &body));
        }
    }

    /// Says that this host interrupts a call that runs when it is cancelled. From now on such a call
    /// becomes overdue as one does that is late.
    pub fn interrupts_cancelled(&mut self) {
        self.in_flight.count_cancelled_as_unwanted();
    }

    /// Notes that nobody waits for a call any more, and tells the worker so where the protocol can.
    /// The call stays in flight until the worker answers it; one that is not in flight is ignored.
    pub fn cancel(&mut self, call: CallId, now: Instant) {
        if self.in_flight.abandon(call, now) {
            self.send(&Outgoing::of_call(Kind::Cancel, call.get(), &[]));
        }
    }

    /// Asks the worker to answer with [`Pong`](crate::HostEvent::Pong). Nothing happens under the
    /// JSON protocol, where a call of `health` serves instead.
    pub fn ping(&mut self) {
        if matches!(self.state, State::Ready | State::Draining) {
            self.pings.sent += 1;
            let body = self.pings.sent.to_be_bytes();
            self.send(&Outgoing::of_connection(Kind::Ping, &body));
        }
    }

    /// Tells the worker to finish what it has; no more calls can be made. The JSON protocol has
    /// no word for it, so there only the second half happens.
    pub fn drain(&mut self) {
        if self.state == State::Ready {
            self.state = State::Draining;
            self.send(&Outgoing::of_connection(Kind::Drain, &[]));
        }
    }

    /// Tells the worker that the connection ends here; nothing can be sent after it. The JSON
    /// protocol has no word for it: there, closing the lane says the same.
    pub fn goodbye(&mut self) {
        if self.state != State::Closed {
            self.send(&Outgoing::of_connection(Kind::Goodbye, &[]));
            self.state = State::Left;
        }
    }

    /// Takes out all calls in flight, in the order of their requests, for the host to judge once
    /// it knows that no answer will come.
    pub fn take_in_flight(&mut self) -> Vec<InFlight<T>> {
        self.in_flight.take(self.output.written())
    }
}

/// A request that is in the output.
pub(super) struct Queued {
    pub(super) call: CallId,
    /// Under the JSON protocol there is no table that it could stand in.
    pub(super) function: Option<FunctionIndex>,
    pub(super) mode: Mode,
    /// The place of the parameter whose items follow.
    pub(super) items: Option<u16>,
}
