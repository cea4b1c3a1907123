//! The host's side of the truth: every call that was made, how it ended, and how often it was executed.

mod chunk;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use crate::clock::{between, now_ns};
use crate::findings::{Finding, Findings};
use crate::plan::Function;
use chunk::{CALLS, Chunk};

/// How a call ended, as far as its executions are concerned.
#[repr(u8)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It must have been executed.
    Ran = 1,
    /// It may have been executed.
    MayHaveRun = 2,
    /// It must never have been executed.
    NotStarted = 3,
}

/// Every call by its id, which no two calls of a run share, whatever pool they went to.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    next: AtomicU64,
    chunks: RwLock<BTreeMap<u64, Arc<Chunk>>>,
    ends: Mutex<BTreeMap<&'static str, u64>>,
    executions: AtomicU64,
    repeated: AtomicU64,
    pub(crate) findings: Findings,
}

/// The right, and the duty, to end a call once.
#[must_use]
pub(crate) struct Entry<'a> {
    ledger: &'a Ledger,
    chunk: Arc<Chunk>,
    pub(crate) id: u64,
}

impl Ledger {
    /// A call is made.
    pub(crate) fn open(&self, function: Function, idempotent: bool) -> Entry<'_> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let chunk = self.chunk_or_new(id / CALLS);
        chunk.open(id, function, idempotent);
        Entry {
            ledger: self,
            chunk,
            id,
        }
    }

    /// The journal says that a call was executed. Says whether it had been before.
    pub(crate) fn executed(&self, id: u64) -> bool {
        self.executions.fetch_add(1, Ordering::Relaxed);
        let Some(chunk) = self.chunk(id) else {
            let finding = match id < self.opened() {
                // Its chunk was settled long after all of its calls had ended.
                true => Finding::ExecutedLate,
                false => Finding::ExecutedUnknown,
            };
            self.findings.add(finding, || format!("call {id}"));
            return false;
        };
        let is_repeated = chunk.executed(id) > 1;
        self.repeated
            .fetch_add(u64::from(is_repeated), Ordering::Relaxed);
        is_repeated
    }

    /// The journal says that a process which had executed this call has executed another one: should it die, then not of
    /// this one.
    pub(crate) fn outlived(&self, id: u64) {
        if let Some(chunk) = self.chunk(id) {
            chunk.outlived(id);
        }
    }

    /// Judges the calls that ended long enough ago for nothing to follow, and forgets them.
    pub(crate) fn settle(&self, patience: Duration) {
        let now = now_ns();
        let settled: Vec<_> = {
            let chunks = self.chunks();
            let old = chunks.iter().filter(|(_, chunk)| {
                chunk.is_complete() && between(chunk.last_end_ns(), now) >= patience
            });
            old.map(|(number, chunk)| (*number, Arc::clone(chunk)))
                .collect()
        };
        for (number, chunk) in settled {
            chunk.judge(number, &self.findings);
            let mut chunks = self.chunks.write().unwrap_or_else(PoisonError::into_inner);
            chunks.remove(&number);
        }
    }

    /// Judges all calls.
    pub(crate) fn close(&self) {
        let chunks =
            std::mem::take(&mut *self.chunks.write().unwrap_or_else(PoisonError::into_inner));
        for (number, chunk) in chunks {
            chunk.judge(number, &self.findings);
        }
    }

    pub(crate) fn opened(&self) -> u64 {
        self.next.load(Ordering::Relaxed)
    }

    /// Whether all calls that were made have ended.
    pub(crate) fn is_quiet(&self) -> bool {
        self.ends().values().sum::<u64>() == self.opened()
    }

    pub(crate) fn executions(&self) -> u64 {
        self.executions.load(Ordering::Relaxed)
    }

    /// How many of them were not the first ones of their calls.
    pub(crate) fn repeated(&self) -> u64 {
        self.repeated.load(Ordering::Relaxed)
    }

    /// How many calls came to which end.
    pub(crate) fn ends(&self) -> BTreeMap<&'static str, u64> {
        let ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        ends.clone()
    }

    fn chunk(&self, id: u64) -> Option<Arc<Chunk>> {
        self.chunks().get(&(id / CALLS)).cloned()
    }

    fn chunk_or_new(&self, number: u64) -> Arc<Chunk> {
        if let Some(chunk) = self.chunks().get(&number) {
            return Arc::clone(chunk);
        }
        let mut chunks = self.chunks.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(chunks.entry(number).or_default())
    }

    fn chunks(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<u64, Arc<Chunk>>> {
        self.chunks.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry<'_> {
    /// The call has ended; `word` is what its end is counted as.
    pub(crate) fn end(self, end: End, word: &'static str) {
        self.chunk.end(self.id, end, &self.ledger.findings);
        let ends = &mut self
            .ledger
            .ends
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *ends.entry(word).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found about one call that ended so after so many executions.
    fn found(idempotent: bool, end: Option<End>, executions: usize) -> Vec<Finding> {
        let ledger = Ledger::default();
        let entry = ledger.open(Function::Echo, idempotent);
        let id = entry.id;
        if let Some(end) = end {
            entry.end(end, "ended");
        }
        for _ in 0..executions {
            ledger.executed(id);
        }
        ledger.close();
        ledger.findings.kinds()
    }

    #[test]
    fn ends_and_executions_must_agree() {
        for (idempotent, end, executions, expected) in [
            (false, Some(End::Ran), 1, None),
            (false, Some(End::Ran), 0, Some(Finding::NeverExecuted)),
            (false, Some(End::Ran), 2, Some(Finding::ExecutedTwice)),
            (true, Some(End::Ran), 2, None),
            (false, Some(End::MayHaveRun), 0, None),
            (false, Some(End::MayHaveRun), 1, None),
            (
                false,
                Some(End::MayHaveRun),
                2,
                Some(Finding::ExecutedTwice),
            ),
            (true, Some(End::NotStarted), 0, None),
            (
                true,
                Some(End::NotStarted),
                1,
                Some(Finding::ExecutedUnstarted),
            ),
            (false, None, 0, Some(Finding::Lost)),
        ] {
            let expected: Vec<_> = expected.into_iter().collect();
            let case = format!("{idempotent} {end:?} {executions}");
            assert_eq!(found(idempotent, end, executions), expected, "{case}");
        }
    }

    #[test]
    fn one_finding_hides_no_other() {
        let lost = [Finding::Lost, Finding::ExecutedTwice];
        assert_eq!(found(false, None, 2), lost);
        let unstarted = [Finding::ExecutedTwice, Finding::ExecutedUnstarted];
        assert_eq!(found(false, Some(End::NotStarted), 2), unstarted);
    }

    #[test]
    fn an_execution_for_a_call_that_was_never_made_is_found() {
        let ledger = Ledger::default();
        let entry = ledger.open(Function::Echo, false);
        let id = entry.id;
        entry.end(End::MayHaveRun, "cancelled");
        // Its chunk exists.
        ledger.executed(id + 1);
        ledger.executed(id + CALLS);
        ledger.close();
        assert_eq!(ledger.findings.kinds(), [Finding::ExecutedUnknown]);
        assert_eq!(ledger.findings.count(Finding::ExecutedUnknown), 2);
    }

    #[test]
    fn an_idempotent_call_may_be_the_last_one_of_as_many_workers_as_the_poison_limit_says() {
        for (outlived, expected) in [
            // A worker that ran it, and then another one, counts for nothing.
            (true, vec![]),
            (false, vec![Finding::ExecutedTooOften]),
        ] {
            let ledger = Ledger::default();
            let entry = ledger.open(Function::Crash, true);
            let id = entry.id;
            let repeated = [false, true, true].map(|_| ledger.executed(id));
            assert_eq!(repeated, [false, true, true]);
            if outlived {
                ledger.outlived(id);
            }
            entry.end(End::MayHaveRun, "worker_died");
            ledger.close();
            assert_eq!(ledger.findings.kinds(), expected);
            assert_eq!((ledger.executions(), ledger.repeated()), (3, 2));
        }
    }

    #[test]
    fn a_second_end_is_found() {
        let ledger = Ledger::default();
        let entry = ledger.open(Function::Echo, true);
        let again = Entry {
            ledger: &ledger,
            chunk: Arc::clone(&entry.chunk),
            id: entry.id,
        };
        entry.end(End::MayHaveRun, "cancelled");
        again.end(End::MayHaveRun, "cancelled");
        assert_eq!(ledger.findings.kinds(), [Finding::Doubled]);
    }

    #[test]
    fn what_is_settled_is_forgotten_and_a_later_execution_is_found() {
        let ledger = Ledger::default();
        for _ in 0..=CALLS {
            let entry = ledger.open(Function::Echo, false);
            entry.end(End::MayHaveRun, "cancelled");
        }
        ledger.settle(Duration::from_secs(60));
        assert_eq!(ledger.chunks().len(), 2);
        ledger.settle(Duration::ZERO);
        // The second one has room for more calls.
        assert_eq!(ledger.chunks().len(), 1);
        assert_eq!(ledger.findings.kinds(), []);
        ledger.executed(0);
        assert_eq!(ledger.findings.kinds(), [Finding::ExecutedLate]);
    }
}
