//! How the bytes of the connection travel.

use std::io;
use std::iter;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};
use rustix::io::Errno;
use rustix::thread::sched_yield;
use rustix::time::Timespec;

use crate::descriptor::Descriptor;
use crate::spin::Look;

/// The room that is made to read into, twice what is wanted: it is used up from its front.
const READ_BYTES: usize = 128 * 1024;

/// With less room than this, more is made.
const MIN_ROOM: usize = 64 * 1024;

/// A look that takes longer was interrupted: others want the core. An answer from the same core
/// takes less.
const TAKEN: Duration = Duration::from_micros(20);

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
    /// What Python calls this thread.
    thread: u64,
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
            thread: py
                .import(intern!(py, "_thread"))?
                .call_method0(intern!(py, "get_ident"))?
                .extract()?,
        })
    }

    /// Reads what is there.
    pub(crate) fn read_now(&self, buffer: &mut BytesMut) -> PyResult<Arrival> {
        Ok(receive_into(self.socket, buffer)?)
    }

    /// Looks for bytes for a while, without waiting; says how it went, whatever there was.
    pub(crate) fn look(
        &self,
        buffer: &mut BytesMut,
        longest: Duration,
    ) -> PyResult<(Arrival, Look)> {
        make_room(buffer);
        let socket = self.socket;
        let looked = self.lane.py().detach(|| {
            let mut last = Instant::now();
            let give_up = last + longest;
            loop {
                // Whoever shares this core may be the one that is waited for.
                sched_yield();
                let arrival = receive(socket, buffer)?;
                let (before, now) = (last, Instant::now());
                last = now;
                if now - before > TAKEN {
                    return Ok((arrival, Look::InVain));
                }
                if arrival != Arrival::Nothing {
                    return Ok((arrival, Look::Found));
                }
                if now >= give_up {
                    return Ok((arrival, Look::InVain));
                }
            }
        });
        looked.map_err(|error: io::Error| error.into())
    }

    /// Waits for bytes, and reads them. A signal ends the wait too: its handler has run then.
    ///
    /// A signal that comes before the wait has begun is in the stop descriptor. Where user code
    /// has taken that from the signals, the look at them right before the wait has to do.
    pub(crate) fn read(
        &self,
        buffer: &mut BytesMut,
        limit: Option<&Timespec>,
    ) -> PyResult<Arrival> {
        let py = self.lane.py();
        let (socket, stop) = (self.socket, self.stop_descriptor);
        make_room(buffer);
        py.check_signals()?;
        let waited = py.detach(|| match socket.wait(stop, limit) {
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

    /// Writes all of these, behind what other threads have begun to write and never within it;
    /// and nothing of theirs comes between, for a frame may go across several pieces.
    ///
    /// Whoever has the lock of the Python side writes, and what the others leave meanwhile is
    /// written there.
    pub(crate) fn write<'a>(&self, pieces: impl Iterator<Item = &'a [u8]> + Clone) -> PyResult<()> {
        let py = self.lane.py();
        let mut is_written = false;
        if self.acquire.call1((false,))?.is_truthy()? {
            let result = self.write_next(pieces.clone());
            self.release.call0()?;
            is_written = result?;
            if is_written && !self.unwritten.is_truthy()? {
                return Ok(());
            }
        }
        let left = pieces.take_while(|_| !is_written);
        let left: Vec<_> = left.map(|piece| PyBytes::new(py, piece)).collect();
        self.lane
            .call_method1(intern!(py, "write"), PyTuple::new(py, left)?)?;
        Ok(())
    }

    /// Writes all of these, unless something waits to be written before them. Returns whether it
    /// did. The lock is held.
    fn write_next<'a>(&self, mut pieces: impl Iterator<Item = &'a [u8]>) -> PyResult<bool> {
        if self.unwritten.is_truthy()? {
            return Ok(false);
        }
        while let Some(piece) = pieces.next() {
            let written = self.socket.send_now(piece).map_err(io::Error::from)?;
            if written < piece.len() {
                let mut rest = iter::once(&piece[written..]).chain(pieces);
                // A handler of a signal may log meanwhile; it must not wait for this thread.
                let writer = intern!(self.lane.py(), "_writer");
                self.lane.setattr(writer, self.thread)?;
                let result = rest.try_for_each(|piece| self.write_slowly(piece));
                self.lane.setattr(writer, self.lane.py().None())?;
                result?;
                break;
            }
        }
        Ok(true)
    }

    /// Writes what the socket has no room for yet.
    fn write_slowly(&self, mut bytes: &[u8]) -> PyResult<()> {
        let (py, socket) = (self.lane.py(), self.socket);
        while !bytes.is_empty() {
            match py.detach(|| socket.send(bytes)) {
                Ok(written) => bytes = &bytes[written..],
                Err(Errno::INTR) => py.check_signals()?,
                Err(error) => return Err(io::Error::from(error).into()),
            }
        }
        Ok(())
    }
}

/// Reads what is there.
pub(crate) fn receive_into(socket: Descriptor, buffer: &mut BytesMut) -> io::Result<Arrival> {
    make_room(buffer);
    receive(socket, buffer)
}

fn receive(socket: Descriptor, buffer: &mut BytesMut) -> io::Result<Arrival> {
    match socket.receive(buffer) {
        Ok(0) => Ok(Arrival::End),
        Ok(_) => Ok(Arrival::Bytes),
        Err(Errno::AGAIN | Errno::INTR) => Ok(Arrival::Nothing),
        Err(error) => Err(error.into()),
    }
}

/// Without room, reading would look like the end of the stream.
///
/// Most times the buffer has the room behind what it has handed out, or takes back what the calls
/// before have dropped; then nothing is allocated.
fn make_room(buffer: &mut BytesMut) {
    if buffer.capacity() == 0 {
        buffer.reserve(READ_BYTES);
    } else if buffer.capacity() - buffer.len() < MIN_ROOM {
        buffer.reserve(MIN_ROOM);
    }
}
