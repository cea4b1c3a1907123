//! Functions that take many calls at once, as `pyproc._batch_run` has it.

use pyo3::exceptions::PyException;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyList;
use pyproc_proto::{AnswerError, CallId, ReplyError};
use rustix::time::Timespec;

use super::Worker;
use super::answer::Stage;
use crate::clock::now_ns;
use crate::errors::ItemError;
use crate::function::{Arguments, Batching, Binding};
use crate::request::Queued;

/// The calls of a batch, as far as they have not ended.
struct Open {
    calls: Vec<Option<CallId>>,
    /// Those that have ended with an exception of their own, which they are yet to be told.
    failed: Vec<(CallId, PyErr, Stage)>,
}

impl<'py> Worker<'py> {
    /// Answers a request together with others of its function. Returns what time it is then.
    pub(super) fn answer_batch(&mut self, first: Queued, batching: Batching) -> PyResult<u64> {
        let (call, function) = (first.call, first.function);
        // It waits with the others, because what is read next may cancel it.
        self.queue.push_front(first);
        self.heed_stop()?;
        self.flush()?;
        self.gather(call, function, batching)?;
        let began = now_ns();
        let batch = self.take_batch(function, batching.size, began);
        let Some(last) = batch.last().map(|request| request.call) else {
            return Ok(began);
        };
        if self.has_ended {
            return Ok(began);
        }
        let page = self.page.as_ref();
        let is_overtaken = page.is_some_and(|page| page.take(last, began));
        if let Err(error) = self.run_batch(batch, last) {
            return Err(self.pass_on(error)?);
        }
        self.leave_if_child(None)?;
        if let (Some(page), true) = (&self.page, is_overtaken) {
            page.rest();
        }
        Ok(now_ns())
    }

    /// Reads what there is for a batch, and waits for more if the worker was idle until now.
    fn gather(&mut self, first: CallId, function: u16, batching: Batching) -> PyResult<()> {
        self.read_now()?;
        let give_up = self.woken.saturating_add(batching.max_wait_ns);
        while self.is_short(first, function, batching.size) {
            let left = give_up.saturating_sub(now_ns());
            if left == 0 {
                break;
            }
            let limit = Timespec {
                tv_sec: (left / 1_000_000_000) as i64,
                tv_nsec: (left % 1_000_000_000) as i64,
            };
            let arrival = self.lane.read(self.protocol.input_mut(), Some(&limit))?;
            self.take_in(arrival)?;
            self.heed_stop()?;
        }
        Ok(())
    }

    /// Whether the batch that begins with this call may wait for others: only as long as nothing
    /// else waits for the worker.
    fn is_short(&self, first: CallId, function: u16, size: usize) -> bool {
        if self.has_ended || self.is_draining || self.streams.can_move() {
            return false;
        }
        // The first one is not there any more when it was cancelled.
        let is_there = self
            .queue
            .front()
            .is_some_and(|queued| queued.call == first);
        let mut queue = self.queue.iter();
        is_there && queue.len() < size && queue.all(|queued| queued.function == function)
    }

    /// Takes up to `size` calls of a function out of those that wait, past the calls of others.
    /// Calls whose time is over are refused, and do not count.
    fn take_batch(&mut self, function: u16, size: usize, now: u64) -> Vec<Queued> {
        let mut batch = Vec::new();
        let mut overtaken = Vec::new();
        while batch.len() < size {
            let Some(request) = self.queue.pop_front() else {
                break;
            };
            if request.function != function {
                overtaken.push(request);
            } else if request.wants_stream {
                self.refuse_other_kind(&request);
            } else if self.refuse_items(&request) {
                continue;
            } else if let Some(request) = self.in_time(request, now) {
                batch.push(request);
            }
        }
        for request in overtaken.into_iter().rev() {
            self.queue.push_front(request);
        }
        batch
    }

    /// Runs a batch and answers its calls, whatever the function does. Only `SystemExit` passes
    /// through. While it runs, it is interrupted by the id of its last call.
    fn run_batch(&mut self, batch: Vec<Queued>, last: CallId) -> PyResult<()> {
        let py = self.py;
        // No one call is the one that runs.
        self.python.set_running.call1((py.None(),))?;
        let mut open = Open {
            calls: batch.iter().map(|request| Some(request.call)).collect(),
            failed: Vec::new(),
        };
        let mut stage = Stage::Arguments;
        self.running.get().begin(last);
        let ended = self.call_batch(batch, &mut open, &mut stage);
        self.running.get().end();
        for (call, error, stage) in open.failed {
            self.answer_with_error(&[Some(call)], error, stage, false)?;
        }
        match ended {
            Ok(()) => Ok(()),
            Err(error) => self.fail_all(&open.calls, last, error, stage),
        }
    }

    /// From the bodies to the answers. The error is that of all calls that are open then.
    fn call_batch(
        &mut self,
        batch: Vec<Queued>,
        open: &mut Open,
        stage: &mut Stage,
    ) -> PyResult<()> {
        let py = self.py;
        let place = usize::from(batch[0].function);
        let values = PyList::empty(py);
        let mut members = Vec::with_capacity(batch.len());
        for (member, request) in batch.into_iter().enumerate() {
            match self.value_of(&request) {
                Ok(value) => {
                    values.append(value)?;
                    members.push((member, request.call));
                }
                Err(error) => open.fail(member, error, *stage, py)?,
            }
        }
        if members.is_empty() {
            return Ok(());
        }
        let function = &self.functions[place];
        *stage = Stage::Function;
        let results = function.call.call1((values,))?;
        *stage = Stage::Result;
        let given = (&function.name, results, members.len());
        let mut results = self.python.results_of.call1(given)?.try_iter()?;
        for (member, call) in members {
            // There are as many of them.
            let Some(result) = results.next().transpose()? else {
                break;
            };
            if result.is_instance_of::<ItemError>() {
                let error = PyErr::from_value(result.getattr(intern!(py, "error"))?);
                open.note(member, error, Stage::Function);
                continue;
            }
            let bodies = &self.bodies;
            let replied = self
                .protocol
                .reply_with(call, |body| bodies.encode(&result, body));
            match replied {
                Err(ReplyError::Encode(error)) => {
                    open.fail(member, error, *stage, py)?;
                }
                Err(ReplyError::Answer(AnswerError::TooLarge { bytes, limit })) => {
                    self.refuse_too_large(call, "reply", bytes, limit);
                }
                // Every call of a batch waits for its answer, and bodies are not looked into.
                Ok(()) | Err(ReplyError::Answer(_)) => {}
            }
            open.calls[member] = None;
        }
        Ok(())
    }

    /// What one call sends.
    fn value_of(&mut self, request: &Queued) -> PyResult<Bound<'py, PyAny>> {
        let body = self.bodies.decode(self.py, &request.body)?;
        match &self.functions[usize::from(request.function)].binding {
            Binding::Body => Ok(body),
            Binding::Bind { bind, .. } => {
                let (arguments, _): Arguments<'py> = bind.call1((body,))?.extract()?;
                arguments.get_item(0)
            }
        }
    }
}

impl Open {
    /// Ends a call with an exception of its own, and passes on one that ends the batch.
    fn fail(&mut self, member: usize, error: PyErr, stage: Stage, py: Python<'_>) -> PyResult<()> {
        if !error.is_instance_of::<PyException>(py) {
            return Err(error);
        }
        self.note(member, error, stage);
        Ok(())
    }

    /// Ends a call with an exception, whatever that is.
    fn note(&mut self, member: usize, error: PyErr, stage: Stage) {
        let call = self.calls[member].take();
        self.failed.extend(call.map(|call| (call, error, stage)));
    }
}
