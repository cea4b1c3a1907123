//! A Unix stream socket, read and written without waiting by whoever holds the connection's lock.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use bytes::BytesMut;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, Shutdown};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// What is written to a worker that is gone is an error, and never a signal.
#[cfg(not(target_vendor = "apple"))]
const QUIETLY: SendFlags = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL);

/// Here the socket itself is told once not to signal.
#[cfg(target_vendor = "apple")]
const QUIETLY: SendFlags = SendFlags::DONTWAIT;

/// How much is asked of the socket in one read. A socket buffer holds a little over 200 KiB by default.
const READ_BYTES: usize = 64 * 1024;

/// One end of a Unix stream socket.
#[derive(Debug)]
pub(crate) struct SocketLane {
    socket: Arc<OwnedFd>,
}

/// The registration of a lane with the tokio runtime, by which one can sleep until something happens on it. Where there
/// is none, nothing that happens on the lane wakes anybody.
#[derive(Debug)]
pub(crate) struct Watch {
    socket: AsyncFd<Arc<OwnedFd>>,
}

/// What one read brought.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// There may be more.
    Bytes,
    /// There was less than there was room for, so there is no more for now.
    LastBytes,
    Nothing,
    Eof,
}

impl SocketLane {
    /// How many descriptors can travel beside the same bytes.
    const MAX_DESCRIPTORS: usize = 3;

    /// Takes over a connected socket, which it makes non-blocking.
    pub(crate) fn new(socket: UnixStream) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        #[cfg(target_vendor = "apple")]
        rustix::net::sockopt::set_socket_nosigpipe(&socket, true)?;
        Ok(Self {
            socket: Arc::new(socket.into()),
        })
    }

    /// Registers the lane with the tokio runtime in which this is called. What is there already counts as happening.
    pub(crate) fn watch(&self) -> io::Result<Watch> {
        #[expect(
            unsafe_code,
            reason = "tokio cannot check that a type keeps its descriptor open"
        )]
        // SAFETY: an `OwnedFd` keeps one and the same descriptor open until it is dropped, which is not before the
        // `AsyncFd` has dropped its share of it.
        let socket = unsafe { AsyncFd::register(Arc::clone(&self.socket)) }?;
        Ok(Watch { socket })
    }

    /// Reads once into the spare room of `buffer`.
    pub(crate) fn receive(&self, buffer: &mut BytesMut) -> io::Result<Received> {
        buffer.reserve(READ_BYTES);
        let length = buffer.len();
        let room = buffer.capacity() - length;
        loop {
            match rustix::net::recv(
                &self.socket,
                buffer.spare_capacity_mut(),
                RecvFlags::DONTWAIT,
            ) {
                Ok(((received, _), _)) => {
                    let count = received.len();
                    // SAFETY: `recv` initialized the first `count` bytes of the spare capacity, which begins at `length`.
                    #[expect(unsafe_code, reason = "it saves the zeroing of 64 KiB on every read")]
                    unsafe {
                        buffer.set_len(length + count);
                    }
                    return Ok(match count {
                        0 => Received::Eof,
                        _ if count < room => Received::LastBytes,
                        _ => Received::Bytes,
                    });
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(Received::Nothing),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Writes what the socket takes now, and says how much that was.
    pub(crate) fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        until_taken(|| rustix::net::send(&self.socket, bytes, QUIETLY))
    }

    /// Like [`send`](Self::send), of bytes that lie in several places.
    pub(crate) fn send_slices(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut ancillary = SendAncillaryBuffer::default();
        until_taken(|| rustix::net::sendmsg(&self.socket, slices, &mut ancillary, QUIETLY))
    }

    /// Like [`send`](Self::send), with descriptors that travel with the first byte, at most
    /// [`MAX_DESCRIPTORS`](Self::MAX_DESCRIPTORS) of them.
    pub(crate) fn send_with_descriptors(
        &self,
        bytes: &[u8],
        descriptors: &[BorrowedFd<'_>],
    ) -> io::Result<usize> {
        const SPACE: usize = rustix::cmsg_space!(ScmRights(SocketLane::MAX_DESCRIPTORS));
        let mut space = [std::mem::MaybeUninit::uninit(); SPACE];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !ancillary.push(SendAncillaryMessage::ScmRights(descriptors)) {
            return Err(io::Error::other("too many descriptors for one message"));
        }
        let slices = [IoSlice::new(bytes)];
        until_taken(|| rustix::net::sendmsg(&self.socket, &slices, &mut ancillary, QUIETLY))
    }

    /// Closes the connection for both sides, whoever still holds the lane.
    pub(crate) fn shut_down(&self) {
        // There is nothing to close when the worker was faster.
        let _ = rustix::net::shutdown(&self.socket, Shutdown::Both);
    }
}

impl Watch {
    /// Waits until a read may bring something, or, if `interest` says so, until a write may be taken.
    ///
    /// The readiness is cleared at once, so the caller must read (and write) until there is nothing more before it
    /// waits again. Cancel safe.
    pub(crate) async fn ready(&self, interest: Interest) -> io::Result<()> {
        let mut guard = self.socket.ready(interest).await?;
        guard.clear_ready();
        Ok(())
    }
}

/// Tries to write until it is not interrupted; a socket that takes nothing takes 0 bytes.
fn until_taken(mut send: impl FnMut() -> rustix::io::Result<usize>) -> io::Result<usize> {
    loop {
        match send() {
            Ok(count) => return Ok(count),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Ok(0),
            Err(error) => return Err(error.into()),
        }
    }
}

impl AsFd for SocketLane {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
