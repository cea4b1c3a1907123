//! The calls that were requested and not answered yet.

use std::collections::{HashMap, hash_map as map};
use std::hash::{BuildHasherDefault, Hasher};
use std::time::{Duration, Instant};

use super::Mode;
use super::credit::{Credit, Items};
use super::progress::earlier;
use crate::{CallId, FunctionIndex, Kind, ProtocolError};

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
/// unanswered it can only be stuck in the oldest. Those behind it have not had their turn. Some do
/// not stand in that line: streams, between whose items the worker runs what else there is, and
/// calls that it runs beside others or together with them. It can be stuck in each of these, unless
/// it is a stream that it has set aside because it may not send more items.
///
/// A call is unwanted from its deadline on, and, where the host interrupts such calls, from the
/// moment when it is cancelled. One becomes overdue when the worker can be stuck in nothing but
/// calls that are unwanted.
#[derive(Debug)]
pub(super) struct Table<T> {
    entries: HashMap<CallId, Entry<T>, BuildHasherDefault<IdHasher>>,
    /// How many of them do not stand in the line.
    outside: usize,
    /// One of them has ended since that was looked at.
    has_one_less: bool,
    /// The oldest of those that do.
    oldest: Option<Oldest>,
    /// When one outside of the line may have moved last: something arrived while there was one, or a
    /// stream was cancelled.
    heard: Option<Instant>,
    /// No timer is earlier than this. Calls that are answered leave it behind as it was, so that
    /// an answer costs no search; a moment that turns out to be nobody's is looked at once.
    earliest: Option<Instant>,
    overdue_after: Duration,
    /// Whether a call is unwanted when it is cancelled.
    unwanted_if_cancelled: bool,
}

/// The call that was requested before all others that stand in the line.
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
    mode: Mode,
    /// Since when nobody waits for it any more.
    cancelled: Option<Instant>,
    /// It was said to be overdue.
    is_overdue: bool,
    /// For a stream, what the worker may send of it.
    credit: Option<Credit>,
    /// The argument whose items follow, where there is one.
    items: Option<Items<u16>>,
}

/// How a call is run, and how it is answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    pub(super) mode: Mode,
    pub(super) is_stream: bool,
}

/// The deadline of a call.
#[derive(Clone, Copy, Debug)]
enum Timer {
    Expires(Instant),
    /// It was this one.
    IsLate(Instant),
    /// It has none.
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
            outside: 0,
            has_one_less: false,
            oldest: None,
            heard: None,
            earliest: None,
            overdue_after,
            unwanted_if_cancelled: false,
        }
    }

    /// From now on calls are unwanted when they are cancelled.
    pub(super) fn count_cancelled_as_unwanted(&mut self) {
        self.unwanted_if_cancelled = true;
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
        Manner { mode, is_stream }: Manner,
    ) {
        self.earliest = earlier(self.earliest, deadline);
        if is_stream || mode != Mode::Alone {
            self.outside += 1;
        } else if self.oldest.is_none() {
            self.oldest = Some(Oldest { call, since: None });
        }
        let entry = Entry {
            token,
            function,
            end,
            timer: deadline.map_or(Timer::Nothing, Timer::Expires),
            mode,
            cancelled: None,
            is_overdue: false,
            credit: is_stream.then(Credit::default),
            items: None,
        };
        self.entries.insert(call, entry);
    }

    /// Notes that the items of an argument follow, for the parameter in this place.
    pub(super) fn expect_items(&mut self, call: CallId, place: u16) {
        if let Some(entry) = self.entries.get_mut(&call) {
            entry.items = Some(Items::new(place));
        }
    }

    /// What may be sent of the argument of a call in flight whose items have not ended, and the
    /// place of its parameter.
    pub(super) fn items(&mut self, call: CallId) -> Option<(&mut Credit, u16)> {
        let items = self.entries.get_mut(&call)?.items.as_mut()?;
        let place = items.place;
        Some((items.open()?, place))
    }

    /// Notes that no more items follow. Returns the place of their parameter, if that is news.
    pub(super) fn end_items(&mut self, call: CallId) -> Option<u16> {
        let items = self.entries.get_mut(&call)?.items.as_mut()?;
        items.open()?;
        items.end();
        Some(items.place)
    }

    /// The place of the parameter whose items follow or have ended.
    ///
    /// # Errors
    ///
    /// The call is not in flight, or no items follow it.
    pub(super) fn place_of_items(&self, call: CallId) -> Result<u16, ProtocolError> {
        let (call, entry) = (call.get(), self.entries.get(&call));
        let entry = entry.ok_or(ProtocolError::UnknownCall { call })?;
        let kind = Kind::Credit;
        let items = entry.items.ok_or(ProtocolError::NoItems { kind, call })?;
        Ok(items.place)
    }

    pub(super) fn tokens(&self) -> impl Iterator<Item = &T> {
        self.entries.values().map(|entry| &entry.token)
    }

    pub(super) fn get(&self, call: CallId) -> Option<&T> {
        Some(&self.entries.get(&call)?.token)
    }

    pub(super) fn get_mut(&mut self, call: CallId) -> Option<&mut T> {
        Some(&mut self.entries.get_mut(&call)?.token)
    }

    /// Which function a call in flight is of.
    pub(super) fn function(&self, call: CallId) -> Option<FunctionIndex> {
        self.entries.get(&call)?.function
    }

    /// How the worker runs a call in flight.
    pub(super) fn mode(&self, call: CallId) -> Option<Mode> {
        Some(self.entries.get(&call)?.mode)
    }

    /// The calls in flight, and how the worker runs each, in no particular order.
    pub(super) fn calls(&self) -> impl Iterator<Item = (CallId, Mode)> {
        self.entries.iter().map(|(call, entry)| (*call, entry.mode))
    }

    /// The call that was requested before all others that stand in the line.
    pub(super) fn oldest(&self) -> Option<CallId> {
        Some(self.oldest?.call)
    }

    /// Since when a call is unwanted.
    pub(super) fn unwanted_since(&self, call: CallId) -> Option<Instant> {
        self.unwanted(self.entries.get(&call)?)
    }

    /// Whether any call is cancelled or unwanted.
    pub(super) fn has_unwanted(&self) -> bool {
        let is_unwanted =
            |entry: &Entry<T>| entry.cancelled.is_some() || self.unwanted(entry).is_some();
        self.entries.values().any(is_unwanted)
    }

    /// The deadline of a call that has expired.
    pub(super) fn late_since(&self, call: CallId) -> Option<Instant> {
        self.entries.get(&call)?.late_since()
    }

    /// Since when nobody waits for a call any more.
    pub(super) fn cancelled_since(&self, call: CallId) -> Option<Instant> {
        self.entries.get(&call)?.cancelled
    }

    fn unwanted(&self, entry: &Entry<T>) -> Option<Instant> {
        let cancelled = entry.cancelled.filter(|_| self.unwanted_if_cancelled);
        earlier(entry.late_since(), cancelled)
    }

    /// Takes out a call that a frame of this kind has ended. [`settle`](Self::settle) must follow.
    pub(super) fn remove(&mut self, call: CallId, kind: Kind) -> Result<T, ProtocolError> {
        let number = call.get();
        let map::Entry::Occupied(entry) = self.entries.entry(call) else {
            return Err(ProtocolError::UnknownCall { call: number });
        };
        let is_stream = entry.get().is_stream();
        match kind {
            Kind::Reply if is_stream => Err(ProtocolError::WrongAnswer { kind, call: number }),
            Kind::StreamEnd if !is_stream => Err(ProtocolError::WrongAnswer { kind, call: number }),
            _ => {
                let entry = entry.remove();
                if entry.is_outside() {
                    self.outside -= 1;
                    self.has_one_less = true;
                }
                Ok(entry.token)
            }
        }
    }

    /// Accounts for an item of a stream whose frame has so many bytes.
    pub(super) fn spend(&mut self, call: CallId, bytes: usize) -> Result<(), ProtocolError> {
        let number = call.get();
        let entry = self.entries.get_mut(&call);
        let entry = entry.ok_or(ProtocolError::UnknownCall { call: number })?;
        let kind = Kind::StreamItem;
        let credit = entry.credit.as_mut();
        let credit = credit.ok_or(ProtocolError::WrongAnswer { kind, call: number })?;
        if credit.spend(bytes) {
            Ok(())
        } else {
            Err(ProtocolError::WithoutCredit { call: number })
        }
    }

    /// Notes that the worker may send so much more of a stream. Returns whether it is one in which
    /// somebody is interested.
    pub(super) fn grant(&mut self, call: CallId, bytes: u32) -> bool {
        let entry = self.entries.get_mut(&call);
        let entry = entry.filter(|entry| entry.cancelled.is_none());
        let Some(credit) = entry.and_then(|entry| entry.credit.as_mut()) else {
            return false;
        };
        credit.grant(bytes);
        true
    }

    /// Finds the oldest call anew after answers that arrived now. Ids are consecutive, so the next
    /// one is found by counting up: each id is passed once, whatever the order of the answers.
    pub(super) fn settle(&mut self, now: Instant) {
        if self.entries.is_empty() {
            self.oldest = None;
            self.earliest = None;
            return;
        }
        let mut is_news = std::mem::take(&mut self.has_one_less) || self.outside > 0;
        if is_news {
            self.heard = Some(now);
        }
        if let Some(oldest) = self.oldest {
            let next = self.oldest_from(oldest.call);
            if next != Some(oldest.call) {
                let since = Some(now);
                self.oldest = next.map(|call| Oldest { call, since });
                is_news = true;
            }
        }
        if is_news {
            self.look_for_overdue();
        }
    }

    fn look_for_overdue(&mut self) {
        let overdue = self.becomes_overdue().map(|(at, _)| at);
        self.earliest = earlier(self.earliest, overdue);
    }

    /// The first call from this id on that stands in the line.
    fn oldest_from(&self, mut call: CallId) -> Option<CallId> {
        if self.entries.len() == self.outside {
            return None;
        }
        while self.entries.get(&call).is_none_or(Entry::is_outside) {
            call = call.next();
        }
        Some(call)
    }

    /// When a call becomes overdue, and which: the oldest of those that the worker can be stuck in
    /// and that are not overdue yet, if all of these are unwanted. The clock starts when the last of them became so, or when the
    /// oldest had its turn or one outside of the line moved, if that was later.
    fn becomes_overdue(&self) -> Option<(Instant, CallId)> {
        let since = self.oldest.and_then(|oldest| oldest.since);
        let mut start = since.max(self.heard);
        let mut first = None;
        // Without any outside of the line there is only one to look at.
        let moving = self.entries.iter().take(match self.outside {
            0 => 0,
            _ => usize::MAX,
        });
        let moving = moving.filter(|(_, entry)| entry.is_moving());
        let moving = moving.map(|(call, _)| *call);
        for call in self.oldest().into_iter().chain(moving) {
            let entry = self.entries.get(&call)?;
            let unwanted = self.unwanted(entry)?;
            if entry.is_overdue {
                continue;
            }
            start = start.max(Some(unwanted));
            first = Some(first.map_or(call, |first: CallId| first.min(call)));
        }
        Some((start?.checked_add(self.overdue_after)?, first?))
    }

    /// Notes that nobody waits for the call any more. Returns whether that is news.
    pub(super) fn abandon(&mut self, call: CallId, now: Instant) -> bool {
        let entry = self.entries.get_mut(&call);
        let Some(entry) = entry.filter(|entry| entry.cancelled.is_none()) else {
            return false;
        };
        entry.cancelled = Some(now);
        if entry.is_stream() {
            // Its worker is to end it now, whether it had set it aside or not.
            self.heard = Some(now);
            self.look_for_overdue();
        } else if self.unwanted_if_cancelled {
            self.look_for_overdue();
        }
        true
    }

    /// No timer is earlier than this.
    pub(super) fn earliest(&self) -> Option<Instant> {
        self.earliest
    }

    /// Lets timers fire, in the order of their calls. A cancelled call expires as well: nobody
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
        match self.becomes_overdue() {
            Some((at, call)) if at <= now => {
                fired.push(Late::Overdue(call));
                if let Some(entry) = self.entries.get_mut(&call) {
                    entry.is_overdue = true;
                }
            }
            overdue => self.earliest = earlier(self.earliest, overdue.map(|(at, _)| at)),
        }
        fired.sort_by_key(|late| late.call());
        fired.into_iter().for_each(&mut late);
    }

    /// Takes out all calls, in the order of their requests. `written` is how many bytes the lane
    /// has taken.
    pub(super) fn take(&mut self, written: u64) -> Vec<InFlight<T>> {
        self.earliest = None;
        self.oldest = None;
        self.outside = 0;
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

impl<T> Entry<T> {
    fn is_stream(&self) -> bool {
        self.credit.is_some()
    }

    fn late_since(&self) -> Option<Instant> {
        match self.timer {
            Timer::IsLate(deadline) => Some(deadline),
            Timer::Expires(_) | Timer::Nothing => None,
        }
    }

    /// Whether it does not stand in the line.
    fn is_outside(&self) -> bool {
        self.is_stream() || self.mode != Mode::Alone
    }

    /// Whether it does not stand in the line, and the worker goes on with it. A stream it does if it
    /// may send more of it, or is to end it.
    fn is_moving(&self) -> bool {
        match self.credit {
            Some(credit) => credit.is_left() || self.cancelled.is_some(),
            None => self.mode != Mode::Alone,
        }
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
