use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use super::End;
use crate::clock::now_ns;
use crate::findings::{Finding, Findings};
use crate::plan::{Function, POISON_LIMIT};

/// How many calls a chunk holds.
pub(super) const CALLS: u64 = 1 << 14;

/// The calls with consecutive ids, in four bytes each, because a soak makes a billion of them.
#[derive(Debug)]
pub(super) struct Chunk {
    calls: Box<[Call]>,
    ended: AtomicU64,
    last_end_ns: AtomicU64,
}

#[derive(Debug, Default)]
struct Call {
    /// [`OPEN`], [`IDEMPOTENT`], and the end.
    state: AtomicU8,
    function: AtomicU8,
    executions: AtomicU8,
    /// In how many processes no execution has followed its own: those that it may have taken with it. It can be one more
    /// than the pool counts if a worker died in the moment between taking the next call and writing that down; that this
    /// happens to a call that takes workers with it besides is too unlikely to be allowed for.
    last_of: AtomicU8,
}

const OPEN: u8 = 0x80;
const IDEMPOTENT: u8 = 0x40;
const END: u8 = 0x0f;

impl Chunk {
    pub(super) fn open(&self, id: u64, function: Function, idempotent: bool) {
        let call = self.call(id);
        call.function.store(function as u8, Ordering::Relaxed);
        let idempotent = if idempotent { IDEMPOTENT } else { 0 };
        call.state.store(OPEN | idempotent, Ordering::Relaxed);
    }

    pub(super) fn end(&self, id: u64, end: End, findings: &Findings) {
        let before = self.call(id).state.fetch_or(end as u8, Ordering::Relaxed);
        if before & END != 0 {
            findings.add(Finding::Doubled, || format!("call {id}"));
            return;
        }
        self.last_end_ns.fetch_max(now_ns(), Ordering::Relaxed);
        self.ended.fetch_add(1, Ordering::Release);
    }

    /// Says how often it has been executed.
    pub(super) fn executed(&self, id: u64) -> u8 {
        let call = self.call(id);
        let count = call.executions.load(Ordering::Relaxed).saturating_add(1);
        call.executions.store(count, Ordering::Relaxed);
        let last_of = call.last_of.load(Ordering::Relaxed);
        call.last_of
            .store(last_of.saturating_add(1), Ordering::Relaxed);
        count
    }

    pub(super) fn outlived(&self, id: u64) {
        let last_of = &self.call(id).last_of;
        let count = last_of.load(Ordering::Relaxed);
        last_of.store(count.saturating_sub(1), Ordering::Relaxed);
    }

    /// Whether all of its calls were made and have ended.
    pub(super) fn is_complete(&self) -> bool {
        self.ended.load(Ordering::Acquire) == CALLS
    }

    pub(super) fn last_end_ns(&self) -> u64 {
        self.last_end_ns.load(Ordering::Relaxed)
    }

    /// Compares the end of each call with its executions.
    pub(super) fn judge(&self, number: u64, findings: &Findings) {
        for (id, call) in (number * CALLS..).zip(&self.calls) {
            let state = call.state.load(Ordering::Relaxed);
            let executions = call.executions.load(Ordering::Relaxed);
            let last_of = call.last_of.load(Ordering::Relaxed);
            let (is_open, end) = (state & OPEN != 0, state & END);
            let is_idempotent = state & IDEMPOTENT != 0;
            for (is_found, finding) in [
                (is_open && end == 0, Finding::Lost),
                (!is_open && executions > 0, Finding::ExecutedUnknown),
                (
                    end == End::NotStarted as u8 && executions > 0,
                    Finding::ExecutedUnstarted,
                ),
                (
                    end == End::Ran as u8 && executions == 0,
                    Finding::NeverExecuted,
                ),
                (
                    is_open && !is_idempotent && executions > 1,
                    Finding::ExecutedTwice,
                ),
                (last_of > POISON_LIMIT, Finding::ExecutedTooOften),
            ] {
                if is_found {
                    findings.add(finding, || {
                        let function = Function::name_of(call.function.load(Ordering::Relaxed));
                        format!(
                            "call {id} of `{function}`, executed {executions} times, \
                             and {last_of} times as the last one of its worker"
                        )
                    });
                }
            }
        }
    }

    fn call(&self, id: u64) -> &Call {
        // The remainder is below the number of calls.
        &self.calls[(id % CALLS) as usize]
    }
}

impl Default for Chunk {
    fn default() -> Self {
        Self {
            calls: (0..CALLS).map(|_| Call::default()).collect(),
            ended: AtomicU64::new(0),
            last_end_ns: AtomicU64::new(0),
        }
    }
}
