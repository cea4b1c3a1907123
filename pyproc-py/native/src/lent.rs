//! The connection, as a function has it that reads an argument item by item.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use pyo3::exceptions::PyConnectionAbortedError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};
use pyproc_proto::{CallId, Limits, ProtocolError, WorkerConnection, WorkerEvent};
use rustix::io::Errno;

use crate::descriptor::Descriptor;
use crate::lane::{Arrival, receive_into};
use crate::running::Running;

/// What `pyproc._items.Items` takes for its connection.
///
/// While such a function runs, the loop cannot read, and lends what it reads with. What comes for
/// others is put by until the function has returned.
#[pyclass(frozen, module = "pyproc_native")]
pub(crate) struct LentConnection {
    socket: Descriptor,
    /// The `pyproc._lane.Lane`.
    lane: Py<PyAny>,
    running: Py<Running>,
    lent: Mutex<Option<Lent>>,
    /// The streams that functions read, by the calls of these.
    items: Mutex<HashMap<CallId, Py<PyAny>>>,
}

/// What the loop lends.
pub(crate) struct Lent {
    pub(crate) protocol: WorkerConnection,
    /// What has come and is for others.
    pub(crate) events: Vec<WorkerEvent>,
    /// Whether nothing more will come.
    pub(crate) has_ended: bool,
    /// What the host has done that no host does.
    pub(crate) violation: Option<ProtocolError>,
}

impl LentConnection {
    pub(crate) fn new(lane: &Bound<'_, PyAny>, running: &Bound<'_, Running>) -> PyResult<Self> {
        let socket = lane.call_method0(intern!(lane.py(), "fileno"))?;
        Ok(Self {
            socket: Descriptor::new(socket.extract()?),
            lane: lane.clone().unbind(),
            running: running.clone().unbind(),
            lent: Mutex::new(None),
            items: Mutex::new(HashMap::new()),
        })
    }

    /// Notes what a call reads its items from.
    pub(crate) fn add(&self, call: CallId, items: &Bound<'_, PyAny>) {
        lock(&self.items).insert(call, items.clone().unbind());
    }

    /// Whether this call reads items.
    pub(crate) fn has(&self, call: CallId) -> bool {
        lock(&self.items).contains_key(&call)
    }

    /// Drops what a call has not read, because it has ended.
    pub(crate) fn forget(&self, py: Python<'_>, call: CallId) -> PyResult<()> {
        let items = lock(&self.items).remove(&call);
        match items {
            Some(items) => items.call_method0(py, intern!(py, "forget")).map(drop),
            None => Ok(()),
        }
    }

    /// Hands over what has come for a call that reads items. What is also for somebody else, or
    /// only, comes back.
    pub(crate) fn deliver(
        &self,
        py: Python<'_>,
        event: WorkerEvent,
    ) -> PyResult<Option<WorkerEvent>> {
        let items = |call| {
            lock(&self.items)
                .get(&call)
                .map(|items| items.clone_ref(py))
        };
        match event {
            WorkerEvent::Item { call, body } => {
                if let Some(items) = items(call) {
                    items.call_method1(py, intern!(py, "push"), (PyBytes::new(py, &body),))?;
                }
                Ok(None)
            }
            WorkerEvent::ItemsEnd { call } => {
                if let Some(items) = items(call) {
                    items.call_method0(py, intern!(py, "finish"))?;
                }
                Ok(None)
            }
            WorkerEvent::Cancel { call } => {
                if let Some(items) = items(call) {
                    items.call_method0(py, intern!(py, "cancel"))?;
                }
                Ok(Some(event))
            }
            event => Ok(Some(event)),
        }
    }

    /// Lends a connection, and leaves one in its place with which nothing can be done.
    pub(crate) fn lend(&self, protocol: &mut WorkerConnection) {
        let nothing = WorkerConnection::after_handshake(Limits::default(), Instant::now());
        *lock(&self.lent) = Some(Lent {
            protocol: std::mem::replace(protocol, nothing),
            events: Vec::new(),
            has_ended: false,
            violation: None,
        });
    }

    /// Takes it back.
    pub(crate) fn take_back(&self) -> Option<Lent> {
        lock(&self.lent).take()
    }

    /// Writes what was said, and reads what is there. Returns whether anything was.
    fn exchange(&self, py: Python<'_>) -> PyResult<bool> {
        let said: Vec<_> = self.with_lent(|lent| {
            let pieces = lent.protocol.output_pieces();
            let said = pieces.map(|piece| PyBytes::new(py, piece)).collect();
            lent.protocol.advance_output(lent.protocol.output_len());
            said
        })?;
        if !said.is_empty() {
            self.lane
                .call_method1(py, intern!(py, "write"), PyTuple::new(py, said)?)?;
        }
        let (has_read, events, has_ended) = self.with_lent(|lent| lent.read(self.socket))??;
        for event in events {
            // Python's objects are called without a lock.
            if let Some(event) = self.deliver(py, event)? {
                self.with_lent(|lent| lent.events.push(event))?;
            }
        }
        if has_ended {
            return Err(aborted());
        }
        Ok(has_read)
    }

    fn with_lent<T>(&self, act: impl FnOnce(&mut Lent) -> T) -> PyResult<T> {
        lock(&self.lent).as_mut().map(act).ok_or_else(aborted)
    }
}

#[pymethods]
impl LentConnection {
    /// Let the host send so many more bytes of an argument, its frames counted whole.
    fn grant(&self, call: u64, place: u16, size: u32) -> PyResult<()> {
        let call = CallId::new(call).ok_or_else(aborted)?;
        self.with_lent(|lent| lent.protocol.grant(call, place, size))
    }

    /// Wait until something has come, and take it; it may return early. Only in the wait itself
    /// the function is interrupted.
    ///
    /// Raises `ConnectionAbortedError` where nothing more will come.
    fn wait(&self, py: Python<'_>) -> PyResult<()> {
        let running = self.running.get();
        let call = running.pause();
        let exchanged = self.exchange(py);
        running.resume(call);
        if exchanged? {
            return Ok(());
        }
        py.check_signals()?;
        let socket = self.socket;
        match py.detach(|| socket.wait(socket, None)) {
            Ok(_) => Ok(()),
            Err(Errno::INTR) => py.check_signals(),
            Err(error) => Err(std::io::Error::from(error).into()),
        }
    }
}

impl Lent {
    /// Reads what is there. Returns whether anything was, what it means, and whether nothing more
    /// will come.
    fn read(&mut self, socket: Descriptor) -> PyResult<(bool, Vec<WorkerEvent>, bool)> {
        match receive_into(socket, self.protocol.input_mut())? {
            Arrival::Nothing => {}
            Arrival::End => self.has_ended = true,
            Arrival::Bytes => {
                if let Err(violation) = self.protocol.handle_input(Instant::now()) {
                    self.violation = Some(violation);
                    self.has_ended = true;
                }
                let events: Vec<_> = std::iter::from_fn(|| self.protocol.poll_event()).collect();
                self.has_ended |= events.contains(&WorkerEvent::Goodbye);
                return Ok((true, events, self.has_ended));
            }
        }
        Ok((false, Vec::new(), self.has_ended))
    }
}

fn aborted() -> PyErr {
    PyConnectionAbortedError::new_err("the host has closed the connection")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
