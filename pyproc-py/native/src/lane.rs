//! How the bytes of the connection travel.

use std::io;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use rustix::io::Errno;
use rustix::thread::sched_yield;

use crate::descriptor::Descriptor;

/// The room that is made to read into, twice what is wanted: it is used up from its front.
const READ_BYTES: usize = 128 * 1024;

/// With less room than this, more is made.
const MIN_ROOM: usize = 64 * 1024;

/// What came of looking for bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    Bytes,
    /// None are there.
    Nothing,
    /// None will ever come.
    End,
}

/// The socket, shared with the threads that log: they write through `pyproc._lane.Lane`, and its
/// lock is the one that this side takes too.
pub(crate) struct Lane<'py> {
    socket: Descriptor,
    lane: Bound<'py, PyAny>,
    acquire: Bound<'py, PyAny>,
    release: Bound<'py, PyAny>,
    unwritten: Bound<'py, PyAny>,
    stop: Bound<'py, PyAny>,
    stop_descriptor: Descriptor,
}

impl<'py> Lane<'py> {
    /// Shares a `pyproc._lane.Lane`, and waits for a `pyproc._signals.StopSignal` too.
    pub(crate) fn new(lane: Bound<'py, PyAny>, stop: Bound<'py, PyAny>) -> PyResult<Self> {
        let py = lane.py();
        let fileno = intern!(py, "fileno");
        let lock = lane.getattr(intern!(py, "_writing"))?;
        Ok(Self {
            socket: Descriptor::new(lane.call_method0(fileno)?.extract()?),
            stop_descriptor: Descriptor::new(stop.call_method0(fileno)?.extract()?),
            acquire: lock.getattr(intern!(py, "acquire"))?,
            release: lock.getattr(intern!(py, "release"))?,
            unwritten: lane.getattr(intern!(py, "_unwritten"))?,
            lane,
            stop,
        })
    }

    /// Reads what is there.
    pub(crate) fn read_now(&self, buffer: &mut BytesMut) -> PyResult<Arrival> {
        make_room(buffer);
        Ok(receive(self.socket, buffer)?)
    }

    /// Looks for bytes for a while, without waiting.
    pub(crate) fn look(&self, buffer: &mut BytesMut, longest: Duration) -> PyResult<Arrival> {
        let socket = self.socket;
        let looked = self.lane.py().detach(|| {
            let began = Instant::now();
            loop {
                // Whoever shares this core may be the one that is waited for.
                sched_yield();
                let arrival = receive(socket, buffer)?;
                if arrival != Arrival::Nothing {
                    return Ok(arrival);
                }
                if began.elapsed() >= longest {
                    return Ok(Arrival::Nothing);
                }
            }
        });
        looked.map_err(io::Error::into)
    }

    /// Waits for bytes, and reads them. A signal ends the wait too: its handler has run then.
    ///
    /// A signal that comes before the wait has begun is in the stop descriptor. Where user code
    /// has taken that from the signals, the look at them right before the wait has to do.
    pub(crate) fn read(&self, buffer: &mut BytesMut) -> PyResult<Arrival> {
        let py = self.lane.py();
        let (socket, stop) = (self.socket, self.stop_descriptor);
        py.check_signals()?;
        let waited = py.detach(|| match socket.wait(stop) {
            Ok((true, _)) => Ok((receive(socket, buffer)?, false)),
            Ok((false, signalled)) => Ok((Arrival::Nothing, signalled)),
            Err(Errno::INTR) => Ok((Arrival::Nothing, false)),
            Err(error) => Err(io::Error::from(error)),
        });
        let (arrival, signalled) = waited?;
        if signalled {
            self.stop.call_method0(intern!(py, "clear"))?;
        }
        if arrival == Arrival::Nothing {
            py.check_signals()?;
        }
        Ok(arrival)
    }

    /// Writes all of this, behind what other threads have begun to write and never within it.
    pub(crate) fn write(&self, bytes: &[u8]) -> PyResult<()> {
        let py = self.lane.py();
        let rest = match self.try_write(bytes)? {
            Some(written) if written == bytes.len() => return Ok(()),
            // What was begun stands first in the line already.
            Some(_) => &[],
            None => bytes,
        };
        let rest = PyBytes::new(py, rest);
        self.lane.call_method1(intern!(py, "write"), (rest,))?;
        Ok(())
    }

    /// Writes at once what can be, unless somebody else writes or is to write first. Returns how
    /// much it was; the rest of it stands first in the line then.
    fn try_write(&self, bytes: &[u8]) -> PyResult<Option<usize>> {
        let py = self.lane.py();
        if !self.acquire.call1((false,))?.is_truthy()? {
            return Ok(None);
        }
        let mut result = Ok(None);
        if !self.unwritten.is_truthy()? {
            result = self.socket.send(bytes).map(Some);
            if let Ok(Some(written)) = result {
                if written < bytes.len() {
                    let rest = PyBytes::new(py, &bytes[written..]);
                    self.lane.call_method1(intern!(py, "put_back"), (rest,))?;
                }
            }
        }
        self.release.call0()?;
        Ok(result.map_err(io::Error::from)?)
    }
}

fn receive(socket: Descriptor, buffer: &mut BytesMut) -> io::Result<Arrival> {
    match socket.receive(buffer) {
        Ok(0) => Ok(Arrival::End),
        Ok(_) => Ok(Arrival::Bytes),
        Err(Errno::AGAIN | Errno::INTR) => Ok(Arrival::Nothing),
        Err(error) => Err(error.into()),
    }
}

/// Most times the buffer has the room behind what it has handed out, or takes back what the calls
/// before have dropped; then nothing is allocated.
fn make_room(buffer: &mut BytesMut) {
    if buffer.capacity() == 0 {
        buffer.reserve(READ_BYTES);
    } else if buffer.capacity() - buffer.len() < MIN_ROOM {
        buffer.reserve(MIN_ROOM);
    }
}
