//! The host's end of a connection.

mod binary;
mod event;
mod json;
mod request;

pub use event::HostEvent;
pub use request::{Rejected, Request, RequestError};

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use bytes::BytesMut;

use super::in_flight::{Late, Table};
use super::output::Output;
use super::progress::{Progress, earlier};
use super::{InFlight, Limits, Protocol};
use crate::frame::Outgoing;
use crate::id::CallIds;
use crate::{CallId, Decoder, FunctionIndex, Hello, Kind, ProtocolError, Welcome};

/// The host's end of a connection: a state machine without input or output.
///
/// A driver goes through its methods in this order on every turn:
///
/// 1. **Input.** Read into [`input_mut`](Self::input_mut), then [`handle_input`]; at the end of the
///    stream [`handle_eof`]; when [`poll_timeout`] has passed, [`handle_timeout`]. Input comes
///    before timeouts, so that what arrived in time is never taken for late.
/// 2. **Events.** [`poll_event`] until it returns `None`.
/// 3. **Commands**, such as [`request`](Self::request), as often as there is something to say.
/// 4. **Output.** Write what [`output`](Self::output) returns, say with
///    [`advance_output`](Self::advance_output) how much of it the lane took, and sleep until the
///    lane is ready or [`poll_timeout`] passes.
///
/// [`handle_input`]: Self::handle_input
/// [`handle_eof`]: Self::handle_eof
/// [`handle_timeout`]: Self::handle_timeout
/// [`poll_timeout`]: Self::poll_timeout
/// [`poll_event`]: Self::poll_event
///
/// `T` is what the host attaches to each call in flight, its ledger entry. The connection gives
/// every token back exactly once: in the event that ends its call, in [`Rejected`], or from
/// [`take_in_flight`](Self::take_in_flight).
///
/// An `Err` from one of the `handle_` methods condemns the connection for good: they return the
/// same error ever after, and no request is taken. Events that came before it can still be polled.
#[derive(Debug)]
pub struct HostConnection<T> {
    protocol: Protocol,
    limits: Limits,
    decoder: Decoder,
    progress: Progress,
    output: Output,
    events: VecDeque<HostEvent<T>>,
    in_flight: Table<T>,
    ids: CallIds,
    state: State,
    condemned: Option<ProtocolError>,
    /// The codec that the `Hello` named, which the `Welcome` must name as well.
    codec: String,
    welcome: Option<Welcome>,
    functions: HashMap<String, FunctionIndex>,
    pings: Pings,
}

/// How far the connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The `Hello` is on its way, and the answer is due.
    Greeting { due: Option<Instant> },
    /// Calls can be made.
    Ready,
    /// No calls can be made any more; those in flight can still be answered.
    Draining,
    /// This side said goodbye. Answers that crossed it on the way are still good.
    Left,
    /// The worker said goodbye or refused the handshake, or the stream ended: nothing may come.
    Closed,
}

/// Pings are numbered, and answered in order.
#[derive(Debug, Default)]
struct Pings {
    sent: u64,
    answered: u64,
}

impl<T> HostConnection<T> {
    /// A connection in the binary protocol. It begins with `hello`, whose `max_frame` should be
    /// that of `limits`, and becomes ready with the worker's answer.
    pub fn binary(hello: &Hello, limits: Limits, now: Instant) -> Self {
        let due = now.checked_add(limits.handshake_timeout);
        let mut connection = Self::new(Protocol::Binary, limits, State::Greeting { due });
        connection.codec.clone_from(&hello.codec);
        // Numbers, strings and lists of strings can always be written as JSON.
        let body = serde_json::to_vec(hello).unwrap_or_default();
        connection.send(&Outgoing::of_connection(Kind::Hello, &body));
        connection
    }

    /// A connection in the JSON protocol, which has no handshake: it is ready at once and knows
    /// no table of functions. `now` is taken for the sake of uniformity.
    pub fn json(limits: Limits, _now: Instant) -> Self {
        Self::new(Protocol::Json, limits, State::Ready)
    }

    fn new(protocol: Protocol, limits: Limits, state: State) -> Self {
        Self {
            protocol,
            decoder: Decoder::new(limits.max_frame()),
            progress: Progress::new(limits.progress_timeout),
            output: Output::default(),
            events: VecDeque::new(),
            in_flight: Table::new(limits.overdue_after),
            ids: CallIds::new(),
            limits,
            state,
            condemned: None,
            codec: String::new(),
            welcome: None,
            functions: HashMap::new(),
            pings: Pings::default(),
        }
    }
}

/// Input.
impl<T> HostConnection<T> {
    /// Where the driver reads to. Only append to it.
    pub fn input_mut(&mut self) -> &mut BytesMut {
        self.decoder.buffer_mut()
    }

    /// Takes in what was appended to [`input_mut`](Self::input_mut).
    ///
    /// # Errors
    ///
    /// The worker broke the grammar; the connection is condemned.
    pub fn handle_input(&mut self, now: Instant) -> Result<(), ProtocolError> {
        self.unless_condemned(|connection| {
            let mut completed = false;
            while connection.handle_next()? {
                completed = true;
            }
            let progress = &mut connection.progress;
            progress.observe(completed, &connection.decoder, now);
            Ok(())
        })
    }

    /// The worker closed its end. Nothing can be requested any more.
    ///
    /// # Errors
    ///
    /// [`ProtocolError::UnexpectedEof`] in the middle of a frame; the connection is condemned.
    pub fn handle_eof(&mut self) -> Result<(), ProtocolError> {
        self.unless_condemned(|connection| {
            connection.state = State::Closed;
            if connection.decoder.is_partial() {
                let received = connection.decoder.buffered_len();
                return Err(ProtocolError::UnexpectedEof { received });
            }
            Ok(())
        })
    }

    /// Lets every timer fire that is due. Input that has arrived must have been handled first.
    ///
    /// # Errors
    ///
    /// The handshake or a frame was not done in time; the connection is condemned.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), ProtocolError> {
        self.unless_condemned(|connection| {
            match connection.state {
                State::Greeting { due: Some(due) } if due <= now => {
                    let timeout = connection.limits.handshake_timeout;
                    return Err(ProtocolError::HandshakeTimeout { timeout });
                }
                _ => connection.progress.check(&connection.decoder, now)?,
            }
            let events = &mut connection.events;
            connection.in_flight.fire(now, |late| {
                events.push_back(match late {
                    Late::Expired(call) => HostEvent::Expired { call },
                    Late::Overdue(call) => HostEvent::Overdue { call },
                });
            });
            Ok(())
        })
    }

    /// Handles one frame or message. Returns whether there was one.
    fn handle_next(&mut self) -> Result<bool, ProtocolError> {
        match self.protocol {
            Protocol::Binary => match self.decoder.next_frame()? {
                Some(frame) => self.handle_frame(frame).map(|()| true),
                None => Ok(false),
            },
            Protocol::Json => match self.decoder.next_payload()? {
                Some(payload) => self.handle_message(&payload).map(|()| true),
                None => Ok(false),
            },
        }
    }

    fn unless_condemned(
        &mut self,
        handle: impl FnOnce(&mut Self) -> Result<(), ProtocolError>,
    ) -> Result<(), ProtocolError> {
        if let Some(error) = &self.condemned {
            return Err(error.clone());
        }
        let result = handle(self);
        if let Err(error) = &result {
            self.condemned = Some(error.clone());
            self.state = State::Closed;
        }
        result
    }
}

/// Events and timers.
impl<T> HostConnection<T> {
    /// What happened, in order; `None` when all of it was told.
    pub fn poll_event(&mut self) -> Option<HostEvent<T>> {
        self.events.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due, or `None` for never. It may be too
    /// early, because calls that were answered leave it as it was, but never too late.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.condemned.is_some() {
            return None;
        }
        let frame = match self.state {
            State::Greeting { due } => earlier(due, self.progress.deadline()),
            _ => self.progress.deadline(),
        };
        earlier(frame, self.in_flight.earliest())
    }

    /// Whether calls can be made.
    pub fn is_ready(&self) -> bool {
        self.state == State::Ready
    }

    /// The place of a function in the worker's table; always `None` under the JSON protocol,
    /// which has no table.
    pub fn function(&self, name: &str) -> Option<FunctionIndex> {
        self.functions.get(name).copied()
    }

    /// What the worker said of itself, once it has.
    pub fn welcome(&self) -> Option<&Welcome> {
        self.welcome.as_ref()
    }

    /// How many calls are in flight: requested, and not answered yet.
    pub fn in_flight_len(&self) -> usize {
        self.in_flight.len()
    }

    /// What the host attached to a call in flight.
    pub fn token(&self, call: CallId) -> Option<&T> {
        self.in_flight.get(call)
    }

    /// What the host attached to each of the calls in flight, in no particular order.
    pub fn tokens(&self) -> impl Iterator<Item = &T> {
        self.in_flight.tokens()
    }
}

/// Commands.
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
            Ok(call) => {
                self.in_flight
                    .insert(call, token, self.output.end(), deadline);
                Ok(call)
            }
            Err(reason) => Err(Rejected { token, reason }),
        }
    }

    fn queue_request(
        &mut self,
        request: &Request<'_>,
        now: Instant,
    ) -> Result<CallId, RequestError> {
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
            Protocol::Json => self.queue_message(request),
        }
    }

    /// Notes that nobody waits for a call any more, and tells the worker so where the protocol can.
    /// The call stays in flight until the worker answers it; one that is not in flight is ignored.
    pub fn cancel(&mut self, call: CallId) {
        if self.in_flight.abandon(call) {
            self.send(&Outgoing::of_call(Kind::Cancel, call.get(), &[]));
        }
    }

    /// Asks the worker to answer with [`HostEvent::Pong`]. Nothing under the JSON protocol, where
    /// a call of `health` serves instead.
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

    /// Appends a frame, where the protocol has frames and the connection is still open.
    fn send(&mut self, frame: &Outgoing<'_>) {
        let open = !matches!(self.state, State::Left | State::Closed);
        if open && self.protocol == Protocol::Binary {
            frame.write(self.output.buffer_mut());
        }
    }
}

/// Output.
impl<T> HostConnection<T> {
    /// The bytes that wait for the lane, in order.
    pub fn output(&self) -> &[u8] {
        self.output.pending()
    }

    /// The lane took the first `written` bytes of [`output`](Self::output).
    pub fn advance_output(&mut self, written: usize) {
        self.output.advance(written);
    }
}
