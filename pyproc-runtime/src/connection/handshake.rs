//! What happens on a lane before the first call.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use pyproc_proto::{
    Hello, HostConnection, HostEvent, Limits, LogRecord, Protocol, RemoteError, Welcome,
};
use tokio::io::Interest;

use super::Lost;
use crate::deadline::sleep_until;
use crate::lane::{Received, SocketLane, Watch};
use crate::ledger::Entry;

/// A lane on which the handshake is going on, or is done.
#[derive(Debug)]
pub(crate) struct Handshake {
    pub(super) lane: SocketLane,
    watch: Watch,
    pub(super) protocol: HostConnection<Entry>,
}

/// Why there was no handshake.
#[derive(Debug)]
pub(crate) enum HandshakeError {
    /// The worker says why it does not start.
    Refused(Box<RemoteError>),
    /// The connection was lost on the way.
    Lost(Lost),
}

impl Handshake {
    /// Prepares a handshake. Must be called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// When the socket cannot be registered with the runtime.
    pub(crate) fn new(
        socket: UnixStream,
        protocol: Protocol,
        hello: &Hello,
        limits: Limits,
    ) -> io::Result<Self> {
        let now = Instant::now();
        let protocol = match protocol {
            Protocol::Binary => HostConnection::binary(hello, limits, now),
            Protocol::Json => HostConnection::json(limits, now),
        };
        let lane = SocketLane::new(socket)?;
        Ok(Self {
            watch: lane.watch()?,
            lane,
            protocol,
        })
    }

    /// Writes bytes that precede the first frame: the sources that a worker starts from.
    pub(crate) async fn send_preamble(&self, mut bytes: &[u8]) -> Result<(), Lost> {
        while !bytes.is_empty() {
            match self.lane.send(bytes).map_err(Lost::Io)? {
                0 => self
                    .watch
                    .ready(Interest::WRITABLE)
                    .await
                    .map_err(Lost::Io)?,
                written => bytes = &bytes[written..],
            }
        }
        Ok(())
    }

    /// Exchanges `Hello` and `Welcome`. The descriptors travel beside `Hello`.
    ///
    /// Under the JSON protocol there is nothing to exchange, and no `Welcome`.
    pub(crate) async fn shake(
        &mut self,
        mut descriptors: Vec<OwnedFd>,
        mut log: impl FnMut(LogRecord),
    ) -> Result<Option<Welcome>, HandshakeError> {
        while !self.protocol.is_ready() {
            self.flush(&mut descriptors)?;
            let mut end = None;
            loop {
                match self
                    .lane
                    .receive(self.protocol.input_mut())
                    .map_err(Lost::Io)?
                {
                    Received::Bytes | Received::LastBytes => self
                        .protocol
                        .handle_input(Instant::now())
                        .map_err(Lost::Protocol)?,
                    Received::Nothing => break,
                    Received::Eof => {
                        end = Some(Lost::Eof);
                        break;
                    }
                }
            }
            while let Some(event) = self.protocol.poll_event() {
                match event {
                    HostEvent::Refused(error) => return Err(HandshakeError::Refused(error)),
                    HostEvent::Log(record) => log(record),
                    _ => {}
                }
            }
            if let Some(lost) = end {
                return Err(lost.into());
            }
            if self.protocol.is_ready() {
                break;
            }
            self.protocol
                .handle_timeout(Instant::now())
                .map_err(Lost::Protocol)?;
            let interest = match self.protocol.output() {
                [] => Interest::READABLE,
                _ => Interest::READABLE | Interest::WRITABLE,
            };
            tokio::select! {
                ready = self.watch.ready(interest) => ready.map_err(Lost::Io)?,
                () = sleep_until(self.protocol.poll_timeout()) => {}
            }
        }
        Ok(self.protocol.welcome().cloned())
    }

    fn flush(&mut self, descriptors: &mut Vec<OwnedFd>) -> Result<(), Lost> {
        while !self.protocol.output().is_empty() {
            let output = self.protocol.output();
            let sent = if descriptors.is_empty() {
                self.lane.send(output)
            } else {
                let descriptors: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
                self.lane.send_with_descriptors(output, &descriptors)
            };
            match sent.map_err(Lost::Io)? {
                0 => break,
                written => {
                    descriptors.clear();
                    self.protocol.advance_output(written);
                }
            }
        }
        Ok(())
    }
}

impl From<Lost> for HandshakeError {
    fn from(lost: Lost) -> Self {
        Self::Lost(lost)
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => write!(formatter, "{}: {}", error.type_name, error.message),
            Self::Lost(lost) => lost.fmt(formatter),
        }
    }
}
