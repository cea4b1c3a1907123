//! What a worker runs at this moment, and what is to be done about it.

use std::time::{Duration, Instant};

use pyproc_proto::{CallId, Mode};

use super::{Connection, State};
use crate::deadline;
use crate::ledger::Entry;
use crate::state_page::StatePage;

/// A call that runs although its deadline has passed, or although it was cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unwanted {
    pub(crate) call: CallId,
    /// The first of the two. `None` for a call that was cancelled and may run on until its deadline.
    pub(crate) since: Option<Instant>,
    /// When the step of it began that the worker is in, if it is one that runs beside others.
    pub(crate) step: Option<Instant>,
    /// Whether its caller waits to be told what came of it.
    pub(crate) is_awaited: bool,
    pub(crate) is_stream: bool,
}

/// What a worker runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Running {
    /// `None` under the JSON protocol, which has no table of functions.
    pub(crate) function: Option<String>,
    /// `None` without a state page.
    pub(crate) since: Option<Instant>,
}

/// What is to be done about the calls that a worker runs beside others, when nobody wants them any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Survey {
    /// This one has had all the time that it gets, and has not ended.
    Overdue(CallId),
    /// There may be something to do then.
    Next(Instant),
    Nothing,
}

/// Where the main thread of a worker is that should see to other calls, too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) call: CallId,
    pub(crate) function: String,
    pub(crate) since: Instant,
}

/// Where a worker was when it ended. Nothing, where that is not known.
#[derive(Debug, Default)]
pub(super) struct WasIn {
    /// Sorted: the call that its main thread was in, with all others of its batch, and those that it had begun beside
    /// others.
    calls: Vec<CallId>,
    /// One of them was not at rest, and so may be what has ended the worker.
    pub(super) is_busy: bool,
}

/// A step of a call that has taken so long blocks the event loop. It is the time from which on `asyncio` itself, in debug
/// mode, calls a callback slow.
const BLOCKS: Duration = Duration::from_millis(100);

/// The longest time between two looks for a call that has begun although nobody wanted it any more. Workers refuse such
/// calls, so it is one that began at that very moment.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_millis(320);

impl WasIn {
    pub(super) fn has(&self, call: CallId) -> bool {
        self.calls.binary_search(&call).is_ok()
    }
}

impl Connection {
    /// What the worker runs at this moment: by the state page, and without one the oldest call in flight, which is the
    /// one that it runs, or runs next.
    pub(crate) fn running(&self) -> Option<Running> {
        let state = self.lock();
        let call = match (self.runs(&state), self.taken(&state)) {
            (Some(runs), _) => CallId::new(runs)?,
            (None, Some(_)) => return None,
            (None, None) => state.protocol.oldest()?,
        };
        state.protocol.token(call)?;
        let function = state.protocol.function_of(call).map(str::to_owned);
        Some(Running {
            function,
            since: self.began_at(call),
        })
    }

    /// From now on calls that run are interrupted when they are cancelled, where it can be known which one runs.
    pub(crate) fn interrupt_cancelled(&self) {
        if self.page.as_ref().is_some_and(StatePage::is_alive) {
            self.lock().protocol.interrupts_cancelled();
        }
    }

    /// The call that the worker runs although nobody wants it any more. `None` without a state page, which alone can tell.
    pub(crate) fn unwanted(&self) -> Option<Unwanted> {
        let state = self.lock();
        let call = CallId::new(self.runs(&state)?)?;
        let (protocol, entry) = (&state.protocol, state.protocol.token(call)?);
        if protocol.mode_of(call) == Some(Mode::Batch) {
            // It goes on as long as somebody wants the answer to any call of it.
            let mut since = None;
            for member in self.batch_of(&state, call) {
                since = since.max(Some(protocol.unwanted_since(member)?));
            }
            return Some(Unwanted {
                call,
                since,
                step: None,
                is_awaited: false,
                is_stream: false,
            });
        }
        let mut since = protocol.unwanted_since(call);
        since.or(protocol.cancelled_since(call))?;
        // Only one step of it that takes so long keeps the others from theirs; a call that goes on between theirs is
        // abandoned in its time, which is no reason to kill the worker.
        let step = self.step_of(&state, call);
        since = since.map(|since| step.map_or(since, |step| step.max(since)));
        Some(Unwanted {
            call,
            since,
            step,
            is_awaited: entry.is_awaited(),
            is_stream: entry.is_stream(),
        })
    }

    /// Looks after the calls that the worker has begun beside others: tells the callers of those that have been late for
    /// longer than `grace`, and finds one that has gone on for `overdue_after` since nobody wants it any more, and is not
    /// among those `abandoned`.
    pub(crate) fn survey(
        &self,
        now: Instant,
        grace: Duration,
        overdue_after: Duration,
        abandoned: &[CallId],
    ) -> Survey {
        let mut next = None;
        let mut late = Vec::new();
        {
            let state = self.lock();
            // Without it nobody knows which have begun, and those who are late were told at once.
            let Some(taken) = self.taken(&state) else {
                return Survey::Nothing;
            };
            let mut look_at = |at: Option<Instant>| next = next.into_iter().chain(at).min();
            for (call, mode) in state.protocol.calls() {
                let Some(since) = state.protocol.unwanted_since(call) else {
                    continue;
                };
                if mode != Mode::Concurrent || abandoned.contains(&call) {
                    continue;
                }
                if call.get() > taken {
                    look_at(now.checked_add(LOOK_AGAIN));
                    continue;
                }
                match since.checked_add(overdue_after) {
                    Some(at) if at <= now => return Survey::Overdue(call),
                    at => look_at(at),
                }
                let entry = state.protocol.token(call);
                if entry.is_some_and(Entry::is_awaited) {
                    match since.checked_add(grace) {
                        Some(at) if at <= now => late.push(call),
                        at => look_at(at),
                    }
                }
            }
        }
        for call in late {
            self.expire(call, None);
        }
        next.map_or(Survey::Nothing, Survey::Next)
    }

    /// Whether all calls that nobody wants are such as the worker runs beside others, so that it need not be stuck.
    pub(crate) fn is_unwanted_beside(&self) -> bool {
        let state = self.lock();
        let mut unwanted = state
            .protocol
            .calls()
            .filter(|(call, _)| state.protocol.unwanted_since(*call).is_some());
        unwanted.all(|(_, mode)| mode == Mode::Concurrent)
    }

    /// Whether the worker has a call that somebody wants, or that may yet end in the time that it gets.
    pub(crate) fn has_wanted(&self, now: Instant, overdue_after: Duration) -> bool {
        let state = self.lock();
        let is_wanted = |(call, _)| {
            let since = state.protocol.unwanted_since(call);
            let until = since.map(|since| since.checked_add(overdue_after));
            until.is_none_or(|until| until.is_none_or(|until| until > now))
        };
        state.protocol.calls().any(is_wanted)
    }

    /// Where the worker's main thread is, if it is in a step of an asynchronous call, or if other calls wait for it to see
    /// to them. `None` without a state page.
    pub(crate) fn step(&self) -> Option<Step> {
        let state = self.lock();
        let call = CallId::new(self.runs(&state)?)?;
        let is_shared = || {
            let mut calls = state.protocol.calls();
            calls.any(|(_, mode)| mode == Mode::Concurrent)
        };
        state.protocol.token(call).filter(|_| is_shared())?;
        Some(Step {
            call,
            function: state.protocol.function_of(call)?.to_owned(),
            since: self.began_at(call)?,
        })
    }

    /// The function that keeps the worker's event loop from running this call.
    pub(super) fn blocker(&self, state: &State, call: CallId) -> Option<String> {
        let runs = CallId::new(self.runs(state)?).filter(|runs| *runs != call)?;
        let is_shared = [call, runs]
            .into_iter()
            .any(|call| state.protocol.mode_of(call) == Some(Mode::Concurrent));
        let began_at = self.began_at(runs).filter(|_| is_shared)?;
        let function = state.protocol.function_of(runs)?;
        (began_at.elapsed() >= BLOCKS).then(|| function.to_owned())
    }

    fn step_of(&self, state: &State, call: CallId) -> Option<Instant> {
        let is_beside = state.protocol.mode_of(call) == Some(Mode::Concurrent);
        self.began_at(call).filter(|_| is_beside)
    }

    fn began_at(&self, call: CallId) -> Option<Instant> {
        let taken_at_ns = self.page.as_ref()?.taken_at_ns(call)?;
        deadline::from_monotonic_ns(taken_at_ns)
    }

    /// Whether the worker has begun this call, as far as is known.
    pub(super) fn has_begun(&self, state: &State, call: CallId) -> bool {
        self.taken(state).is_some_and(|taken| call.get() <= taken)
    }

    /// The calls that the worker has begun together with this one, of a function that takes batches.
    fn batch_of<'a>(
        &self,
        state: &'a State,
        call: CallId,
    ) -> impl Iterator<Item = CallId> + use<'a> {
        let function = state.protocol.function_index_of(call);
        let calls = state.protocol.calls().map(|(call, _)| call);
        calls.filter(move |member| {
            *member <= call && state.protocol.function_index_of(*member) == function
        })
    }

    /// Whether the worker has calls that nobody wants any more, so that it may turn out to run one of them.
    pub(crate) fn has_unwanted(&self) -> bool {
        self.page.is_some() && self.lock().protocol.has_unwanted()
    }

    /// Whether the caller of this call waits to be told what came of it.
    pub(crate) fn is_awaited(&self, call: CallId) -> bool {
        let state = self.lock();
        state.protocol.token(call).is_some_and(Entry::is_awaited)
    }

    /// What is said of a call that does not end: which function it is of, and why it should have ended.
    pub(crate) fn describe_overdue(&self, call: CallId) -> String {
        let state = self.lock();
        let function = match state.protocol.function_of(call) {
            Some(name) => format!("a call of `{name}`"),
            None => "a call on it".to_owned(),
        };
        let protocol = &state.protocol;
        let end = match (protocol.late_since(call), protocol.cancelled_since(call)) {
            (None, Some(_)) => "it was cancelled",
            (Some(deadline), Some(cancelled)) if cancelled < deadline => "it was cancelled",
            _ => "its deadline",
        };
        format!("{function} did not end after {end}")
    }

    /// Whether this is the call that the worker took last, or the one that it goes on with, and it has not answered it. Of
    /// one that runs beside others it must be in the same step.
    pub(crate) fn is_running(&self, call: CallId, step: Option<Instant>) -> bool {
        let state = self.lock();
        self.is_in(&state, call)
            && state.protocol.token(call).is_some()
            && self.step_of(&state, call) == step
    }

    /// Names the running call that is to be interrupted. A signal must follow.
    pub(crate) fn want_interrupted(&self, call: CallId) {
        if let Some(page) = &self.page {
            page.want_interrupted(call);
        }
    }

    /// Ends a call for its caller, because its deadline has passed. The worker still has it.
    pub(crate) fn expire(&self, call: CallId, stacks: Option<&str>) {
        let caller = {
            let state = self.lock();
            let blocker = self.blocker(&state, call);
            let entry = state.protocol.token(call);
            entry.and_then(|entry| entry.expire(stacks, blocker.as_deref()))
        };
        if let Some(caller) = caller {
            caller.wake();
        }
    }

    /// Ends the call in which the worker is stuck for its caller, if that still waits for what can be learned of it.
    pub(crate) fn expire_stuck(&self, stacks: Option<&str>) {
        let stuck = {
            let state = self.lock();
            let runs = self.runs(&state).and_then(CallId::new);
            runs.filter(|runs| state.protocol.token(*runs).is_some())
        };
        if let Some(stuck) = stuck {
            self.expire(stuck, stacks);
        }
    }

    /// Whether the worker is in this call, as far as is known.
    pub(super) fn is_in(&self, state: &State, call: CallId) -> bool {
        self.runs(state) == Some(call.get())
    }

    /// The id of the call that the worker's main thread goes on with, or of the one that it took last, where that is known;
    /// but not of a stream that it has set aside, nor of a call that it runs beside others. For a batch it is the last of
    /// its calls.
    pub(super) fn runs(&self, state: &State) -> Option<u64> {
        let taken = self.taken(state)?;
        let resumed = self.page.as_ref().and_then(StatePage::resumed);
        let is_aside = || {
            CallId::new(taken).is_some_and(|taken| {
                let is_stream = state.protocol.token(taken).is_some_and(Entry::is_stream);
                is_stream || state.protocol.mode_of(taken) == Some(Mode::Concurrent)
            })
        };
        resumed.or_else(|| (!is_aside()).then_some(taken))
    }

    /// Where the worker was last, as far as is known.
    pub(super) fn was_in(&self, state: &State) -> WasIn {
        let Some(taken) = self.taken(state) else {
            return WasIn::default();
        };
        let resumed = self.page.as_ref().and_then(StatePage::resumed);
        let main = CallId::new(resumed.unwrap_or(taken));
        let main_mode = main.and_then(|main| state.protocol.mode_of(main));
        let batch = main.filter(|_| main_mode == Some(Mode::Batch));
        let batch = batch
            .into_iter()
            .flat_map(|main| self.batch_of(state, main));
        let beside = state.protocol.calls().filter_map(|(call, mode)| {
            (mode == Mode::Concurrent && call.get() <= taken).then_some(call)
        });
        let calls = main.into_iter().chain(batch).chain(beside);
        let mut calls: Vec<_> = calls
            .filter(|call| state.protocol.token(*call).is_some())
            .collect();
        calls.sort_unstable();
        // The page tells of each step of a stream and of an asynchronous call; between them they are at rest.
        let has_threads = state.protocol.threads() > 1;
        let is_at_rest = |call: &CallId| {
            let is_stream = state.protocol.token(*call).is_some_and(Entry::is_stream);
            let is_beside = state.protocol.mode_of(*call) == Some(Mode::Concurrent);
            resumed != Some(call.get()) && (is_stream || (is_beside && !has_threads))
        };
        let is_busy = !calls.iter().all(is_at_rest);
        WasIn { calls, is_busy }
    }

    /// The id of the call that the worker took last, where that is known. A page that contradicts what was read from the
    /// worker is as good as none.
    pub(super) fn taken(&self, state: &State) -> Option<u64> {
        let taken = self.page.as_ref()?.taken()?;
        (taken >= state.returned).then_some(taken)
    }
}
