//! A worker's end of a connection.

mod answer;
mod binary;
mod event;
mod input;
mod items;
mod json;
mod reply;
mod stream;
mod unanswered;

pub use answer::AnswerError;
pub use event::{FunctionRef, WorkerEvent};
pub use reply::{ReplyBody, ReplyError};

use std::collections::VecDeque;
use std::time::Instant;

use super::output::Output;
use super::progress::Progress;
use super::{Limits, Protocol};
use crate::frame::Outgoing;
use crate::id::CallIds;
use crate::{Decoder, Kind, ProtocolError};
use unanswered::Unanswered;

/// A worker's end of a connection: a state machine without input or output, which a driver moves
/// in the order that [`HostConnection`](crate::HostConnection) describes.
///
/// It recognizes the protocol from the first byte that it reads. Each request that it hands out
/// must be answered once, with [`reply`](Self::reply) or [`error`](Self::error), or, where a stream
/// is wanted, with as many [`item`](Self::item)s as there are and [`end`](Self::end) or
/// [`error`](Self::error); a second answer is refused here, and never reaches the wire.
///
/// An `Err` from one of the `handle_` methods condemns the connection for good. Output may be
/// pending then that tells the host why; it should still be written.
#[derive(Debug)]
pub struct WorkerConnection {
    protocol: Option<Protocol>,
    decoder: Decoder,
    progress: Progress,
    output: Output,
    events: VecDeque<WorkerEvent>,
    state: State,
    condemned: Option<ProtocolError>,
    /// The calls that wait for their answer, with the ids that the host knows them by.
    unanswered: Unanswered,
    /// Under the JSON protocol ids are the host's own business: they may repeat, or be 0. So
    /// calls get ids of this side's there.
    ids: CallIds,
    /// The highest id of a request in the binary protocol.
    last_call: u64,
}

/// How far the connection has come. The JSON protocol begins with `Ready`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The `Hello` is not there yet.
    Waiting,
    /// The host waits for the `Welcome`.
    Greeted,
    /// Requests come.
    Ready,
    /// No more requests come: the host said so, or the stream ended.
    Drained,
    /// This side said goodbye or refused the host. What crossed it on the way is ignored.
    Left,
    /// The host has said goodbye, or broke the grammar.
    Closed,
}

impl WorkerConnection {
    /// A connection on which nothing has happened yet. `now` is taken for the sake of uniformity:
    /// a host that connects and stays silent costs nothing and is left alone.
    pub fn new(limits: Limits, _now: Instant) -> Self {
        Self {
            protocol: None,
            decoder: Decoder::new(limits.frame_limit()),
            progress: Progress::new(limits.progress_timeout),
            output: Output::default(),
            events: VecDeque::new(),
            state: State::Waiting,
            condemned: None,
            unanswered: Unanswered::default(),
            ids: CallIds::new(),
            last_call: 0,
        }
    }

    /// A connection in the binary protocol whose `Hello` and `Welcome` were exchanged elsewhere,
    /// with the limit that they agreed on: requests can come.
    pub fn after_handshake(limits: Limits, now: Instant) -> Self {
        Self {
            protocol: Some(Protocol::Binary),
            state: State::Ready,
            ..Self::new(limits, now)
        }
    }
}

/// Events and timers.
impl WorkerConnection {
    /// What the host did, in order; `None` when all of it was told.
    pub fn poll_event(&mut self) -> Option<WorkerEvent> {
        self.events.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due, or `None` for never.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.condemned.is_some() {
            return None;
        }
        self.progress.deadline()
    }

    /// What is spoken here, once the host has shown it.
    pub fn protocol(&self) -> Option<Protocol> {
        self.protocol
    }

    /// How many calls wait for their answer.
    pub fn unanswered_len(&self) -> usize {
        self.unanswered.len()
    }
}

/// Output.
impl WorkerConnection {
    /// The bytes that wait for the lane, in order, as far as they lie together.
    pub fn output(&self) -> &[u8] {
        self.output.pending()
    }

    /// All the bytes that wait for the lane, in order, in the pieces in which they lie. A frame
    /// may go across several of them.
    pub fn output_pieces(&self) -> impl Iterator<Item = &[u8]> + Clone {
        let pieces = self.output.pending_pieces();
        pieces.filter(|piece| !piece.is_empty())
    }

    /// How many bytes wait for the lane.
    pub fn output_len(&self) -> usize {
        self.output.pending_len()
    }

    /// The lane took the first `written` bytes that were waiting.
    pub fn advance_output(&mut self, written: usize) {
        self.output.advance(written);
        // Nothing that comes would be read into the memory of a reply, so none is kept.
        drop(self.output.take_spare());
    }

    /// Appends a frame, where the protocol has frames and the host is still there.
    fn send(&mut self, frame: &Outgoing<'_>) {
        if self.is_open() && self.protocol == Some(Protocol::Binary) {
            frame.write(self.output.buffer_mut());
        }
    }

    /// Tells the host to send no more requests. The JSON protocol has no word for it.
    pub fn drain(&mut self) {
        self.send(&Outgoing::of_connection(Kind::Drain, &[]));
    }

    /// Tells the host that the connection ends here; nothing can be sent after it. The JSON
    /// protocol has no word for it: there, closing the lane says the same.
    pub fn goodbye(&mut self) {
        if self.is_open() {
            self.send(&Outgoing::of_connection(Kind::Goodbye, &[]));
            self.state = State::Left;
        }
    }

    /// Whether anything can still be sent.
    fn is_open(&self) -> bool {
        !matches!(self.state, State::Left | State::Closed)
    }
}
