//! A place of the pool for a worker, and the calls that it has.

use std::time::Instant;

use crate::ledger::Ended;
use crate::pool::pace::Pace;
use crate::pool::router::Candidate;
use crate::pool::service_time::ServiceTime;

/// The generation of a slot that has no worker of its own, be it that it has none yet, be it that it was removed.
pub(super) const NOBODY: u64 = 0;

#[derive(Debug)]
pub(super) struct Slot<L> {
    pub(super) state: SlotState<L>,
    /// Which of its workers the slot has, or had last.
    pub(super) generation: u64,
    /// How many calls that one has.
    pub(super) in_flight: usize,
    /// How many of them are streams that have yielded.
    pub(super) streams: usize,
    pub(super) pace: Pace,
    pub(super) service_time: ServiceTime,
    /// How many calls the worker may have whatever its pace.
    pub(super) room: usize,
    /// The calls of earlier ones, which finish what they have while their successor takes calls already, or after the
    /// slot was removed.
    pub(super) leaving: Vec<Leaving>,
}

#[derive(Debug)]
pub(super) struct Leaving {
    pub(super) generation: u64,
    pub(super) in_flight: usize,
    pub(super) streams: usize,
}

#[derive(Debug)]
pub(super) enum SlotState<L> {
    Open {
        link: L,
        /// It gets one call at a time, until it has proved itself.
        is_on_probation: bool,
    },
    /// There is no worker, but there soon will be.
    Closed,
    /// Its workers keep dying. Another is tried now and then.
    Degraded,
    Failed,
    /// The pool has become smaller.
    Removed,
}

impl<L> Slot<L> {
    pub(super) fn new() -> Self {
        Self {
            state: SlotState::Closed,
            generation: NOBODY,
            in_flight: 0,
            streams: 0,
            pace: Pace::new(),
            service_time: ServiceTime::new(),
            room: 0,
            leaving: Vec::new(),
        }
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.state, SlotState::Open { .. })
    }

    /// Whether it has a worker, or will soon.
    pub(super) fn is_hopeful(&self) -> bool {
        matches!(self.state, SlotState::Open { .. } | SlotState::Closed)
    }

    /// How many calls of its worker take a place.
    pub(super) fn places(&self) -> usize {
        self.in_flight - self.streams
    }

    pub(super) fn is_idle(&self) -> bool {
        self.places() == 0
    }

    pub(super) fn candidate(&self, index: usize) -> Candidate {
        let mut candidate = Candidate::new(index, self.in_flight);
        candidate.streams = self.streams;
        candidate.service_time = self.service_time.average();
        candidate.since = self.service_time.since();
        candidate
    }

    /// Its worker has answered so many calls, which are not counted any more.
    pub(super) fn note_answers(&mut self, calls: usize, now: Instant) {
        let is_idle = self.is_idle();
        self.pace.answered(calls, is_idle, now);
        self.service_time.answered(calls, is_idle, now);
    }

    /// Another worker takes over. Returns how many calls, without streams, the one before has, and keeps.
    pub(super) fn succeed(&mut self, generation: u64) -> usize {
        let mut kept = 0;
        if self.in_flight > 0 && self.generation != generation {
            kept = self.places();
            self.leaving.push(Leaving {
                generation: self.generation,
                in_flight: std::mem::take(&mut self.in_flight),
                streams: std::mem::take(&mut self.streams),
            });
        }
        self.generation = generation;
        self.pace = Pace::new();
        self.service_time = ServiceTime::new();
        kept
    }

    pub(super) fn release_leaving(&mut self, generation: u64, ended: Ended) {
        for leaving in &mut self.leaving {
            if leaving.generation == generation {
                leaving.in_flight -= ended.all();
                leaving.streams -= ended.streams;
            }
        }
        self.leaving.retain(|leaving| leaving.in_flight > 0);
    }

    pub(super) fn note_leaving_stream(&mut self, generation: u64) {
        for leaving in &mut self.leaving {
            leaving.streams += usize::from(leaving.generation == generation);
        }
    }
}
