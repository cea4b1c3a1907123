//! Which call may be interrupted now.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use pyo3::prelude::*;
use pyproc_proto::CallId;

/// What `pyproc._interrupt.PureRunning` is to the loop in Python.
///
/// The handler of the host's signal, which is Python's, raises only while a call is set here. It
/// runs between two steps of Python code, and where this core asks for signals to be handled: so
/// it is set around all that is Python's in a call, and around nothing that asks.
#[pyclass(frozen, module = "pyproc_native")]
pub(crate) struct Running {
    call: AtomicU64,
    hit: AtomicU64,
    is_watched: AtomicBool,
}

impl Running {
    pub(crate) fn begin(&self, call: CallId) {
        self.call.store(call.get(), Ordering::Relaxed);
    }

    pub(crate) fn end(&self) {
        self.call.store(0, Ordering::Relaxed);
    }

    /// Lets nothing be interrupted for a while. Returns the call that might have been.
    pub(crate) fn pause(&self) -> u64 {
        self.call.swap(0, Ordering::Relaxed)
    }

    pub(crate) fn resume(&self, call: u64) {
        self.call.store(call, Ordering::Relaxed);
    }

    /// Leaves a call in peace that is to end: it is not interrupted, whatever the host wants.
    pub(crate) fn spare(&self, call: CallId) {
        self.hit.store(call.get(), Ordering::Relaxed);
    }

    /// Whether any call is to be told of its end, because it has asked for it.
    pub(crate) fn has_watched(&self) -> bool {
        self.is_watched.load(Ordering::SeqCst)
    }

    /// Whether the call was interrupted.
    pub(crate) fn has_hit(&self, call: CallId) -> bool {
        self.hit.load(Ordering::Relaxed) == call.get()
    }
}

#[pymethods]
impl Running {
    #[new]
    pub(crate) fn new() -> Self {
        Self {
            call: AtomicU64::new(0),
            hit: AtomicU64::new(0),
            is_watched: AtomicBool::new(false),
        }
    }

    /// Its id, or 0 where none may be.
    #[getter]
    fn call(&self) -> u64 {
        self.call.load(Ordering::Relaxed)
    }

    #[setter]
    fn set_call(&self, call: u64) {
        self.call.store(call, Ordering::Relaxed);
    }

    /// The id of the call that was interrupted last.
    #[getter]
    fn hit(&self) -> u64 {
        self.hit.load(Ordering::Relaxed)
    }

    #[setter]
    fn set_hit(&self, call: u64) {
        self.hit.store(call, Ordering::Relaxed);
    }

    /// Whether any call is to be told of its end.
    #[getter]
    fn is_watched(&self) -> bool {
        self.has_watched()
    }

    #[setter]
    fn set_is_watched(&self, is_watched: bool) {
        self.is_watched.store(is_watched, Ordering::SeqCst);
    }
}
