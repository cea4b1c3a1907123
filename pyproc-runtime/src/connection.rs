//! The frames between the host and one worker, with the calls in flight on it.
//!
//! [`Connection`] drives the protocol's state machine over a lane. Callers append their requests and write them in
//! their own turn; one driver per connection ([`Connection::drive`]) reads, hands out replies, and looks after the
//! timeouts and after what the lane did not take at once. No user code runs under the lock.

mod handshake;
mod turn;

pub(crate) use handshake::{Handshake, HandshakeError};
pub(crate) use turn::Lost;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Instant;

use pyproc_proto::{CallId, HostConnection, LogRecord, Rejected, Request, RequestError};
use tokio::io::Interest;
use tokio::sync::Notify;

use crate::death::Death;
use crate::error::WorkerIdentity;
use crate::lane::SocketLane;
use crate::ledger::{Entry, Failure};

/// The connection to one worker, from the end of the handshake to its loss.
#[derive(Debug)]
pub(crate) struct Connection {
    worker: WorkerIdentity,
    lane: SocketLane,
    state: Mutex<State>,
    /// Tells the driver that there is output left over, or a deadline before the one that it waits for.
    kick: Notify,
}

#[derive(Debug)]
struct State {
    protocol: HostConnection<Entry>,
    /// Nothing more may be sent: the worker is condemned, draining or gone.
    is_closed: bool,
    /// The worker has said goodbye: what it has not answered by then, it has not run.
    has_left: bool,
    rush: turn::Rush,
    /// What the driver's timer is set to.
    armed: Option<Instant>,
}

/// How many turns are spent on what a dead worker has left behind. A socket holds less than one turn reads; there is
/// more only when something that outlives the worker, a descendant of it, goes on writing.
const REST_TURNS: usize = 4;

/// What a connection tells its supervisor.
#[derive(Debug)]
pub(crate) enum Notice {
    /// A call did not end some time after its deadline.
    Overdue,
    /// The worker takes no more calls, and will end when it has finished those that it has.
    Draining,
}

/// Why a request was not sent.
#[derive(Debug)]
pub(crate) enum Unsent {
    /// The connection takes no more requests. Another worker may.
    Closed,
    /// The request itself is at fault.
    Invalid(RequestError),
}

impl Connection {
    /// Takes over from a finished handshake.
    pub(crate) fn new(worker: WorkerIdentity, handshake: Handshake) -> Self {
        let Handshake { lane, protocol } = handshake;
        let state = State {
            protocol,
            is_closed: false,
            has_left: false,
            rush: turn::Rush::default(),
            armed: None,
        };
        Self {
            worker,
            lane,
            state: Mutex::new(state),
            kick: Notify::new(),
        }
    }

    pub(crate) fn worker(&self) -> &WorkerIdentity {
        &self.worker
    }

    /// Enters the call into the ledger and sends it, as far as the lane takes it now. The entry comes back when the
    /// request is not sent.
    pub(crate) fn submit(
        self: &Arc<Self>,
        request: Request<'_>,
        entry: Entry,
    ) -> Result<(), (Unsent, Entry)> {
        let now = Instant::now();
        let deadline = request.deadline.map(|deadline| deadline.at);
        let mut state = self.lock();
        if state.is_closed {
            return Err((Unsent::Closed, entry));
        }
        let was_flushed = state.protocol.output().is_empty();
        let call = match state.protocol.request(request, entry, now) {
            Ok(call) => call,
            Err(Rejected { reason, token }) => {
                let unsent = match reason {
                    RequestError::NotReady | RequestError::Closed | RequestError::Draining => {
                        Unsent::Closed
                    }
                    reason => Unsent::Invalid(reason),
                };
                return Err((unsent, token));
            }
        };
        let entry = state.protocol.token(call);
        if entry.is_some_and(|entry| !entry.note_sent(self, call)) {
            state.protocol.cancel(call);
        }
        let is_flushed = was_flushed && self.flush(&mut state).is_ok_and(|flushed| flushed);
        let is_earlier =
            deadline.is_some_and(|deadline| state.armed.is_none_or(|armed| deadline < armed));
        drop(state);
        if !is_flushed || is_earlier {
            self.kick.notify_one();
        }
        Ok(())
    }

    /// Tells the worker that nobody waits for the call any more.
    pub(crate) fn cancel(&self, call: CallId) {
        let mut state = self.lock();
        state.protocol.cancel(call);
        drop(state);
        self.kick.notify_one();
    }

    /// Takes no more requests; those in flight go on.
    pub(crate) fn close(&self) {
        self.lock().is_closed = true;
    }

    /// Takes no more requests, and asks the worker to finish what it has and to end.
    pub(crate) fn drain(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        state.protocol.drain();
        drop(state);
        self.kick.notify_one();
    }

    /// Tells all callers that their calls are not waited for any more. The worker may still answer; nobody listens.
    pub(crate) fn cut(&self) {
        let callers: Vec<_> = self
            .lock()
            .protocol
            .tokens()
            .filter_map(Entry::cut)
            .collect();
        callers.into_iter().for_each(Waker::wake);
    }

    /// Ends all calls without having heard of the worker: its attendant is gone, and with it the runtime.
    pub(crate) fn abort(&self) {
        let in_flight = {
            let mut state = self.lock();
            state.is_closed = true;
            state.protocol.take_in_flight()
        };
        // Callers that are slow to fetch their outcome keep this connection; the worker must not.
        self.lane.shut_down();
        // An entry that is dropped ends as closed.
        drop(in_flight);
    }

    /// Reads what a worker that writes no more has left in the lane, and says whether it has said goodbye.
    pub(crate) fn read_rest(&self, mut tell: impl FnMut(ConnectionEvent)) -> bool {
        for _ in 0..REST_TURNS {
            match self.turn(&mut tell) {
                Ok(turn) if turn.is_unfinished => {}
                // All is read; or what follows, after a violation or an error, is lost.
                _ => break,
            }
        }
        self.lock().has_left
    }

    /// Ends every call that the worker did not answer. It must be certain that it will not: it is dead, or has said
    /// goodbye; and what it has left in the lane must have been read.
    pub(crate) fn bury(&self, death: &Arc<Death>) {
        let (in_flight, has_left) = {
            let mut state = self.lock();
            state.is_closed = true;
            (state.protocol.take_in_flight(), state.has_left)
        };
        for call in in_flight {
            call.token.end(Err(Failure::Died {
                taken: call.sent && !has_left,
                death: Arc::clone(death),
            }));
        }
    }

    /// Drives the connection until it is lost. Cancel safe: another driver may take over.
    pub(crate) async fn drive(&self, mut tell: impl FnMut(ConnectionEvent)) -> Lost {
        loop {
            let turn = match self.turn(&mut tell) {
                Ok(turn) => turn,
                Err(lost) => {
                    self.close();
                    return lost;
                }
            };
            if turn.is_unfinished {
                tokio::task::yield_now().await;
                continue;
            }
            let interest = if turn.is_flushed {
                Interest::READABLE
            } else {
                Interest::READABLE | Interest::WRITABLE
            };
            tokio::select! {
                ready = self.lane.ready(interest) => if let Err(error) = ready {
                    self.close();
                    return Lost::Io(error);
                },
                () = sleep_until(turn.timeout) => {}
                () = self.kick.notified() => {}
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the driver tells while it drives.
#[derive(Debug)]
pub(crate) enum ConnectionEvent {
    Notice(Notice),
    Log(LogRecord),
}

/// Waits until then; without a time, for ever.
pub(crate) async fn sleep_until(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant.into()).await,
        None => std::future::pending().await,
    }
}
