//! A call that waits for its turn, or runs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use pyproc_proto::{CallId, Metadata};

/// A call that waits for its turn.
pub(crate) struct Queued {
    pub(crate) call: CallId,
    pub(crate) function: u16,
    /// When it is no longer worth running, by `CLOCK_MONOTONIC`.
    pub(crate) deadline_ns: Option<u64>,
    pub(crate) metadata: Metadata,
    pub(crate) wants_stream: bool,
    pub(crate) items_follow: bool,
    pub(crate) body: Bytes,
}

/// The call that runs, as the Python package knows it: what `pyproc._request.Request` is to the
/// loop in Python. A `Context` is made of it when somebody asks.
#[pyclass(frozen, module = "pyproc_native")]
pub(crate) struct Request {
    #[pyo3(get)]
    pub(crate) call: u64,
    #[pyo3(get)]
    pub(crate) function: u16,
    #[pyo3(get)]
    pub(crate) deadline_ns: Option<u64>,
    pub(crate) metadata: Metadata,
    /// What has the names of pool and slot.
    #[pyo3(get)]
    pub(crate) connection: Py<PyAny>,
    /// What goes back beside the result, if there is anything.
    pub(crate) reply_metadata: Mutex<Option<Py<PyDict>>>,
    /// Whether its function has come to its end; said before it is looked whether it is watched.
    pub(crate) has_ended: AtomicBool,
}

impl Request {
    /// What goes back beside the result, if there is anything.
    pub(crate) fn sent_back(&self, py: Python<'_>) -> PyResult<Option<Metadata>> {
        let Some(pairs) = self.reply_metadata(py) else {
            return Ok(None);
        };
        let mut metadata = Metadata::new();
        for (key, value) in pairs {
            let (key, value): (String, String) = (key.extract()?, value.extract()?);
            // The package has held them against the limit.
            metadata
                .push(key, value)
                .map_err(|error| PyValueError::new_err(error.to_string()))?;
        }
        Ok(Some(metadata))
    }

    /// Takes note that the function has come to its end: what another thread wants done about it
    /// from now on is not kept. Whoever asks whether the call is watched asks afterwards.
    pub(crate) fn end(&self) {
        self.has_ended.store(true, Ordering::SeqCst);
    }

    fn locked(&self) -> MutexGuard<'_, Option<Py<PyDict>>> {
        self.reply_metadata
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl Request {
    /// The pairs that came beside the body.
    #[getter]
    fn metadata<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.metadata.iter().collect::<Vec<_>>())
    }

    #[getter]
    fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::SeqCst)
    }

    #[getter]
    fn reply_metadata<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyDict>> {
        self.locked().as_ref().map(|pairs| pairs.bind(py).clone())
    }

    #[setter]
    fn set_reply_metadata(&self, pairs: Option<Py<PyDict>>) {
        let old = std::mem::replace(&mut *self.locked(), pairs);
        // Its end may run Python code.
        drop(old);
    }
}
