//! How many calls workers have at once.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts the calls that a worker, or several together, have now and have had at most.
#[derive(Debug, Default)]
pub(crate) struct Gauge {
    now: AtomicUsize,
    peak: AtomicUsize,
}

impl Gauge {
    pub(crate) fn rise(&self) {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.peak.fetch_max(now, Ordering::SeqCst);
    }

    pub(crate) fn fall(&self, calls: usize) {
        self.now.fetch_sub(calls, Ordering::SeqCst);
    }

    pub(crate) fn now(&self) -> usize {
        self.now.load(Ordering::SeqCst)
    }

    pub(crate) fn peak(&self) -> usize {
        self.peak.load(Ordering::SeqCst)
    }
}
