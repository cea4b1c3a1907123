//! The frames between the host and one worker, with the calls in flight on it.
//!
//! [`Connection`] drives the protocol's state machine over a lane. Callers append their requests; the one that is alone
//! writes its own, and may look for its own reply. One driver per connection ([`Connection::drive`]) writes for all the
//! others, reads, hands out replies, and looks after the timeouts and after what the lane did not take at once. No user
//! code runs under the lock.

mod driver;
mod handshake;
mod look;
mod running;
mod turn;

pub(crate) use handshake::{Handshake, HandshakeError};
pub(crate) use look::Look;
pub(crate) use running::{LOOK_AGAIN, Survey, Unwanted};
use turn::Harvest;
pub(crate) use turn::Lost;

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError};
use std::task::Waker;
use std::time::Instant;

use pyproc_proto::{
    CallId, HostConnection, HostEvent, ItemError, LogRecord, Rejected, Request, RequestError,
};
use tokio::sync::Notify;

use crate::death::DeathReport;
use crate::error::WorkerIdentity;
use crate::lane::SocketLane;
use crate::ledger::{Begun, Entry, Failure, Items};
use crate::pool::room_for;
use crate::spin::{Spin, Spinner};
use crate::state_page::StatePage;
use crate::sync::{Mutex, MutexGuard};

/// The connection to one worker, from the end of the handshake to its loss.
#[derive(Debug)]
pub(crate) struct Connection {
    worker: WorkerIdentity,
    lane: SocketLane,
    /// `None` where there is none: less is known then.
    page: Option<StatePage>,
    state: Mutex<State>,
    /// Tells the driver that there is something for it to do that the lane will not wake it for.
    kick: Notify,
    /// Tells of a call that was submitted while there was none, if that is asked for.
    first_call: Notify,
}

#[derive(Debug)]
struct State {
    protocol: HostConnection<Entry>,
    /// Nothing more may be sent: the worker is condemned, draining or gone.
    is_closed: bool,
    /// The worker has said goodbye: what it has not answered by then, it has not run.
    has_left: bool,
    rush: turn::Rush,
    spinner: Spinner,
    /// Whether the driver was told to write what is in the output.
    is_driver_writing: bool,
    /// Whether the lane wakes the driver.
    is_watched: bool,
    /// Whether the one call in flight has a caller that looks for its reply.
    is_looked_for: bool,
    /// Changes with every request and with all that is read.
    progress: u64,
    /// How many answers were read.
    answered: u64,
    /// Whether one of them was to a call, and not to a check of the worker's health.
    has_answered: bool,
    /// The check that was sent last.
    check: Option<CallId>,
    /// How many answers in a row were exceptions.
    errors_in_a_row: u32,
    /// So many of them are told to the supervisor.
    suspicious_errors: Option<u32>,
    is_suspect: bool,
    /// The greatest id of a call that the worker has answered with a value, 0 if there is none.
    returned: u64,
    /// There are `Cancel`s of which the state page does not tell yet.
    has_cancels: bool,
    /// A call was cancelled of which the attendant has not been told.
    has_unwanted: bool,
    /// What a caller has read that only the driver can deal with.
    for_driver: VecDeque<HostEvent<Entry>>,
    /// What the driver's timer is set to.
    armed: Option<Instant>,
    /// Somebody waits for the next call.
    is_call_awaited: bool,
}

/// Who sends a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sender {
    /// Its caller, whose call is the only one in the pool; so nobody suffers when it looks for the reply.
    LoneCaller,
    /// Its caller.
    Caller,
    /// Its caller, who makes others too and then calls [`send_held`](Connection::send_held).
    OneOfMany,
    /// Somebody else, so that its caller may have gone: the line, when its turn has come. Others may follow at once, which
    /// are sent together with it.
    Line { is_last: bool },
    /// The supervisor, which checks the worker's health. There is one such call at a time.
    Supervisor,
}

/// A call that was sent, or soon will be.
#[derive(Debug)]
pub(crate) struct Submitted {
    pub(crate) call: CallId,
    /// The look that the caller now owes the connection.
    pub(crate) look: Option<Look>,
}

/// From so many bytes on, requests do not wait for the driver, so that the worker begins while more of them come.
const FLUSH_BYTES: usize = 4 * 1024;

/// How many turns are spent on what a dead worker has left behind. A socket holds less than as many reads bring, and
/// each turn reads; there is more only when something that outlives the worker, a descendant of it, goes on writing.
const REST_TURNS: usize = 64;

/// What a connection tells its supervisor.
#[derive(Debug)]
pub(crate) enum Notice {
    /// The worker has a call whose deadline has passed, or that was cancelled, and by the state page it can be known
    /// whether it runs it.
    Unwanted,
    /// This call did not end some time after its deadline, or after it was cancelled.
    Overdue(CallId),
    /// This call, which shares its worker with others, did not either.
    Abandoned(CallId),
    /// The worker takes no more calls, and will end when it has finished those that it has.
    Draining,
    /// The worker has answered many calls in a row with exceptions.
    Suspect,
}

/// What the driver tells while it drives.
#[derive(Debug)]
pub(crate) enum ConnectionEvent {
    Notice(Notice),
    Log(LogRecord),
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
    pub(crate) fn new(
        worker: WorkerIdentity,
        handshake: Handshake,
        page: Option<StatePage>,
        spin: Spin,
    ) -> Self {
        let Handshake { lane, protocol, .. } = handshake;
        Self::over(worker, lane, protocol, page, spin)
    }

    /// The connection over a lane, once the protocol is ready.
    pub(crate) fn over(
        worker: WorkerIdentity,
        lane: SocketLane,
        protocol: HostConnection<Entry>,
        page: Option<StatePage>,
        spin: Spin,
    ) -> Self {
        let state = State {
            protocol,
            is_closed: false,
            has_left: false,
            rush: turn::Rush::default(),
            spinner: Spinner::new(spin),
            is_driver_writing: false,
            is_watched: false,
            is_looked_for: false,
            progress: 0,
            answered: 0,
            has_answered: false,
            check: None,
            errors_in_a_row: 0,
            suspicious_errors: None,
            is_suspect: false,
            returned: 0,
            has_cancels: false,
            has_unwanted: false,
            for_driver: VecDeque::new(),
            armed: None,
            is_call_awaited: false,
        };
        Self {
            worker,
            lane,
            page,
            state: Mutex::new(state),
            kick: Notify::new(),
            first_call: Notify::new(),
        }
    }

    pub(crate) fn worker(&self) -> &WorkerIdentity {
        &self.worker
    }

    /// How many calls the worker may have at once whatever its pace.
    pub(crate) fn room(&self) -> usize {
        let state = self.lock();
        let welcome = state.protocol.welcome();
        welcome.map_or(0, |welcome| {
            room_for(&welcome.functions, state.protocol.threads())
        })
    }

    /// Waits until there are calls in flight. One at a time may wait.
    pub(crate) async fn has_calls(&self) {
        loop {
            {
                let mut state = self.lock();
                if state.protocol.in_flight_len() > 0 {
                    return;
                }
                state.is_call_awaited = true;
            }
            self.first_call.notified().await;
        }
    }

    /// In how many threads the worker runs its functions.
    pub(crate) fn threads(&self) -> u32 {
        self.lock().protocol.threads()
    }

    /// How many answers of the worker were read, those to checks of its health included.
    pub(crate) fn calls_served(&self) -> u64 {
        self.lock().answered
    }

    /// Whether the worker has answered a call; a check of its health is none.
    pub(crate) fn has_answered(&self) -> bool {
        self.lock().has_answered
    }

    /// How many of its last answers in a row were exceptions.
    pub(crate) fn errors_in_a_row(&self) -> u32 {
        self.lock().errors_in_a_row
    }

    /// From now on the supervisor is told of each so many exceptions in a row.
    pub(crate) fn suspect_after(&self, errors: Option<u32>) {
        self.lock().suspicious_errors = errors;
    }

    /// Enters the call into the ledger and sends it: at once if the worker has nothing else to do, and otherwise with
    /// the others that come before the driver has its turn. The entry comes back when the request is not sent.
    pub(crate) fn submit(
        self: &Arc<Self>,
        request: Request<'_>,
        entry: Entry,
        sender: Sender,
        now: Instant,
    ) -> Result<Submitted, (Unsent, Entry)> {
        let deadline = request.deadline.map(|deadline| deadline.at);
        let mut state = self.lock();
        if state.is_closed {
            return Err((Unsent::Closed, entry));
        }
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
        state.progress += 1;
        if std::mem::take(&mut state.is_call_awaited) {
            self.first_call.notify_one();
        }
        if sender == Sender::Supervisor {
            state.check = Some(call);
        }
        if matches!(sender, Sender::Line { .. } | Sender::Supervisor) {
            let entry = state.protocol.token(call);
            if entry.is_some_and(|entry| !entry.note_sent(self, call)) {
                state.cancel(call);
            }
        }
        if sender == Sender::OneOfMany {
            state.is_looked_for = false;
            return Ok(Submitted { call, look: None });
        }
        let is_followed = sender == Sender::Line { is_last: false };
        let is_alone = state.protocol.in_flight_len() == 1 && !is_followed;
        let is_flushed = (is_alone || state.protocol.output_len() >= FLUSH_BYTES)
            && self.flush(&mut state).is_ok_and(|is_flushed| is_flushed);
        let look = if is_alone && is_flushed && sender == Sender::LoneCaller {
            state.spinner.next_look().map(Look::new)
        } else {
            None
        };
        state.is_looked_for = look.is_some();
        let is_news = !is_flushed && !std::mem::replace(&mut state.is_driver_writing, true);
        let is_earlier =
            deadline.is_some_and(|deadline| state.armed.is_none_or(|armed| deadline < armed));
        let is_unseen = look.is_none() && !state.is_watched && !state.is_driver_writing;
        drop(state);
        if is_news || is_earlier || is_unseen {
            self.kick.notify_one();
        }
        Ok(Submitted { call, look })
    }

    /// Sends the calls that were submitted [one of many](Sender::OneOfMany) at a time.
    pub(crate) fn send_held(&self) {
        let mut state = self.lock();
        state.is_driver_writing = !self.flush(&mut state).is_ok_and(|is_flushed| is_flushed);
        drop(state);
        // Whatever else a call asks of the driver, it finds out by itself.
        self.kick.notify_one();
    }

    /// Tells the worker that nobody waits for the call any more.
    pub(crate) fn cancel(&self, call: CallId) {
        let mut state = self.lock();
        state.cancel(call);
        state.is_looked_for = false;
        drop(state);
        self.kick.notify_one();
    }

    /// Lets the worker send so many more bytes of a stream.
    pub(crate) fn grant(&self, call: CallId, bytes: u32) {
        let mut state = self.lock();
        state.protocol.grant(call, bytes);
        drop(state);
        self.kick.notify_one();
    }

    /// How many bytes of items the worker takes of an argument, as far as it has said.
    pub(crate) fn credit(&self, call: CallId) -> i64 {
        self.lock().protocol.credit(call)
    }

    /// Sends items of an argument, and with `is_end` says to the worker that there are no more. Those of a call that has
    /// ended are dropped.
    ///
    /// # Errors
    ///
    /// One of them cannot be sent. Those before it were.
    pub(crate) fn send_items(
        &self,
        call: CallId,
        items: &mut Items,
        is_end: bool,
    ) -> Result<(), ItemError> {
        let mut state = self.lock();
        let mut sent = Ok(());
        while let Some(item) = items.next().filter(|_| sent.is_ok()) {
            sent = state.protocol.item(call, item);
        }
        if is_end {
            state.protocol.end_items(call);
        }
        // They were waited for, and are sent together already.
        let is_flushed = self.flush(&mut state).is_ok_and(|is_flushed| is_flushed);
        let is_news = !is_flushed && !std::mem::replace(&mut state.is_driver_writing, true);
        drop(state);
        if is_news {
            self.kick.notify_one();
        }
        sent
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

    /// Takes it that the worker has said goodbye, which the JSON protocol has no word for. All calls must have ended, and
    /// no more be taken.
    pub(crate) fn take_goodbye(&self) {
        self.lock().has_left = true;
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
        let (in_flight, for_driver) = {
            let mut state = self.lock();
            state.is_closed = true;
            // What a caller has read for the driver ends calls too.
            let for_driver = std::mem::take(&mut state.for_driver);
            (state.protocol.take_in_flight(), for_driver)
        };
        // Callers that are slow to fetch their outcome keep this connection; the worker must not.
        self.lane.shut_down();
        // An entry that is dropped ends as closed.
        drop((in_flight, for_driver));
    }

    /// Reads what a worker that writes no more has left in the lane, and says whether it has said goodbye.
    pub(crate) fn read_rest(&self, mut tell: impl FnMut(ConnectionEvent)) -> bool {
        let mut harvest = Harvest::default();
        for _ in 0..REST_TURNS {
            match self.turn(&mut harvest, &mut tell) {
                Ok(turn) if turn.is_unfinished => {}
                // All is read; or what follows, after a violation or an error, is lost.
                _ => break,
            }
        }
        self.lock().has_left
    }

    /// Ends every call that the worker did not answer. It must be certain that it will not: it is dead, or has said
    /// goodbye; and what it has left in the lane must have been read. Says how many there were; a check of the worker's
    /// health is none.
    pub(crate) fn bury(&self, death: &Arc<DeathReport>) -> usize {
        let (in_flight, has_left, taken, was_in, check) = {
            let mut state = self.lock();
            state.is_closed = true;
            let (taken, was_in) = (self.taken(&state), self.was_in(&state));
            (
                state.protocol.take_in_flight(),
                state.has_left,
                taken,
                was_in,
                state.check,
            )
        };
        let calls = in_flight.iter().filter(|call| Some(call.call) != check);
        let calls = calls.count();
        let is_busy = match taken {
            Some(_) => was_in.is_busy,
            // Streams may have been set aside.
            None => in_flight
                .iter()
                .any(|call| call.sent && !call.token.is_stream()),
        };
        let mut has_next = !has_left && !is_busy;
        let mut not_begun = || match std::mem::take(&mut has_next) {
            true => Begun::Next,
            false => Begun::Not,
        };
        for call in in_flight {
            let is_handed_over = call.sent && !has_left;
            let begun = match taken {
                _ if !is_handed_over => not_begun(),
                Some(taken) if call.call.get() > taken => not_begun(),
                Some(_) if !was_in.has(call.call) => Begun::Earlier,
                _ => Begun::Last,
            };
            call.token.end(Err(Failure::Died {
                begun,
                death: Arc::clone(death),
            }));
        }
        calls
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
