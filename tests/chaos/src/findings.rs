//! What must not be, and was.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// A promise that was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Finding {
    /// A call never ended.
    Lost,
    /// A call ended twice.
    Doubled,
    /// A reply carried what belongs to another call.
    Swapped,
    /// A stream left an item out, had one twice, or ended before its last one.
    Torn,
    /// A function ran again for a call that is not idempotent.
    ExecutedTwice,
    /// A call was the last one of more workers than it may take with it.
    ExecutedTooOften,
    /// A function ran for a call that ended as not started.
    ExecutedUnstarted,
    /// A call had a result, and its function never ran.
    NeverExecuted,
    /// A function ran for a call that was never made.
    ExecutedUnknown,
    /// A function ran long after its call had ended.
    ExecutedLate,
    /// A call ended in a way in which its function cannot end.
    Unexpected,
    /// A pool counted other ends than its callers, or sent fewer calls again than its workers ran again.
    Miscounted,
    /// A call ended long after its deadline.
    EndedLate,
    /// Nothing is called, and a pool has calls in flight or waiting all the same.
    NotIdle,
    /// The events of a pool contradict each other, or tell of what cannot be.
    Contradictory,
    /// A fatal act was not noticed.
    Unnoticed,
    /// A slot did not come back.
    NotReplaced,
    /// A process outlived its pool.
    LeakedPid,
    /// A descriptor outlived its pool.
    LeakedFd,
    /// A file in shared memory, or a directory for sockets, outlived its pool.
    LeakedFile,
    /// A thread of the host panicked.
    Panicked,
    /// A measured time is beyond what is promised, or could seldom be measured.
    Slow,
    /// Memory or descriptors grow.
    Grows,
}

/// How often what was found, and the first examples of each.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    found: Mutex<BTreeMap<Finding, Found>>,
}

#[derive(Debug, Default)]
struct Found {
    count: u64,
    examples: Vec<String>,
}

/// So many examples tell what it is about.
const EXAMPLES: usize = 5;

/// A reply may be as long as a frame.
const EXAMPLE_CHARS: usize = 1000;

impl Findings {
    pub(crate) fn add(&self, finding: Finding, example: impl FnOnce() -> String) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let found = found.entry(finding).or_default();
        found.count += 1;
        if found.examples.len() < EXAMPLES {
            let example = example().chars().take(EXAMPLE_CHARS).collect::<String>();
            tracing::error!(?finding, "{example}");
            found.examples.push(example);
        }
    }

    pub(crate) fn count(&self, finding: Finding) -> u64 {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.get(&finding).map_or(0, |found| found.count)
    }

    /// All of them in words.
    pub(crate) fn lines(&self) -> Vec<String> {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let line = |(finding, found): (&Finding, &Found)| {
            let examples = found.examples.join("; ");
            format!("{finding:?} {} times: {examples}", found.count)
        };
        found.iter().map(line).collect()
    }

    #[cfg(test)]
    pub(crate) fn kinds(&self) -> Vec<Finding> {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.keys().copied().collect()
    }
}
