//! The loop of a spawned worker: reads, runs, and writes, in one thread.
//!
//! It decides what `pyproc._loop_sync`, `pyproc._runner` and `pyproc._dispatch` decide, in the same
//! order; they are the reference, and the tests of the Python package run with both.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use bytes::BytesMut;
use pyo3::exceptions::PySystemExit;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use pyproc_proto::{
    AnswerError, CallId, FunctionRef, RemoteError, ReplyError, Status, WorkerConnection,
    WorkerEvent,
};
use rustix::time::Timespec;

use crate::bodies::Bodies;
use crate::clock::now_ns;
use crate::errors::ProtocolError;
use crate::function::{Arguments, Binding, Function};
use crate::lane::{Arrival, Lane};
use crate::memory;
use crate::request::{Queued, Request};
use crate::spin::Spin;

/// Calls that take less are answered together; a longer one keeps no finished reply waiting. As
/// in `pyproc._runner`.
const QUICK_NS: u64 = 200_000;

/// More than this is written before the next call, so that the host has something to do while the
/// calls behind it run. It is some tens of short replies, which make up for the cost of writing.
const WRITE_BYTES: usize = 2048;

/// After a larger body the memory that it took is given back once nobody calls.
const LARGE_BYTES: usize = 256 * 1024;

/// Until then it serves the next one: making room anew costs more than copying does.
const KEPT_FOR: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 50_000_000,
};

/// What a worker consists of once it is ready.
pub(crate) struct Worker<'py> {
    pub(crate) py: Python<'py>,
    pub(crate) protocol: WorkerConnection,
    pub(crate) lane: Lane<'py>,
    pub(crate) functions: Vec<Function<'py>>,
    pub(crate) bodies: Bodies<'py>,
    /// Whether deadlines on the wire are readings of the clock; else they are what remains, in µs.
    pub(crate) has_absolute_deadlines: bool,
    /// What the package asks of this loop.
    pub(crate) python: PythonSide<'py>,
    /// Set in a forked child, which must not answer.
    pub(crate) is_child: Arc<AtomicBool>,
    pub(crate) spin: Spin,
    pub(crate) queue: VecDeque<Queued>,
    /// Whether one call was all that the last bytes brought.
    pub(crate) was_alone: bool,
    /// The room to read into that large pages were asked for.
    pub(crate) advised: usize,
    /// Whether a large body was read or written lately.
    pub(crate) was_large: bool,
    pub(crate) is_draining: bool,
    pub(crate) has_ended: bool,
    /// The moment that the protocol's timers are told: they have no use here, where nobody but the
    /// host is at the other end.
    pub(crate) began: Instant,
}

/// The objects of the Python package that the loop asks now and then.
pub(crate) struct PythonSide<'py> {
    /// The `BinaryConnection` of the handshake, which knows pool and slot.
    pub(crate) connection: Bound<'py, PyAny>,
    /// The `StopSignal`.
    pub(crate) stop: Bound<'py, PyAny>,
    /// The `ForkGuard`.
    pub(crate) guard: Bound<'py, PyAny>,
    /// Sets the context variable that names the running call.
    pub(crate) set_running: Bound<'py, PyAny>,
    /// From the running call to its `Context`.
    pub(crate) context_of: Bound<'py, PyAny>,
    /// From an exception and its stage to the status and the body of an `Error`.
    pub(crate) explain: Bound<'py, PyAny>,
}

/// How far a call has come, as `pyproc._dispatch` numbers it.
#[derive(Clone, Copy)]
enum Stage {
    Arguments = 0,
    Function = 1,
    Result = 2,
}

impl<'py> Worker<'py> {
    /// Answers requests until the host closes the connection, which is returned as `true`, or
    /// until a drain is complete. All answers are written by then.
    ///
    /// # Errors
    ///
    /// `ProtocolError` for a host that breaks the protocol, `OSError` for a connection that breaks
    /// otherwise, `SystemExit` where a function raises it, and whatever a signal handler raises.
    pub(crate) fn run(&mut self) -> PyResult<bool> {
        let mut now = now_ns();
        let mut turn_began = now;
        while !self.has_ended {
            let Some(request) = self.queue.pop_front() else {
                self.heed_stop()?;
                if !self.queue.is_empty() {
                    continue;
                }
                self.flush()?;
                if self.is_draining {
                    // What crossed the drain on its way is refused rather than left unanswered.
                    self.read_now()?;
                    self.flush()?;
                    return Ok(self.has_ended);
                }
                self.read()?;
                now = now_ns();
                turn_began = now;
                continue;
            };
            now = self.answer_in_turn(request, now)?;
            if self.protocol.output().len() > WRITE_BYTES {
                self.flush()?;
            }
            if !self.queue.is_empty() && now.saturating_sub(turn_began) > QUICK_NS {
                // Queued calls may have been cancelled, and finished ones are waited for.
                self.flush()?;
                self.read_now()?;
                self.heed_stop()?;
                now = now_ns();
                turn_began = now;
            }
        }
        Ok(true)
    }

    /// Begins to drain where a signal has asked for it. What has arrived by then still counts as
    /// queued.
    fn heed_stop(&mut self) -> PyResult<()> {
        self.py.check_signals()?;
        if self.is_draining {
            return Ok(());
        }
        let requested = self.python.stop.getattr(intern!(self.py, "requested"))?;
        if requested.is_truthy()? {
            self.read_now()?;
            self.protocol.drain();
            self.is_draining = true;
        }
        Ok(())
    }

    /// Answers one request, unless its time is over: `began` is what time it is. Returns what time
    /// it is then.
    fn answer_in_turn(&mut self, request: Queued, mut began: u64) -> PyResult<u64> {
        if request
            .deadline_ns
            .is_some_and(|deadline| began >= deadline)
        {
            let message = "the deadline passed before the call began";
            self.refuse(request.call, Status::Deadline, "DeadlineExceeded", message);
            return Ok(began);
        }
        let place = usize::from(request.function);
        let Some(function) = self.functions.get(place) else {
            let message = format!("function `#{place}` is not exposed");
            let status = Status::FunctionNotFound;
            self.refuse(request.call, status, "FunctionNotFound", message);
            return Ok(began);
        };
        if !function.is_quick {
            self.heed_stop()?;
            self.flush()?;
            began = now_ns();
        }
        if let Err(error) = self.answer(request) {
            if error.is_instance_of::<PySystemExit>(self.py) {
                let code = error.value(self.py).getattr(intern!(self.py, "code"))?;
                self.leave_if_child(Some(code))?;
                self.flush()?;
            }
            return Err(error);
        }
        self.leave_if_child(None)?;
        let ended = now_ns();
        self.functions[place].is_quick = ended.saturating_sub(began) < QUICK_NS;
        Ok(ended)
    }

    /// Runs a request and answers it, whatever the function does. Only `SystemExit` passes through:
    /// whoever says that the process should end is obeyed.
    fn answer(&mut self, request: Queued) -> PyResult<()> {
        let (py, call) = (self.py, request.call);
        let mut stage = Stage::Arguments;
        let error = match self.call(request, &mut stage) {
            Ok(result) => {
                let bodies = &self.bodies;
                let encoded = self
                    .protocol
                    .reply_with(call, |body| bodies.encode(&result, body));
                match encoded {
                    Ok(()) => return Ok(()),
                    Err(ReplyError::Encode(error)) => {
                        stage = Stage::Result;
                        error
                    }
                    Err(ReplyError::Answer(AnswerError::TooLarge { bytes, limit })) => {
                        let message =
                            format!("the reply has {bytes} bytes, more than the limit of {limit}");
                        self.refuse(call, Status::TooLarge, "CallError", message);
                        return Ok(());
                    }
                    // Every queued call waits for its answer, and bodies are not looked into.
                    Err(ReplyError::Answer(_)) => return Ok(()),
                }
            }
            Err(error) => error,
        };
        if error.is_instance_of::<PySystemExit>(py) {
            return Err(error);
        }
        let error = error.into_value(py);
        let explained = self.python.explain.call1((error, stage as u8))?;
        let (status, body): (u16, Bound<'py, PyBytes>) = explained.extract()?;
        let status = Status::from_wire(status).unwrap_or(Status::Exception);
        // The package has cut it to the limit.
        let _ = self.protocol.error_encoded(call, status, body.as_bytes());
        Ok(())
    }

    /// From the body to the function's result.
    fn call(&mut self, request: Queued, stage: &mut Stage) -> PyResult<Bound<'py, PyAny>> {
        let py = self.py;
        let running = Bound::new(
            py,
            Request {
                call: request.call.get(),
                function: request.function,
                deadline_ns: request.deadline_ns,
                metadata: request.metadata,
                connection: self.python.connection.clone().unbind(),
            },
        )?;
        self.python.set_running.call1((&running,))?;
        let body = self.bodies.decode(py, &request.body)?;
        drop(request.body);
        let function = &self.functions[usize::from(request.function)];
        match &function.binding {
            Binding::Body => {
                *stage = Stage::Function;
                function.call.call1((body,))
            }
            Binding::Bind { bind, context } => {
                let bound = bind.call1((body,))?;
                let (arguments, keywords): Arguments<'py> = bound.extract()?;
                if let Some(name) = context {
                    keywords.set_item(name, self.python.context_of.call1((running,))?)?;
                }
                *stage = Stage::Function;
                function.call.call(arguments, Some(&keywords))
            }
        }
    }

    /// Answers a call that is not run.
    fn refuse(&mut self, call: CallId, status: Status, kind: &str, message: impl Into<String>) {
        let error = RemoteError::new(status, kind, message);
        // A frame has room for an error without its text, and the call waits for its answer.
        let _ = self.protocol.error(call, &error);
    }

    /// Ends the process if the function has forked it; `code` is what it exits with.
    fn leave_if_child(&self, code: Option<Bound<'py, PyAny>>) -> PyResult<()> {
        if self.is_child.load(Ordering::Relaxed) {
            let name = intern!(self.py, "leave_if_child");
            match code {
                Some(code) => self.python.guard.call_method1(name, (code,))?,
                None => self.python.guard.call_method0(name)?,
            };
        }
        Ok(())
    }

    fn flush(&mut self) -> PyResult<()> {
        loop {
            let output = self.protocol.output();
            if output.is_empty() {
                return Ok(());
            }
            let length = output.len();
            self.was_large |= length > LARGE_BYTES;
            let result = self.lane.write(output);
            self.protocol.advance_output(length);
            result?;
        }
    }

    fn read(&mut self) -> PyResult<()> {
        let mut longest = None;
        if self.was_alone {
            // The caller of the last call has only now its answer, and cannot have made the next.
            longest = self.spin.budget();
        }
        if longest.is_none() {
            let arrival = self.lane.read_now(self.protocol.input_mut())?;
            if arrival != Arrival::Nothing {
                return self.take_in(arrival);
            }
            if !self.was_alone {
                longest = self.spin.budget();
            }
        }
        if let Some(longest) = longest {
            let (arrival, look) = self.lane.look(self.protocol.input_mut(), longest)?;
            self.spin.observe(look);
            if arrival != Arrival::Nothing {
                return self.take_in(arrival);
            }
        }
        self.python.set_running.call1((self.py.None(),))?;
        let limit = self.was_large.then_some(&KEPT_FOR);
        let arrival = self.lane.read(self.protocol.input_mut(), limit)?;
        if arrival == Arrival::Nothing && self.was_large {
            self.give_memory_back();
        }
        self.take_in(arrival)
    }

    /// Leaves nothing of large bodies behind.
    fn give_memory_back(&mut self) {
        let input = self.protocol.input_mut();
        *input = BytesMut::from(&input[..]);
        memory::give_back();
        self.advised = 0;
        self.was_large = false;
    }

    fn read_now(&mut self) -> PyResult<()> {
        while !self.has_ended {
            let arrival = self.lane.read_now(self.protocol.input_mut())?;
            if arrival == Arrival::Nothing {
                break;
            }
            self.take_in(arrival)?;
        }
        Ok(())
    }

    /// Understands what was read.
    fn take_in(&mut self, arrival: Arrival) -> PyResult<()> {
        match arrival {
            Arrival::Nothing => return Ok(()),
            Arrival::End => {
                self.has_ended = true;
                return Ok(());
            }
            Arrival::Bytes => {}
        }
        self.protocol
            .handle_input(self.began)
            .map_err(|error| ProtocolError::new_err(error.to_string()))?;
        let room = self.protocol.input_mut().capacity();
        if room > self.advised {
            // A large frame has begun.
            memory::advise(self.protocol.input_mut());
            self.advised = room;
        }
        self.was_alone = self.queue.is_empty();
        while let Some(event) = self.protocol.poll_event() {
            match event {
                WorkerEvent::Request {
                    call,
                    function: FunctionRef::Index(function),
                    deadline,
                    metadata,
                    body,
                } => {
                    if self.is_draining {
                        let message = "the worker takes no more calls";
                        self.refuse(call, Status::Draining, "CallError", message);
                        continue;
                    }
                    self.was_alone &= self.queue.is_empty();
                    self.was_large |= body.len() > LARGE_BYTES;
                    let deadline_ns = deadline.map(|deadline| self.to_clock(deadline));
                    self.queue.push_back(Queued {
                        call,
                        function: function.0,
                        deadline_ns,
                        metadata,
                        body,
                    });
                }
                WorkerEvent::Cancel { call } => self.cancel(call),
                WorkerEvent::Drain => self.is_draining = true,
                WorkerEvent::Goodbye => self.has_ended = true,
                // A `Ping` is answered already, and the others belong to the handshake or to the
                // other protocol.
                _ => {}
            }
        }
        Ok(())
    }

    fn to_clock(&self, deadline: u64) -> u64 {
        if self.has_absolute_deadlines {
            deadline
        } else {
            now_ns().saturating_add(deadline.saturating_mul(1000))
        }
    }

    /// A call that runs or has been answered is past cancelling.
    fn cancel(&mut self, call: CallId) {
        let place = self.queue.binary_search_by_key(&call, |queued| queued.call);
        if let Ok(place) = place {
            self.queue.remove(place);
            let message = "the call was cancelled before it began";
            self.refuse(call, Status::Cancelled, "CallError", message);
        }
    }
}
