//! What arrives, and what is made of it.

use bytes::BytesMut;
use pyo3::prelude::*;
use pyproc_proto::{CallId, FunctionRef, Status, WorkerEvent};
use rustix::time::Timespec;

use super::Worker;
use crate::clock::now_ns;
use crate::errors::ProtocolError;
use crate::lane::Arrival;
use crate::memory;
use crate::request::Queued;

/// After a larger body the memory that it took is given back once nobody calls.
pub(super) const LARGE_BYTES: usize = 256 * 1024;

/// Until then it serves the next one: making room anew costs more than copying does.
const KEPT_FOR: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 50_000_000,
};

impl Worker<'_> {
    pub(super) fn read(&mut self) -> PyResult<()> {
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

    pub(super) fn read_now(&mut self) -> PyResult<()> {
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
    pub(super) fn take_in(&mut self, arrival: Arrival) -> PyResult<()> {
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
            if let Some(event) = self.lent.get().deliver(self.py, event)? {
                self.take_event(event);
            }
        }
        Ok(())
    }

    pub(super) fn take_event(&mut self, event: WorkerEvent) {
        match event {
            WorkerEvent::Request {
                call,
                function: FunctionRef::Index(function),
                deadline,
                metadata,
                wants_stream,
                items_follow,
                body,
            } => {
                if self.is_draining {
                    let message = "the worker takes no more calls";
                    self.refuse(call, Status::Draining, "CallError", message);
                    return;
                }
                self.was_alone &= self.queue.is_empty();
                self.was_large |= body.len() > LARGE_BYTES;
                let deadline_ns = deadline.map(|deadline| self.to_clock(deadline));
                self.queue.push_back(Queued {
                    call,
                    function: function.0,
                    deadline_ns,
                    metadata,
                    wants_stream,
                    items_follow,
                    body,
                });
            }
            WorkerEvent::Cancel { call } => self.cancel(call),
            WorkerEvent::Credit { call } => self.set_moving(call),
            WorkerEvent::Drain => self.is_draining = true,
            WorkerEvent::Goodbye => self.has_ended = true,
            // A `Ping` is answered already, and the others belong to the handshake or to the
            // other protocol.
            _ => {}
        }
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
        if self.cancel_stream(call) {
            return;
        }
        let place = self.queue.binary_search_by_key(&call, |queued| queued.call);
        if let Ok(place) = place {
            self.queue.remove(place);
            let message = "the call was cancelled before it began";
            self.refuse(call, Status::Cancelled, "CallError", message);
        }
    }
}
