//! What becomes of one request: run, or refused.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::exceptions::PySystemExit;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use pyproc_proto::{AnswerError, CallId, RemoteError, ReplyError, Status};

use super::{QUICK_NS, Worker};
use crate::clock::now_ns;
use crate::errors::Interrupted;
use crate::function::{Arguments, Binding};
use crate::request::{Queued, Request};

/// How far a call has come, as `pyproc._dispatch` numbers it.
#[derive(Clone, Copy)]
pub(super) enum Stage {
    Arguments = 0,
    Function = 1,
    Result = 2,
}

impl<'py> Worker<'py> {
    /// Answers one request, unless its time is over: `began` is what time it is. Returns what time
    /// it is then.
    pub(super) fn answer_in_turn(&mut self, request: Queued, mut began: u64) -> PyResult<u64> {
        let Some(request) = self.in_time(request, began) else {
            return Ok(began);
        };
        let place = usize::from(request.function);
        let Some(function) = self.functions.get(place) else {
            let message = format!("function `#{place}` is not exposed");
            let status = Status::FunctionNotFound;
            self.refuse(request.call, status, "FunctionNotFound", message);
            return Ok(began);
        };
        let (batching, is_quick) = (function.batching, function.is_quick);
        if function.is_stream != request.wants_stream {
            self.refuse_other_kind(&request);
            return Ok(began);
        }
        if self.refuse_items(&request) {
            return Ok(began);
        }
        if let Some(batching) = batching {
            return self.answer_batch(request, batching);
        }
        if !is_quick {
            self.heed_stop()?;
            self.flush()?;
            began = now_ns();
        }
        let page = self.page.as_ref();
        let is_overtaken = page.is_some_and(|page| page.take(request.call, began));
        let (call, has_items) = (request.call, request.items_follow);
        if let Err(error) = self.answer(request) {
            return Err(self.pass_on(error)?);
        }
        if has_items && !self.streams.contains(call) {
            self.end_items(call)?;
        }
        self.leave_if_child(None)?;
        if self.running.get().has_watched() && !self.streams.contains(call) {
            self.end_watched(call)?;
        }
        if let (Some(page), true) = (&self.page, is_overtaken) {
            page.rest();
        }
        let ended = now_ns();
        self.functions[place].is_quick = ended.saturating_sub(began) < QUICK_NS;
        Ok(ended)
    }

    /// Refuses a request for a stream of a function that has none, or for a value of one that yields.
    pub(super) fn refuse_other_kind(&mut self, request: &Queued) {
        let message = if request.wants_stream {
            "the function returns one value, and a stream was asked for"
        } else {
            "the function yields a stream, and one value was asked for"
        };
        self.refuse(request.call, Status::InvalidArgument, "CallError", message);
    }

    /// Refuses a request whose time is over.
    pub(super) fn in_time(&mut self, request: Queued, now: u64) -> Option<Queued> {
        let deadline = request.deadline_ns;
        if deadline.is_none_or(|deadline| now < deadline) {
            return Some(request);
        }
        let message = "the deadline passed before the call began";
        self.refuse(request.call, Status::Deadline, "DeadlineExceeded", message);
        None
    }

    /// Has done what the function of a call wanted done if it was cancelled.
    pub(super) fn end_watched(&self, call: CallId) -> PyResult<()> {
        self.python.end_watched.call1((call.get(),)).map(drop)
    }

    /// Writes what is finished before a function ends the process. Does not return in a child that
    /// the function has forked.
    pub(super) fn pass_on(&mut self, error: PyErr) -> PyResult<PyErr> {
        if error.is_instance_of::<PySystemExit>(self.py) {
            let code = error.value(self.py).getattr(intern!(self.py, "code"))?;
            self.leave_if_child(Some(code))?;
            self.flush()?;
        }
        Ok(error)
    }

    /// Runs a request and answers it, whatever the function does. Only `SystemExit` passes through:
    /// whoever says that the process should end is obeyed.
    fn answer(&mut self, mut request: Queued) -> PyResult<()> {
        let running = self.request_of(&mut request)?;
        let call = request.call;
        let mut stage = Stage::Arguments;
        let error = match self.call(request, &running, &mut stage) {
            Ok(result) if self.is_stream(&running) => {
                stage = Stage::Result;
                let items = result.try_iter();
                self.running.get().end();
                match items {
                    Ok(items) => {
                        self.begin_stream(call, running, items);
                        return Ok(());
                    }
                    Err(error) => error,
                }
            }
            Ok(result) => {
                let encoded = self.reply(call, &result, running.get());
                self.running.get().end();
                running.get().end();
                match encoded {
                    Ok(()) => return Ok(()),
                    Err(ReplyError::Encode(error)) => {
                        stage = Stage::Result;
                        error
                    }
                    Err(ReplyError::Answer(AnswerError::TooLarge { bytes, limit })) => {
                        self.refuse_too_large(call, "reply", bytes, limit);
                        return Ok(());
                    }
                    // Every queued call waits for its answer, and bodies are not looked into.
                    Err(ReplyError::Answer(_)) => return Ok(()),
                }
            }
            Err(error) => {
                self.running.get().end();
                error
            }
        };
        running.get().end();
        self.fail(call, error, stage)
    }

    /// The request as Python knows it.
    fn request_of(&self, request: &mut Queued) -> PyResult<Bound<'py, Request>> {
        let running = Request {
            call: request.call.get(),
            function: request.function,
            deadline_ns: request.deadline_ns,
            metadata: std::mem::take(&mut request.metadata),
            connection: self.python.connection.clone().unbind(),
            reply_metadata: Mutex::new(None),
            has_ended: AtomicBool::new(false),
        };
        Bound::new(self.py, running)
    }

    /// Sends the result, and what the function wants sent beside it.
    fn reply(
        &mut self,
        call: CallId,
        result: &Bound<'py, PyAny>,
        request: &Request,
    ) -> Result<(), ReplyError<PyErr>> {
        let bodies = &self.bodies;
        match request.sent_back(self.py).map_err(ReplyError::Encode)? {
            None => self
                .protocol
                .reply_with(call, |body| bodies.encode(result, body)),
            Some(metadata) => self
                .protocol
                .reply_accompanied(call, &metadata, |body| bodies.encode(result, body)),
        }
    }

    fn is_stream(&self, running: &Bound<'py, Request>) -> bool {
        self.functions[usize::from(running.get().function)].is_stream
    }

    /// Answers a call with the exception that ended it; only `SystemExit` passes through.
    pub(super) fn fail(&mut self, call: CallId, error: PyErr, stage: Stage) -> PyResult<()> {
        self.fail_all(&[Some(call)], call, error, stage)
    }

    /// Does the same for all of these, which ran as `running`.
    pub(super) fn fail_all(
        &mut self,
        calls: &[Option<CallId>],
        running: CallId,
        error: PyErr,
        stage: Stage,
    ) -> PyResult<()> {
        let py = self.py;
        if error.is_instance_of::<PySystemExit>(py) {
            return Err(error);
        }
        let is_interrupt =
            self.running.get().has_hit(running) && error.is_instance_of::<Interrupted>(py);
        self.answer_with_error(calls, error, stage, is_interrupt)
    }

    /// Answers all these calls with an exception, whatever that is.
    pub(super) fn answer_with_error(
        &mut self,
        calls: &[Option<CallId>],
        error: PyErr,
        stage: Stage,
        is_interrupt: bool,
    ) -> PyResult<()> {
        let py = self.py;
        let error = error.into_value(py);
        let explained = self.python.explain.call1((error, stage as u8))?;
        let (status, body): (u16, Bound<'py, PyBytes>) = explained.extract()?;
        let status = if is_interrupt {
            Status::Interrupted
        } else {
            Status::from_wire(status).unwrap_or(Status::Exception)
        };
        for call in calls.iter().flatten() {
            // The package has cut it to the limit.
            let _ = self.protocol.error_encoded(*call, status, body.as_bytes());
        }
        Ok(())
    }

    /// From the body to the function's result.
    fn call(
        &mut self,
        request: Queued,
        running: &Bound<'py, Request>,
        stage: &mut Stage,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = self.py;
        self.python.set_running.call1((running,))?;
        // From here on an interrupt may come, until the result is encoded.
        self.running.get().begin(request.call);
        let body = self.bodies.decode(py, &request.body)?;
        drop(request.body);
        let function = &self.functions[usize::from(request.function)];
        let result = match &function.binding {
            Binding::Body => {
                *stage = Stage::Function;
                function.call.call1((body,))?
            }
            Binding::Bind { bind, context } => {
                let bound = bind.call1((body,))?;
                let (arguments, keywords): Arguments<'py> = bound.extract()?;
                if let Some(name) = context {
                    keywords.set_item(name, self.python.context_of.call1((running,))?)?;
                }
                if let Some(items) = function.items.clone() {
                    let callable = function.call.clone();
                    keywords.set_item(&items.name, self.items_of(request.call, &items)?)?;
                    *stage = Stage::Function;
                    self.lending(|| callable.call(arguments, Some(&keywords)))?
                } else {
                    *stage = Stage::Function;
                    function.call.call(arguments, Some(&keywords))?
                }
            }
        };
        Ok(result)
    }

    /// Answers a call whose result is longer than a frame may be.
    pub(super) fn refuse_too_large(
        &mut self,
        call: CallId,
        what: &str,
        bytes: usize,
        limit: usize,
    ) {
        let message = format!("the {what} has {bytes} bytes, more than the limit of {limit}");
        self.refuse(call, Status::TooLarge, "CallError", message);
    }

    /// Answers a call that is not run.
    pub(super) fn refuse(
        &mut self,
        call: CallId,
        status: Status,
        kind: &str,
        message: impl Into<String>,
    ) {
        let error = RemoteError::new(status, kind, message);
        // A frame has room for an error without its text, and the call waits for its answer.
        let _ = self.protocol.error(call, &error);
    }

    /// Ends the process if the function has forked it; `code` is what it exits with.
    pub(super) fn leave_if_child(&self, code: Option<Bound<'py, PyAny>>) -> PyResult<()> {
        if self.is_child.load(Ordering::Relaxed) {
            let name = intern!(self.py, "leave_if_child");
            match code {
                Some(code) => self.python.guard.call_method1(name, (code,))?,
                None => self.python.guard.call_method0(name)?,
            };
        }
        Ok(())
    }
}
