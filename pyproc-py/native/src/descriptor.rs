//! The socket of the connection, by its number.
#![allow(unsafe_code)]

use std::os::fd::{BorrowedFd, RawFd};

use bytes::BytesMut;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, Result};
use rustix::net::{RecvFlags, SendFlags, recv, send};
use rustix::time::Timespec;

/// A descriptor that belongs to an object of the Python package.
///
/// It is not an `OwnedFd`, because that object closes it; and not a duplicate, because the one in
/// a forked child has to be closed there, which is that object's doing too.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Descriptor(RawFd);

impl Descriptor {
    pub(crate) fn new(number: RawFd) -> Self {
        Self(number)
    }

    fn borrow(&self) -> BorrowedFd<'_> {
        // SAFETY: the object that has opened the descriptor lives as long as the loop that uses
        // it, and closes it behind the loop. User code that closes what it has not opened leads
        // to EBADF, or to another file under the same number: as with the socket in Python.
        unsafe { BorrowedFd::borrow_raw(self.0) }
    }

    /// Appends what can be read at once, at most the room that the buffer has. Returns how many
    /// bytes that are: none at the end of the stream.
    pub(crate) fn receive(&self, buffer: &mut BytesMut) -> Result<usize> {
        let room = buffer.spare_capacity_mut();
        let received = recv(self.borrow(), room, RecvFlags::DONTWAIT)?.1;
        let length = buffer.len() + received;
        // SAFETY: `received` bytes behind the old length have just been written.
        unsafe { buffer.set_len(length) };
        Ok(received)
    }

    /// Writes what can be written at once, and returns how many bytes that were. The interpreter
    /// ignores the signal that says that nobody reads.
    pub(crate) fn send_now(&self, bytes: &[u8]) -> Result<usize> {
        match send(self.borrow(), bytes, SendFlags::DONTWAIT) {
            Err(Errno::INTR | Errno::AGAIN) => Ok(0),
            result => result,
        }
    }

    /// Writes, waiting until there is room, unless a signal comes first. Returns how many bytes
    /// that were.
    pub(crate) fn send(&self, bytes: &[u8]) -> Result<usize> {
        send(self.borrow(), bytes, SendFlags::empty())
    }

    /// Waits until this or the other one can be read, and says which of them can; or until the time
    /// is over, if there is a limit.
    pub(crate) fn wait(&self, other: Self, limit: Option<&Timespec>) -> Result<(bool, bool)> {
        let (this, other) = (self.borrow(), other.borrow());
        let mut ready = [
            PollFd::new(&this, PollFlags::IN),
            PollFd::new(&other, PollFlags::IN),
        ];
        poll(&mut ready, limit)?;
        let [this, other] = ready.map(|each| !each.revents().is_empty());
        Ok((this, other))
    }
}
