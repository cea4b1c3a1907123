//! A call that waits for its turn, or runs.

use bytes::Bytes;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use pyproc_proto::{CallId, Metadata};

/// A call that waits for its turn.
pub(crate) struct Queued {
    pub(crate) call: CallId,
    pub(crate) function: u16,
    /// When it is no longer worth running, by `CLOCK_MONOTONIC`.
    pub(crate) deadline_ns: Option<u64>,
    pub(crate) metadata: Metadata,
    pub(crate) wants_stream: bool,
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
}

#[pymethods]
impl Request {
    /// The pairs that came beside the body.
    #[getter]
    fn metadata<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.metadata.iter().collect::<Vec<_>>())
    }
}
