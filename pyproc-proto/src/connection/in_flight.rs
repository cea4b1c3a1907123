//! The calls that were requested and not answered yet.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::time::{Duration, Instant};

use super::progress::earlier;
use crate::{CallId, FunctionIndex};

/// A call that was in flight when the connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InFlight<T> {
    /// The call's id on this connection.
    pub call: CallId,
    /// What the host attached to it.
    pub token: T,
    /// Whether the whole request had been handed to the lane. If not, the worker cannot have run
    /// it; if so, it may have.
    pub sent: bool,
}

/// The calls in flight, with their timers.
///
/// A worker runs one call after the other, in the order of their requests, so of those that are
/// unanswered it can only be stuck in the oldest, and only that one can become overdue. Those
/// behind it have not had their turn.
#[derive(Debug)]
pub(super) struct Table<T> {
    entries: HashMap<CallId, Entry<T>, BuildHasherDefault<IdHasher>>,
    oldest: Option<Oldest>,
    /// No timer is earlier than this. Calls that are answered leave it behind as it was, so that
    /// an answer costs no search; a moment that turns out to be nobody's is looked at once.
    earliest: Option<Instant>,
    overdue_after: Duration,
}

/// The call that was requested before all others in flight.
#[derive(Clone, Copy, Debug)]
struct Oldest {
    call: CallId,
    /// When the last one before it was answered, if any was in flight when it was requested.
    since: Option<Instant>,
}

#[derive(Debug)]
struct Entry<T> {
    token: T,
    /// Its place in the worker's table, where there is a table.
    function: Option<FunctionIndex>,
    /// Where its request ends in the stream of bytes.
    end: u64,
    timer: Timer,
    abandoned: bool,
}

/// What will happen to a call that stays unanswered.
#[derive(Clone, Copy, Debug)]
enum Timer {
    Expires(Instant),
    /// Its deadline was this one. It becomes overdue if it is the oldest, or when it has been.
    IsLate(Instant),
    Nothing,
}

/// What happened to a call that stayed unanswered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Late {
    Expired(CallId),
    Overdue(CallId),
}

impl<T> Table<T> {
    pub(super) fn new(overdue_after: Duration) -> Self {
        Self {
            entries: HashMap::default(),
            oldest: None,
            earliest: None,
            overdue_after,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Where requests end that are handed to the lane, `end` is counted as [`Output::end`] does.
    ///
    /// [`Output::end`]: super::output::Output::end
    pub(super) fn insert(
        &mut self,
        call: CallId,
        function: Option<FunctionIndex>,
        token: T,
        end: u64,
        deadline: Option<Instant>,
    ) {
        self.earliest = earlier(self.earliest, deadline);
        if self.oldest.is_none() {
            self.oldest = Some(Oldest { call, since: None });
        }
        let entry = Entry {
            token,
            function,
            end,
            timer: deadline.map_or(Timer::Nothing, Timer::Expires),
            abandoned: false,
        };
        self.entries.insert(call, entry);
    }

    pub(super) fn tokens(&self) -> impl Iterator<Item = &T> {
        self.entries.values().map(|entry| &entry.token)
    }

    pub(super) fn get(&self, call: CallId) -> Option<&T> {
        Some(&self.entries.get(&call)?.token)
    }

    /// Which function a call in flight is of.
    pub(super) fn function(&self, call: CallId) -> Option<FunctionIndex> {
        self.entries.get(&call)?.function
    }

    /// The call that was requested before all others in flight.
    pub(super) fn oldest(&self) -> Option<CallId> {
        Some(self.oldest?.call)
    }

    /// The deadline of a call that has expired and is not overdue yet.
    pub(super) fn late_since(&self, call: CallId) -> Option<Instant> {
        match self.entries.get(&call)?.timer {
            Timer::IsLate(deadline) => Some(deadline),
            Timer::Expires(_) | Timer::Nothing => None,
        }
    }

    /// Whether any call has expired that is not overdue yet.
    pub(super) fn has_late(&self) -> bool {
        let is_late = |entry: &Entry<T>| matches!(entry.timer, Timer::IsLate(_));
        self.entries.values().any(is_late)
    }

    /// Takes out a call that was answered. [`settle`](Self::settle) must follow.
    pub(super) fn remove(&mut self, call: CallId) -> Option<T> {
        Some(self.entries.remove(&call)?.token)
    }

    /// Finds the oldest call anew after answers that arrived now. Ids are consecutive, so the next
    /// one is found by counting up: each id is passed once, whatever the order of the answers.
    pub(super) fn settle(&mut self, now: Instant) {
        let Some(oldest) = self.oldest else { return };
        if self.entries.is_empty() {
            self.oldest = None;
            self.earliest = None;
            return;
        }
        let mut call = oldest.call;
        while !self.entries.contains_key(&call) {
            call = call.next();
        }
        if call != oldest.call {
            let since = Some(now);
            self.oldest = Some(Oldest { call, since });
            self.earliest = earlier(self.earliest, self.becomes_overdue());
        }
    }

    /// When the oldest call, whose deadline has passed, becomes overdue. Its clock starts at its
    /// deadline, or when its turn came if that was later.
    fn becomes_overdue(&self) -> Option<Instant> {
        let oldest = self.oldest?;
        match self.entries.get(&oldest.call)?.timer {
            Timer::IsLate(deadline) => {
                let start = oldest.since.map_or(deadline, |since| since.max(deadline));
                start.checked_add(self.overdue_after)
            }
            Timer::Expires(_) | Timer::Nothing => None,
        }
    }

    /// Notes that nobody waits for the call any more. Returns whether that is news.
    pub(super) fn abandon(&mut self, call: CallId) -> bool {
        match self.entries.get_mut(&call) {
            Some(entry) => !std::mem::replace(&mut entry.abandoned, true),
            None => false,
        }
    }

    /// No timer is earlier than this.
    pub(super) fn earliest(&self) -> Option<Instant> {
        self.earliest
    }

    /// Lets timers fire, in the order of their calls. An abandoned call expires as well: nobody
    /// waits for it, but its worker has no more time for it than for any other.
    pub(super) fn fire(&mut self, now: Instant, mut late: impl FnMut(Late)) {
        if self.earliest.is_none_or(|earliest| earliest > now) {
            return;
        }
        let mut fired = Vec::new();
        self.earliest = None;
        for (call, entry) in &mut self.entries {
            let Timer::Expires(at) = entry.timer else {
                continue;
            };
            if at > now {
                self.earliest = earlier(self.earliest, Some(at));
                continue;
            }
            entry.timer = Timer::IsLate(at);
            fired.push(Late::Expired(*call));
        }
        match (self.becomes_overdue(), self.oldest) {
            (Some(at), Some(oldest)) if at <= now => {
                fired.push(Late::Overdue(oldest.call));
                if let Some(entry) = self.entries.get_mut(&oldest.call) {
                    entry.timer = Timer::Nothing;
                }
            }
            (overdue, _) => self.earliest = earlier(self.earliest, overdue),
        }
        fired.sort_by_key(|late| late.call());
        fired.into_iter().for_each(&mut late);
    }

    /// Takes out all calls, in the order of their requests. `written` is how many bytes the lane
    /// has taken.
    pub(super) fn take(&mut self, written: u64) -> Vec<InFlight<T>> {
        self.earliest = None;
        self.oldest = None;
        let mut calls: Vec<_> = self
            .entries
            .drain()
            .map(|(call, entry)| InFlight {
                call,
                token: entry.token,
                sent: entry.end <= written,
            })
            .collect();
        calls.sort_by_key(|entry| entry.call);
        calls
    }
}

impl Late {
    fn call(self) -> CallId {
        match self {
            Self::Expired(call) | Self::Overdue(call) => call,
        }
    }
}

/// A hash for ids that this side assigned itself: nobody can choose them to collide, so one
/// multiplication, which spreads them over the high bits that the table looks at, is enough.
#[derive(Debug, Default)]
pub(super) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(self.0 ^ u64::from(*byte));
        }
    }

    fn write_u64(&mut self, id: u64) {
        // The fractional part of the golden ratio, after Knuth.
        self.0 = id.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}
