//! The host's end of a connection.

mod binary;
mod commands;
mod event;
mod functions;
mod input;
mod items;
mod json;
mod request;

pub use event::HostEvent;
pub use functions::Mode;
pub use items::ItemError;
pub use request::{Body, Rejected, Request, RequestError};

use std::collections::VecDeque;
use std::io::IoSlice;
use std::time::Instant;

use super::in_flight::Table;
use super::output::Output;
use super::progress::{Progress, earlier};
use super::{Limits, Protocol};
use crate::frame::Outgoing;
use crate::id::CallIds;
use crate::{CallId, Decoder, FunctionIndex, Hello, Kind, ProtocolError, Welcome};
use functions::FunctionTable;

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
    functions: FunctionTable,
    /// In how many threads the worker was told to run its functions.
    threads: u32,
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
        connection.threads = hello.threads;
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
            decoder: Decoder::new(limits.frame_limit()),
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
            functions: FunctionTable::default(),
            threads: 1,
            pings: Pings::default(),
        }
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
        Some(self.functions.get(name)?.index)
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

    /// What the host attached to a call in flight, to be changed.
    pub fn token_mut(&mut self, call: CallId) -> Option<&mut T> {
        self.in_flight.get_mut(call)
    }

    /// The name of the function that a call in flight is of; `None` under the JSON protocol, which
    /// has no table.
    pub fn function_of(&self, call: CallId) -> Option<&str> {
        self.functions.name(self.in_flight.function(call)?)
    }

    /// The place in the worker's table of the function that a call in flight is of; `None` under the
    /// JSON protocol, which has no table.
    pub fn function_index_of(&self, call: CallId) -> Option<FunctionIndex> {
        self.in_flight.function(call)
    }

    /// In how many threads the worker was told to run its functions.
    pub fn threads(&self) -> u32 {
        self.threads
    }

    /// How the worker runs a call in flight.
    pub fn mode_of(&self, call: CallId) -> Option<Mode> {
        self.in_flight.mode(call)
    }

    /// The calls in flight, and how the worker runs each, in no particular order.
    pub fn calls(&self) -> impl Iterator<Item = (CallId, Mode)> {
        self.in_flight.calls()
    }

    /// The call in flight that was requested before all others that have the worker to themselves,
    /// streams left aside: the one that it runs, as far as its answers tell.
    pub fn oldest(&self) -> Option<CallId> {
        self.in_flight.oldest()
    }

    /// Since when a call in flight is unwanted: since its deadline, which it has
    /// [passed](HostEvent::Expired), or since it was cancelled, where that
    /// [counts](Self::interrupts_cancelled).
    pub fn unwanted_since(&self, call: CallId) -> Option<Instant> {
        self.in_flight.unwanted_since(call)
    }

    /// Whether any call in flight is cancelled or unwanted. It takes as long as there are calls.
    pub fn has_unwanted(&self) -> bool {
        self.in_flight.has_unwanted()
    }

    /// The deadline of a call in flight that has [passed](HostEvent::Expired) it.
    pub fn late_since(&self, call: CallId) -> Option<Instant> {
        self.in_flight.late_since(call)
    }

    /// Since when nobody waits for a call in flight any more.
    pub fn cancelled_since(&self, call: CallId) -> Option<Instant> {
        self.in_flight.cancelled_since(call)
    }

    /// What the host attached to each of the calls in flight, in no particular order.
    pub fn tokens(&self) -> impl Iterator<Item = &T> {
        self.in_flight.tokens()
    }
}

/// Output.
impl<T> HostConnection<T> {
    /// The bytes that wait for the lane, in order, as far as they lie together; empty only if
    /// there are none.
    pub fn output(&self) -> &[u8] {
        self.output.pending()
    }

    /// The bytes that wait for the lane, in order, in as many of the slices as they take. Returns
    /// how many slices were filled; where there are too few of them, more bytes follow.
    pub fn output_slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        self.output.pending_slices(slices)
    }

    /// How many bytes wait for the lane.
    pub fn output_len(&self) -> usize {
        self.output.pending_len()
    }

    /// The lane took the first `written` bytes that were waiting.
    pub fn advance_output(&mut self, written: usize) {
        self.output.advance(written);
    }

    /// Appends a frame, where the protocol has frames and the connection is still open.
    fn send(&mut self, frame: &Outgoing<'_>) {
        let open = !matches!(self.state, State::Left | State::Closed);
        if open && self.protocol == Protocol::Binary {
            frame.write(self.output.buffer_mut());
        }
    }
}
