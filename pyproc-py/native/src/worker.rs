//! The loop of a spawned worker: reads, runs, and writes, in one thread.
//!
//! It decides what `pyproc._loop_sync`, `pyproc._runner` and `pyproc._dispatch` decide, in the same
//! order; they are the reference, and the tests of the Python package run with both.

mod answer;
mod batch;
mod items;
mod read;
mod stream;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use pyo3::intern;
use pyo3::prelude::*;
use pyproc_proto::{ProtocolError, WorkerConnection};

use crate::bodies::Bodies;
use crate::clock::now_ns;
use crate::function::Function;
use crate::lane::Lane;
use crate::lent::LentConnection;
use crate::page::Page;
use crate::request::Queued;
use crate::running::Running;
use crate::spin::Spin;
use read::LARGE_BYTES;
pub(crate) use stream::Streams;

/// Calls that take less are answered together; a longer one keeps no finished reply waiting. As
/// in `pyproc._runner`.
const QUICK_NS: u64 = 200_000;

/// More than this is written before the next call, so that the host has something to do while the
/// calls behind it run. It is some tens of short replies, which make up for the cost of writing.
const WRITE_BYTES: usize = 2048;

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
    /// Where the host has none, nothing is said on it.
    pub(crate) page: Option<Page>,
    pub(crate) running: Bound<'py, Running>,
    /// What the page said when the last calls that were cancelled were read.
    pub(crate) cancel_seq: u64,
    pub(crate) spin: Spin,
    pub(crate) queue: VecDeque<Queued>,
    pub(crate) streams: Streams<'py>,
    /// What functions have of this that read an argument item by item.
    pub(crate) lent: Bound<'py, LentConnection>,
    /// Why the host is to be left, found out while the connection was lent.
    pub(crate) violation: Option<ProtocolError>,
    /// Whether one call was all that the last bytes brought.
    pub(crate) was_alone: bool,
    /// The room to read into that large pages were asked for.
    pub(crate) advised: usize,
    /// Whether a large body was read or written lately.
    pub(crate) was_large: bool,
    pub(crate) is_draining: bool,
    pub(crate) has_ended: bool,
    /// Whether one of the functions has the worker wait for more calls.
    pub(crate) is_patient: bool,
    /// When something came last that was waited for, by [`now_ns`].
    pub(crate) woken: u64,
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
    /// From what a batch has returned to one result for each of its calls.
    pub(crate) results_of: Bound<'py, PyAny>,
    /// From the lent connection, a call and its parameter to the stream that its function reads.
    pub(crate) make_items: Bound<'py, PyAny>,
    /// Is told that a call is cancelled of which the page does not say so.
    pub(crate) mark_cancelled: Bound<'py, PyAny>,
    /// Is told of the end of a call that may have asked for it.
    pub(crate) end_watched: Bound<'py, PyAny>,
}

impl<'py> Worker<'py> {
    /// Answers requests until the host closes the connection, which is returned as `true`, or
    /// until a drain is complete; all answers are written then. A host that closes waits for no
    /// answers: what is unanswered or unwritten by then stays so.
    ///
    /// # Errors
    ///
    /// `ProtocolError` for a host that breaks the protocol, `OSError` for a connection that breaks
    /// otherwise, `SystemExit` where a function raises it, and whatever a signal handler raises.
    pub(crate) fn run(&mut self) -> PyResult<bool> {
        let mut now = now_ns();
        let mut turn_began = now;
        while !self.has_ended {
            if let Some(stream) = self.streams.next(!self.queue.is_empty()) {
                now = self.go_on(stream)?;
            } else if let Some(request) = self.queue.pop_front() {
                now = self.answer_in_turn(request, now)?;
                if self.protocol.output_len() > WRITE_BYTES {
                    self.flush()?;
                }
            } else {
                self.heed_stop()?;
                if !self.queue.is_empty() {
                    continue;
                }
                if self.is_patient && now > turn_began {
                    // What has come meanwhile has waited already, and did not find the worker idle.
                    self.read_now()?;
                    turn_began = now;
                    if !self.queue.is_empty() || self.streams.can_move() || self.has_ended {
                        continue;
                    }
                }
                self.flush()?;
                if self.is_draining && self.streams.are_over() {
                    // What crossed the drain on its way is refused rather than left unanswered.
                    self.read_now()?;
                    self.flush()?;
                    return Ok(self.has_ended);
                }
                self.read()?;
                now = now_ns();
                turn_began = now;
                self.woken = now;
                continue;
            }
            if self.queue.is_empty() && !self.streams.can_move() {
                continue;
            }
            // The host says so there when it has cancelled some that wait.
            let cancel_seq = self.page.as_ref().map_or(0, Page::cancel_seq);
            if now.saturating_sub(turn_began) > QUICK_NS {
                // Queued calls may have been cancelled, and finished ones are waited for.
                self.flush()?;
            } else if cancel_seq == self.cancel_seq {
                continue;
            }
            self.cancel_seq = cancel_seq;
            self.read_now()?;
            self.heed_stop()?;
            now = now_ns();
            turn_began = now;
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

    fn flush(&mut self) -> PyResult<()> {
        let length = self.protocol.output_len();
        if length == 0 {
            return Ok(());
        }
        self.was_large |= length > LARGE_BYTES;
        let result = self.lane.write(self.protocol.output_pieces());
        self.protocol.advance_output(length);
        result
    }
}
