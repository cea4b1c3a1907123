//! The loop of a spawned worker, compiled.
//!
//! The handshake, the import of the user's module and the end of the process are Python's; this
//! takes over after the `Welcome`. `pyproc._loop_native` is the other side of it.

// In the order in which a call meets them.
mod worker;

mod clock;
mod descriptor;
mod lane;
mod lent;
mod memory;
mod spin;

mod function;
mod page;
mod request;
mod running;

mod bodies;
mod errors;
mod json;
mod keys;
mod msgpack;
mod plain;

/// The compiled loop of pyproc's workers.
#[pyo3::pymodule]
mod pyproc_native {
    use std::collections::VecDeque;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::{Duration, Instant};

    use pyo3::intern;
    use pyo3::prelude::*;
    use pyo3::types::{PyBytes, PyCFunction, PyDict, PyTuple};
    use pyproc_proto::{Limits, ReplyBody, WorkerConnection};

    use crate::bodies::{Bodies, Format};
    use crate::errors::InvalidResult;
    use crate::function::Function;
    use crate::keys::Keys;
    use crate::lane::Lane;
    use crate::lent::LentConnection;
    use crate::page::Page;
    use crate::plain::NotPlain;
    use crate::spin::Spin;
    use crate::worker::{PythonSide, Streams, Worker};

    #[pymodule_export]
    use crate::request::Request;
    #[pymodule_export]
    use crate::running::Running;

    /// The version of the package that this belongs to.
    #[pymodule_export]
    const VERSION: &str = env!("CARGO_PKG_VERSION");

    /// Return what the body of a call stands for. `codec` is `json` or `msgpack`.
    ///
    /// Raises `InvalidBody`.
    #[pyfunction]
    fn decode<'py>(py: Python<'py>, codec: &str, body: &[u8]) -> PyResult<Bound<'py, PyAny>> {
        Format::named(codec)?.decode(py, body, &mut Keys::new())
    }

    /// Return the body that stands for a plain value. `codec` is `json` or `msgpack`.
    ///
    /// Raises `InvalidResult`.
    #[pyfunction]
    fn encode<'py>(
        py: Python<'py>,
        codec: &str,
        value: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let format = Format::named(codec)?;
        let body = ReplyBody::collect(|body| format.write(value, body))
            .map_err(|NotPlain| InvalidResult::new_err(("$", "it is not made of plain values")))?;
        Ok(PyBytes::new(py, &body))
    }

    /// Be the loop of a worker, as `pyproc._loop_sync` is. Returns whether the host has gone.
    #[pyfunction]
    #[pyo3(signature = (*, lane, stop, guard, functions, connection, codec, registered, dump, max_frame, has_absolute_deadlines, spin_us, set_running, context_of, explain, results_of, make_items, mark_cancelled, end_watched, page=None, running=None))]
    #[allow(clippy::too_many_arguments)]
    fn run<'py>(
        py: Python<'py>,
        lane: Bound<'py, PyAny>,
        stop: Bound<'py, PyAny>,
        guard: Bound<'py, PyAny>,
        functions: Vec<Bound<'py, PyAny>>,
        connection: Bound<'py, PyAny>,
        codec: &str,
        registered: Option<Bound<'py, PyAny>>,
        dump: Bound<'py, PyAny>,
        max_frame: usize,
        has_absolute_deadlines: bool,
        spin_us: u64,
        set_running: Bound<'py, PyAny>,
        context_of: Bound<'py, PyAny>,
        explain: Bound<'py, PyAny>,
        results_of: Bound<'py, PyAny>,
        make_items: Bound<'py, PyAny>,
        mark_cancelled: Bound<'py, PyAny>,
        end_watched: Bound<'py, PyAny>,
        page: Option<Bound<'py, PyAny>>,
        running: Option<Bound<'py, Running>>,
    ) -> PyResult<bool> {
        let is_child = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&is_child);
        let enter_child = move |_: &Bound<'_, PyTuple>, _: Option<&Bound<'_, PyDict>>| {
            seen.store(true, Ordering::Relaxed);
        };
        let enter_child = PyCFunction::new_closure(py, None, None, enter_child)?;
        guard.call_method1(intern!(py, "add"), (enter_child,))?;

        let page = page.as_ref().map(Page::of).transpose()?;
        let running = match running {
            Some(running) => running,
            None => Bound::new(py, Running::new())?,
        };
        let lent = Bound::new(py, LentConnection::new(&lane, &running)?)?;
        let began = Instant::now();
        let limits = Limits {
            max_frame,
            ..Limits::default()
        };
        let functions: Vec<_> = functions
            .iter()
            .map(Function::of)
            .collect::<PyResult<_>>()?;
        let mut worker = Worker {
            py,
            protocol: WorkerConnection::after_handshake(limits, began),
            lane: Lane::new(lane, stop.clone())?,
            is_patient: functions.iter().any(Function::is_patient),
            functions,
            bodies: Bodies::new(codec, registered, dump)?,
            has_absolute_deadlines,
            python: PythonSide {
                connection,
                stop,
                guard,
                set_running,
                context_of,
                explain,
                results_of,
                make_items,
                mark_cancelled,
                end_watched,
            },
            is_child,
            cancel_seq: page.as_ref().map_or(0, Page::cancel_seq),
            page,
            running,
            spin: Spin::new(Duration::from_micros(spin_us)),
            queue: VecDeque::new(),
            streams: Streams::default(),
            lent,
            violation: None,
            was_alone: false,
            advised: 0,
            was_large: false,
            is_draining: false,
            has_ended: false,
            woken: 0,
            began,
        };
        worker.run()
    }
}
