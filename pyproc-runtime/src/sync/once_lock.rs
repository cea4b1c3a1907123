//! The standard library's cell, before each use of which shuttle may let others run: it has none of its own.

use std::sync;

use shuttle::sync::atomic::{AtomicBool, Ordering};

#[derive(Debug)]
pub(crate) struct OnceLock<T> {
    value: sync::OnceLock<T>,
    /// Shuttle schedules whenever it is touched.
    touch: AtomicBool,
}

impl<T> OnceLock<T> {
    pub(crate) fn new() -> Self {
        Self {
            value: sync::OnceLock::new(),
            touch: AtomicBool::new(false),
        }
    }

    pub(crate) fn get(&self) -> Option<&T> {
        self.touch.load(Ordering::SeqCst);
        self.value.get()
    }

    pub(crate) fn set(&self, value: T) -> Result<(), T> {
        self.touch.store(true, Ordering::SeqCst);
        self.value.set(value)
    }
}
