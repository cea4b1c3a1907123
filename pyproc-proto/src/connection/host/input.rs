//! What a driver gives to the host's end: bytes, the end of them, and time.

use std::time::Instant;

use bytes::BytesMut;

use super::super::Protocol;
use super::super::in_flight::Late;
use super::{HostConnection, HostEvent, State};
use crate::ProtocolError;

impl<T> HostConnection<T> {
    /// Where the driver reads to. Only append to it.
    pub fn input_mut(&mut self) -> &mut BytesMut {
        self.decoder.buffer_mut()
    }

    /// Takes in what was appended to [`input_mut`](Self::input_mut).
    ///
    /// # Errors
    ///
    /// The worker broke the grammar; the connection is condemned.
    pub fn handle_input(&mut self, now: Instant) -> Result<(), ProtocolError> {
        self.unless_condemned(|connection| {
            let mut completed = false;
            while connection.handle_next()? {
                completed = true;
            }
            connection.in_flight.settle(now);
            connection.reuse_memory(completed);
            let progress = &mut connection.progress;
            progress.observe(completed, &connection.decoder, now);
            Ok(())
        })
    }

    /// The worker closed its end. Nothing can be requested any more.
    ///
    /// # Errors
    ///
    /// [`ProtocolError::UnexpectedEof`] in the middle of a frame; the connection is condemned.
    pub fn handle_eof(&mut self) -> Result<(), ProtocolError> {
        self.unless_condemned(|connection| {
            connection.state = State::Closed;
            if connection.decoder.is_partial() {
                let received = connection.decoder.buffered_len();
                return Err(ProtocolError::UnexpectedEof { received });
            }
            Ok(())
        })
    }

    /// Lets every timer fire that is due. Input that has arrived must have been handled first.
    ///
    /// # Errors
    ///
    /// The handshake or a frame was not done in time; the connection is condemned.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), ProtocolError> {
        self.unless_condemned(|connection| {
            match connection.state {
                State::Greeting { due: Some(due) } if due <= now => {
                    let timeout = connection.limits.handshake_timeout;
                    return Err(ProtocolError::HandshakeTimeout { timeout });
                }
                _ => connection.progress.check(&connection.decoder, now)?,
            }
            let events = &mut connection.events;
            connection.in_flight.fire(now, |late| {
                events.push_back(match late {
                    Late::Expired(call) => HostEvent::Expired { call },
                    Late::Overdue(call) => HostEvent::Overdue { call },
                });
            });
            Ok(())
        })
    }

    /// Lets a large reply arrive in the memory from which a large request was sent. That is kept
    /// only until the next answer is there, so that it is no more than the call needed anyway.
    fn reuse_memory(&mut self, completed: bool) {
        if completed || self.decoder.awaits_large_frame() {
            if let Some(memory) = self.output.take_spare() {
                if self.decoder.awaits_large_frame() {
                    self.decoder.continue_in(memory);
                }
            }
        }
    }

    /// Handles one frame or message. Returns whether there was one.
    fn handle_next(&mut self) -> Result<bool, ProtocolError> {
        match self.protocol {
            Protocol::Binary => match self.decoder.next_frame()? {
                Some(frame) => self.handle_frame(frame).map(|()| true),
                None => Ok(false),
            },
            Protocol::Json => match self.decoder.next_payload()? {
                Some(payload) => self.handle_message(&payload).map(|()| true),
                None => Ok(false),
            },
        }
    }

    fn unless_condemned(
        &mut self,
        handle: impl FnOnce(&mut Self) -> Result<(), ProtocolError>,
    ) -> Result<(), ProtocolError> {
        if let Some(error) = &self.condemned {
            return Err(error.clone());
        }
        let result = handle(self);
        if let Err(error) = &result {
            self.condemned = Some(error.clone());
            self.state = State::Closed;
        }
        result
    }
}
