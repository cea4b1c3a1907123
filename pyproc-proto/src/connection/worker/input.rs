//! What a driver gives to a worker's end: bytes, the end of them, and time.

use std::time::Instant;

use bytes::BytesMut;

use super::super::Protocol;
use super::{State, WorkerConnection};
use crate::ProtocolError;

impl WorkerConnection {
    /// Where the driver reads to. Only append to it.
    pub fn input_mut(&mut self) -> &mut BytesMut {
        self.decoder.buffer_mut()
    }

    /// Takes in what was appended to [`input_mut`](Self::input_mut).
    ///
    /// # Errors
    ///
    /// The host broke the grammar; the connection is condemned.
    pub fn handle_input(&mut self, now: Instant) -> Result<(), ProtocolError> {
        self.unless_condemned(|connection| {
            let mut completed = false;
            while connection.handle_next()? {
                completed = true;
            }
            let progress = &mut connection.progress;
            progress.observe(completed, &connection.decoder, now);
            Ok(())
        })
    }

    /// The host closed its end, or at least the half that it writes to: answers are still taken,
    /// since somebody who pipes requests in by hand waits for them.
    ///
    /// # Errors
    ///
    /// [`ProtocolError::UnexpectedEof`] in the middle of a frame; the connection is condemned.
    pub fn handle_eof(&mut self) -> Result<(), ProtocolError> {
        self.unless_condemned(|connection| {
            if connection.state == State::Ready {
                connection.state = State::Drained;
            }
            if connection.decoder.is_partial() {
                let received = connection.decoder.buffered_len();
                return Err(ProtocolError::UnexpectedEof { received });
            }
            Ok(())
        })
    }

    /// Lets the timer fire if it is due. Input that has arrived must have been handled first.
    ///
    /// # Errors
    ///
    /// A frame was not done in time; the connection is condemned.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), ProtocolError> {
        self.unless_condemned(|connection| connection.progress.check(&connection.decoder, now))
    }

    /// Handles one frame or message. Returns whether there was one.
    fn handle_next(&mut self) -> Result<bool, ProtocolError> {
        if self.protocol.is_none() {
            // A length that no protocol allows is refused before there is a byte to go by, and in
            // the same words when that byte has come with it.
            self.decoder.check_next_length()?;
        }
        match self.recognize() {
            None => Ok(false),
            Some(Protocol::Binary) => match self.decoder.next_frame()? {
                Some(frame) => self.handle_frame(frame).map(|()| true),
                None => Ok(false),
            },
            Some(Protocol::Json) => match self.decoder.next_payload()? {
                Some(payload) => {
                    self.handle_message(&payload);
                    Ok(true)
                }
                None => Ok(false),
            },
        }
    }

    /// The protocol, from the first byte of the first frame: JSON text begins with a brace or
    /// white space, which no kind of frame looks like.
    fn recognize(&mut self) -> Option<Protocol> {
        if self.protocol.is_none() {
            let first = self.decoder.first_payload_byte()?;
            if matches!(first, b'{' | b' ' | b'\t' | b'\r' | b'\n') {
                self.protocol = Some(Protocol::Json);
                self.state = State::Ready;
            } else {
                self.protocol = Some(Protocol::Binary);
            }
        }
        self.protocol
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
