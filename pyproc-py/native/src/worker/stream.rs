//! Calls that are answered by a stream, item by item, with other calls in between.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::Ordering;

use pyo3::exceptions::PySystemExit;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyIterator;
use pyproc_proto::{AnswerError, CallId, ReplyError, Status};

use super::answer::Stage;
use super::{QUICK_NS, Worker};
use crate::clock::now_ns;
use crate::request::Request;

/// As many items of a stream are sent together, at most. As in `pyproc._stream`.
const MAX_BURST: u32 = 256;

/// The streams that have begun and not ended.
#[derive(Default)]
pub(crate) struct Streams<'py> {
    begun: HashMap<CallId, Stream<'py>>,
    /// Those of them that can go on, in the order of their turns.
    moving: VecDeque<CallId>,
    /// Whether a call had its turn last.
    is_next: bool,
    /// The one that has its turn, which is not among those that have begun meanwhile.
    going: Option<CallId>,
    /// Whether the host was found, in that turn, to want no more of it.
    is_unwanted: bool,
}

/// What `pyproc._stream.Stream` is to the loop in Python.
struct Stream<'py> {
    request: Bound<'py, Request>,
    items: Bound<'py, PyIterator>,
    /// How many items may be sent together. The first one is sent before the next is made, which
    /// may take long. While they are made quickly, twice as many may be each time.
    burst: u32,
    is_cancelled: bool,
    /// Whether it has its place among those that go on.
    is_ready: bool,
}

impl Streams<'_> {
    pub(super) fn are_over(&self) -> bool {
        self.begun.is_empty()
    }

    pub(super) fn contains(&self, call: CallId) -> bool {
        self.begun.contains_key(&call)
    }

    pub(super) fn can_move(&self) -> bool {
        !self.moving.is_empty()
    }

    /// The stream that is to go on now, in turns with the calls that wait.
    pub(super) fn next(&mut self, calls_wait: bool) -> Option<CallId> {
        if !self.can_move() {
            return None;
        }
        self.is_next = calls_wait && !self.is_next;
        if self.is_next {
            None
        } else {
            self.moving.pop_front()
        }
    }
}

impl<'py> Worker<'py> {
    /// Answers a call with a stream of what its function has returned.
    pub(super) fn begin_stream(
        &mut self,
        call: CallId,
        request: Bound<'py, Request>,
        items: Bound<'py, PyIterator>,
    ) {
        let stream = Stream {
            request,
            items,
            burst: 1,
            is_cancelled: false,
            is_ready: false,
        };
        self.streams.begun.insert(call, stream);
        self.set_moving(call);
    }

    /// The host wants no more of a stream. Returns whether it is one that has begun.
    pub(super) fn cancel_stream(&mut self, call: CallId) -> bool {
        let Some(stream) = self.streams.begun.get_mut(&call) else {
            let is_going = self.streams.going == Some(call);
            self.streams.is_unwanted |= is_going;
            return is_going;
        };
        stream.is_cancelled = true;
        self.set_moving(call);
        true
    }

    /// Lets a stream go on when it is its turn, if there is anything to be done about it.
    pub(super) fn set_moving(&mut self, call: CallId) {
        let Some(stream) = self.streams.begun.get_mut(&call) else {
            return;
        };
        if !stream.is_ready && (stream.is_cancelled || self.protocol.has_credit(call)) {
            stream.is_ready = true;
            self.streams.moving.push_back(call);
        }
    }

    /// Sends some items of a stream, or ends it. Returns what time it is then.
    pub(super) fn go_on(&mut self, call: CallId) -> PyResult<u64> {
        let begun = self.streams.begun.get(&call);
        if begun.is_some_and(|stream| stream.burst == 1) {
            // What is read here may be about this very stream.
            self.heed_stop()?;
            self.flush()?;
        }
        let Some(mut stream) = self.streams.begun.remove(&call) else {
            return Ok(now_ns());
        };
        self.streams.going = Some(call);
        self.streams.is_unwanted = false;
        let began = now_ns();
        if let Some(page) = &self.page {
            page.resume(call, began);
        }
        self.python.set_running.call1((&stream.request,))?;
        let went_on = if stream.is_cancelled {
            self.end_cancelled(call, &stream).map(|()| false)
        } else {
            self.send_items(call, &mut stream, began)
        };
        let lives = match went_on {
            Ok(lives) => lives,
            Err(error) => return Err(self.pass_on(error)?),
        };
        self.streams.going = None;
        self.leave_if_child(None)?;
        if !lives || self.violation.is_some() {
            self.end_items(call)?;
        }
        if !lives {
            stream.request.get().end();
            if stream.is_cancelled || self.running.get().has_watched() {
                self.end_watched(call)?;
            }
        }
        if let Some(page) = &self.page {
            page.rest();
        }
        self.flush()?;
        if lives {
            stream.is_ready = false;
            stream.is_cancelled |= self.streams.is_unwanted;
            self.streams.begun.insert(call, stream);
            self.set_moving(call);
        }
        Ok(now_ns())
    }

    /// Sends a burst of items of a stream, as far as it has credit, in about [`QUICK_NS`] at most.
    /// Returns whether there may be more.
    fn send_items(&mut self, call: CallId, stream: &mut Stream<'py>, began: u64) -> PyResult<bool> {
        let has_items = self.lent.get().has(call);
        for _ in 0..stream.burst {
            if !self.protocol.has_credit(call) {
                return Ok(true);
            }
            self.running.get().begin(call);
            let item = if has_items {
                let items = &mut stream.items;
                self.lending(|| items.next())
            } else {
                stream.items.next()
            };
            if self.is_child.load(Ordering::Relaxed) {
                self.running.get().end();
                return Ok(true);
            }
            let item = match item {
                Some(Ok(item)) => item,
                Some(Err(error)) => {
                    self.running.get().end();
                    self.fail(call, error, Stage::Function)?;
                    return Ok(false);
                }
                None => {
                    self.running.get().end();
                    // It waits for its end.
                    let _ = self.protocol.end(call);
                    return Ok(false);
                }
            };
            let bodies = &self.bodies;
            let sent = self
                .protocol
                .item_with(call, |body| bodies.encode(&item, body));
            self.running.get().end();
            match sent {
                Ok(()) => {}
                Err(ReplyError::Encode(error)) => {
                    self.fail(call, error, Stage::Result)?;
                    return self.abandon(call, stream).map(|()| false);
                }
                Err(ReplyError::Answer(AnswerError::TooLarge { bytes, limit })) => {
                    self.refuse_too_large(call, "item", bytes, limit);
                    return self.abandon(call, stream).map(|()| false);
                }
                // It waits, and has credit.
                Err(ReplyError::Answer(_)) => return Ok(false),
            }
            if now_ns().saturating_sub(began) > QUICK_NS {
                stream.burst = 1;
                return Ok(true);
            }
        }
        stream.burst = MAX_BURST.min(2 * stream.burst);
        Ok(true)
    }

    /// Closes a stream that the host wants no more of; its function may clean up.
    fn end_cancelled(&mut self, call: CallId, stream: &Stream<'py>) -> PyResult<()> {
        self.python.mark_cancelled.call1((call.get(),))?;
        self.abandon(call, stream)?;
        let message = "the stream was cancelled";
        self.refuse(call, Status::Cancelled, "CallError", message);
        Ok(())
    }

    /// Closes the generator of a stream from which nothing more is wanted. It cleans up, and is not
    /// interrupted in that. What it raises then goes where the exceptions of the main program go:
    /// nobody waits for an answer.
    fn abandon(&mut self, call: CallId, stream: &Stream<'py>) -> PyResult<()> {
        let py = self.py;
        if !stream.items.hasattr(intern!(py, "close"))? {
            return Ok(());
        }
        self.running.get().spare(call);
        self.running.get().begin(call);
        let closed = stream.items.call_method0(intern!(py, "close"));
        self.running.get().end();
        match closed {
            Err(error) if error.is_instance_of::<PySystemExit>(py) => return Err(error),
            Err(error) => error.print(py),
            Ok(_) => {}
        }
        Ok(())
    }
}
