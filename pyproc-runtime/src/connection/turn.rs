//! One turn of a connection: read what is there, hand out what it brought, write what is due.

use std::fmt;
use std::io::{self, IoSlice};
use std::task::Waker;
use std::time::{Duration, Instant};

use bytes::Bytes;
use pyproc_proto::{CallId, HostEvent, Mode, ProtocolError, Status};

use super::{Connection, ConnectionEvent, Notice, State};
use crate::lane::Received;
use crate::ledger::{Entry, Failure, Reply, ReturnedPermits};

/// A request with a large body takes two.
const SLICES_PER_WRITE: usize = 16;

/// How often a turn reads before it lets other tasks run.
const READS_PER_TURN: usize = 16;

/// How long a turn goes on reading. It is enough for all those reads, unless they bring thousands of small frames, each
/// of which is more work than its bytes are.
const READING_PER_TURN: Duration = Duration::from_millis(1);

/// After how many turns that left input behind the timeouts are looked after all the same: after a few MiB, or as many
/// milliseconds.
const UNFINISHED_TURNS: u32 = 4;

/// Why a connection cannot go on.
#[derive(Debug)]
pub(crate) enum Lost {
    /// The worker has answered all that it will answer, and said so.
    Goodbye,
    /// The worker closed its end.
    Eof,
    Io(io::Error),
    /// The worker sent what the protocol does not allow; nothing that follows can be trusted.
    Protocol(ProtocolError),
}

impl fmt::Display for Lost {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Goodbye => formatter.write_str("the worker said goodbye"),
            Self::Eof => formatter.write_str("the worker closed the connection"),
            Self::Io(error) => error.fmt(formatter),
            Self::Protocol(error) => error.fmt(formatter),
        }
    }
}

impl From<ProtocolError> for Lost {
    fn from(error: ProtocolError) -> Self {
        Self::Protocol(error)
    }
}

/// What is left to do after a turn.
#[derive(Debug)]
pub(crate) struct Turn {
    /// Something was read.
    pub(crate) has_read: bool,
    /// A caller would have read it.
    pub(crate) was_looked_for: bool,
    /// There may be more to read at once.
    pub(crate) is_unfinished: bool,
    /// The lane took all output.
    pub(crate) is_flushed: bool,
    /// When the next turn is due, if nothing else happens.
    pub(crate) timeout: Option<Instant>,
}

/// What a turn brings; empty between turns, and kept for the sake of its room.
#[derive(Debug, Default)]
pub(super) struct Harvest {
    events: Vec<HostEvent<Entry>>,
    /// Items of streams whose end was read as well, so that the entry is to be found there.
    last_items: Vec<(CallId, Bytes)>,
    /// Callers to be woken: their deadline has passed, their stream has items, or they may send some.
    woken: Vec<Waker>,
}

/// How many turns in a row have left input behind.
#[derive(Debug, Default)]
pub(super) struct Rush(u32);

impl Rush {
    /// Whether this turn is one to look after timeouts. It is when everything was read: an answer that is there counts,
    /// even if its deadline has passed meanwhile. A worker that writes without end must not put deadlines off for so
    /// long, though.
    fn has_time_for_timeouts(&mut self, is_unfinished: bool) -> bool {
        self.0 = if is_unfinished {
            self.0.wrapping_add(1)
        } else {
            0
        };
        self.0 % UNFINISHED_TURNS == 0
    }
}

impl State {
    /// Nobody waits for the call any more.
    pub(super) fn cancel(&mut self, call: CallId) {
        self.protocol.cancel(call, Instant::now());
        self.has_cancels = true;
        self.has_unwanted = true;
    }

    fn next_event(&mut self) -> Option<HostEvent<Entry>> {
        self.for_driver
            .pop_front()
            .or_else(|| self.protocol.poll_event())
    }

    /// Counts an answer that is about to be handed out.
    pub(super) fn note_answer(&mut self, event: &HostEvent<Entry>) {
        match event {
            HostEvent::Reply { call, .. } | HostEvent::StreamEnd { call, .. } => {
                self.returned = self.returned.max(call.get());
                if self.count_answer(*call) {
                    self.errors_in_a_row = 0;
                }
            }
            HostEvent::Failed { call, error, token } => {
                let is_to_a_call = self.count_answer(*call);
                // What comes of an interrupt says nothing against the worker.
                let is_counted = || error.status == Status::Exception && token.is_awaited();
                if is_to_a_call && is_counted() {
                    self.errors_in_a_row = self.errors_in_a_row.saturating_add(1);
                    let is_suspicious = |errors| self.errors_in_a_row % errors == 0;
                    self.is_suspect |= self.suspicious_errors.is_some_and(is_suspicious);
                }
            }
            _ => {}
        }
    }

    /// Counts an answer, and says whether it is to a call rather than to a check of the worker's health, which says
    /// nothing of how it does its work.
    fn count_answer(&mut self, call: CallId) -> bool {
        self.answered += 1;
        let is_to_a_call = self.check != Some(call);
        self.has_answered |= is_to_a_call;
        is_to_a_call
    }
}

impl Connection {
    /// Takes one turn. What was read before the connection was lost is still handed out.
    pub(super) fn turn(
        &self,
        harvest: &mut Harvest,
        tell: &mut impl FnMut(ConnectionEvent),
    ) -> Result<Turn, Lost> {
        let Harvest {
            events,
            last_items,
            woken,
        } = harvest;
        let mut is_unwanted = false;
        let mut place = None;
        let (result, has_left, is_suspect) = {
            let mut state = self.lock();
            state.is_driver_writing = false;
            let result = self.exchange(&mut state);
            while let Some(event) = state.next_event() {
                match event {
                    HostEvent::Expired { call } => {
                        // One that the worker has not begun may just be about to be: its clock was read before.
                        is_unwanted |= self.page.is_some();
                        // The caller of a function that runs learns first what comes of the steps that are taken about
                        // it. The entry of any other stays in the table, so it ends under the lock; its caller is woken
                        // outside.
                        let entry = state.protocol.token(call);
                        let is_stream = entry.is_some_and(Entry::is_stream);
                        let mode = state.protocol.mode_of(call);
                        let is_beside = mode == Some(Mode::Concurrent);
                        let is_running = match mode {
                            Some(Mode::Concurrent) => self.has_begun(&state, call),
                            // The others of a batch may go on for long.
                            Some(Mode::Batch) => false,
                            _ => self.is_in(&state, call),
                        };
                        if is_stream || !is_running {
                            let blocker = self.blocker(&state, call);
                            let blocker = blocker.as_deref();
                            woken.extend(entry.and_then(|entry| entry.expire(None, blocker)));
                        }
                        if is_stream || is_beside {
                            // It may be where no interrupt reaches it.
                            state.cancel(call);
                            self.kick.notify_one();
                        }
                    }
                    HostEvent::Item { call, body } => match state.protocol.token_mut(call) {
                        Some(entry) => {
                            woken.extend(entry.yields(&body));
                            place = entry.give_way().or(place);
                        }
                        None => last_items.push((call, body)),
                    },
                    HostEvent::Credit { call } => {
                        let entry = state.protocol.token(call);
                        woken.extend(entry.and_then(Entry::rouse));
                    }
                    HostEvent::Goodbye => state.has_left = true,
                    event => {
                        if let HostEvent::StreamEnd { call, token }
                        | HostEvent::Failed { call, token, .. } = &event
                        {
                            last_items.retain(|(of, body)| {
                                if of == call {
                                    woken.extend(token.yields(body));
                                }
                                of != call
                            });
                        }
                        state.note_answer(&event);
                        events.push(event);
                    }
                }
            }
            let is_suspect = std::mem::take(&mut state.is_suspect);
            is_unwanted |= std::mem::take(&mut state.has_unwanted) && self.page.is_some();
            (result, state.has_left, is_suspect)
        };
        if is_suspect {
            tell(ConnectionEvent::Notice(Notice::Suspect));
        }
        if let Some(issuer) = place {
            issuer.serve(Instant::now());
        }
        woken.drain(..).for_each(Waker::wake);
        if is_unwanted {
            tell(ConnectionEvent::Notice(Notice::Unwanted));
        }
        self.hand_out(events, tell);
        match result {
            Err(Lost::Protocol(violation)) => Err(Lost::Protocol(violation)),
            // Nothing more may come, so the worker need not be waited for to close its end.
            _ if has_left => Err(Lost::Goodbye),
            result => result,
        }
    }

    fn exchange(&self, state: &mut State) -> Result<Turn, Lost> {
        let (has_read, is_unfinished) = self.read(state)?;
        let was_looked_for = has_read && std::mem::take(&mut state.is_looked_for);
        if state.rush.has_time_for_timeouts(is_unfinished) {
            state.protocol.handle_timeout(Instant::now())?;
        }
        let is_flushed = self.flush(state)?;
        // A timer that is set too early costs one idle turn. Setting it anew whenever the calls that it was set for have
        // ended would cost more.
        let due = state.protocol.poll_timeout();
        if state
            .armed
            .is_none_or(|armed| due.is_some_and(|due| due < armed))
        {
            state.armed = due;
        }
        Ok(Turn {
            has_read,
            was_looked_for,
            is_unfinished,
            is_flushed,
            timeout: state.armed,
        })
    }

    /// Reads until there is nothing more, or until it is somebody else's turn. Returns whether it has read anything, and
    /// whether there may be more.
    fn read(&self, state: &mut State) -> Result<(bool, bool), Lost> {
        let mut has_read = false;
        let mut began = None;
        for _ in 0..READS_PER_TURN {
            let received = self
                .lane
                .receive(state.protocol.input_mut())
                .map_err(Lost::Io)?;
            match received {
                Received::Bytes | Received::LastBytes => {
                    has_read = true;
                    state.progress += 1;
                    let now = Instant::now();
                    state.protocol.handle_input(now)?;
                    if received == Received::LastBytes {
                        return Ok((true, false));
                    }
                    if now - *began.get_or_insert(now) > READING_PER_TURN {
                        break;
                    }
                }
                Received::Nothing => return Ok((has_read, false)),
                Received::Eof => {
                    state.protocol.handle_eof()?;
                    return Err(Lost::Eof);
                }
            }
        }
        Ok((true, true))
    }

    /// Writes what the lane takes now, and says whether that was all.
    pub(super) fn flush(&self, state: &mut State) -> Result<bool, Lost> {
        while state.protocol.output_len() > 0 {
            let mut slices = [IoSlice::new(&[]); SLICES_PER_WRITE];
            let written = match state.protocol.output_slices(&mut slices) {
                1 => self.lane.send(&slices[0]),
                count => self.lane.send_slices(&slices[..count]),
            };
            match written.map_err(Lost::Io)? {
                0 => return Ok(false),
                written => state.protocol.advance_output(written),
            }
        }
        if std::mem::take(&mut state.has_cancels) {
            if let Some(page) = &self.page {
                page.tell_of_cancels();
            }
        }
        Ok(true)
    }

    fn hand_out(&self, events: &mut Vec<HostEvent<Entry>>, tell: &mut impl FnMut(ConnectionEvent)) {
        // A caller that has its answer finds the place free.
        let mut permits = ReturnedPermits::new(Instant::now());
        for event in events.iter_mut() {
            if let HostEvent::Reply { token, .. }
            | HostEvent::Failed { token, .. }
            | HostEvent::StreamEnd { token, .. } = event
            {
                permits.add(token);
            }
        }
        drop(permits);
        for event in events.drain(..) {
            self.hand_out_one(event, tell);
        }
    }

    fn hand_out_one(&self, event: HostEvent<Entry>, tell: &mut impl FnMut(ConnectionEvent)) {
        match event {
            HostEvent::Reply {
                token,
                metadata,
                body,
                ..
            } => token.end(Ok(Reply::new(body, metadata))),
            HostEvent::Failed { token, error, .. } => token.end(Err(Failure::Remote(error))),
            HostEvent::StreamEnd { token, .. } => token.end(Ok(Bytes::new().into())),
            HostEvent::Overdue { call } => tell(ConnectionEvent::Notice(Notice::Overdue(call))),
            HostEvent::Draining => {
                self.close();
                tell(ConnectionEvent::Notice(Notice::Draining));
            }
            HostEvent::Log(record) => tell(ConnectionEvent::Log(record)),
            // The handshake is over, expired calls were told above, and the rest needs no answer.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_looked_after_when_all_is_read_and_in_a_flood_every_few_turns() {
        let mut rush = Rush::default();
        assert!(rush.has_time_for_timeouts(false));
        let flood: Vec<_> = (0..9).map(|_| rush.has_time_for_timeouts(true)).collect();
        let (yes, no) = (true, false);
        assert_eq!(flood, [no, no, no, yes, no, no, no, yes, no]);
        assert!(rush.has_time_for_timeouts(false));
        assert!(!rush.has_time_for_timeouts(true));
    }
}
